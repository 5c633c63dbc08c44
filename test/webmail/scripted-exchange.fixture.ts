import type { BackendHost } from '../../src/core/backend.ts';
import type {
  ExchangeRequest,
  ExchangeResponse,
  HttpExchange,
  RequestHead,
  UpstreamResponseHead,
} from '../../src/core/http.ts';
import type { SignInIdentity } from '../../src/core/identity.ts';
import type { CanonicalUser } from '../../src/core/names.ts';
import { Secret } from '../../src/core/secrets.ts';

type Fields = Readonly<Record<string, string>>;

export const clock = { nowMs: () => Date.UTC(2026, 10, 22) };
export const userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';
export const going = new AbortController().signal;

/** A webmail that answers by a script, and keeps its requests. */
export interface ScriptedExchange extends HttpExchange {
  readonly requests: ExchangeRequest[];
}

export function scriptedExchange(
  answer: (request: ExchangeRequest, count: number) => ExchangeResponse | Promise<ExchangeResponse>,
): ScriptedExchange {
  const requests: ExchangeRequest[] = [];
  return {
    requests,
    send: async (_host, request) => {
      requests.push(request);
      return answer(request, requests.length);
    },
  };
}

export function responseOf(
  status: number,
  body = '',
  fields: Fields = {},
  setCookies: readonly string[] = [],
): ExchangeResponse {
  return { ...answerHead(status, fields, setCookies), body };
}

export function answerHead(
  status: number,
  fields: Fields = {},
  setCookies: readonly string[] = [],
): UpstreamResponseHead {
  return { status, header: (name) => fields[name], setCookies };
}

export function requestHead(method: string, target: string, fields: Fields = {}): RequestHead {
  return { method, target, header: (name) => fields[name] };
}

export function field(request: ExchangeRequest | undefined, name: string): string | undefined {
  return request?.headers.find(([each]) => each.toLowerCase() === name)?.[1];
}

export function hostWith(landing: string, origin = 'http://127.0.0.11'): BackendHost {
  return {
    name: 'a',
    imap: { hostname: '127.0.0.11', port: 993, security: 'tls', trust: {} },
    webmail: { origin, landing, trust: {} },
  };
}

export function identity(password: string, user = 'alice@example.test'): SignInIdentity {
  if (!isUser(user)) throw new Error('never');
  return {
    user,
    password: new Secret(password),
    client: { address: '203.0.113.7', port: 4711, userAgent },
    timeZone: 'Europe/Berlin',
    publicOrigin: 'https://mail.example.test',
  };
}

function isUser(_text: string): _text is CanonicalUser {
  return true;
}
