import type { z } from 'zod';
import type { LoginName } from '../../core/names.ts';
import { defined, parseJson } from '../../core/objects.ts';
import { leaf, oneOf, textOrNumber, wrappedSecret } from '../../schema/scalars.ts';
import { read, type Reading, wrong } from '../../schema/value-parsers.ts';
import {
  type AnswerKeys,
  checkRefusal,
  plainRefusal,
  readAnswerObject,
  refusalSetting,
  valueName,
} from '../answers.ts';
import {
  defineSource,
  fillTemplate,
  isRecord,
  parseTemplate,
  readAuthorities,
  sourceSettings,
  tlsAuthorities,
} from '../settings.ts';
import { badAnswer, couldNotAsk, type SourceAnswer, unknownUser } from '../source.ts';
import { answers, readHost, type ValueContext } from '../table-entries.ts';
import { createHttpClient, type HttpQuestion, type HttpReply } from './http-client.ts';

/** How a question is put to the service, and how its answer is read. */
interface ServiceProtocol {
  ask(name: LoginName): HttpQuestion;
  read(reply: HttpReply, context: ValueContext): SourceAnswer;
}

const serviceUrlRemedy = 'write http://host:port/path or https://…, with %u, %n and %d in the path or query';

/**
 * A web service that says where users live.
 *
 * `protocol: json` (the default): GET or POST; the service answers 200 with a JSON object, or 404 for an unknown user.
 * `protocol: auth_http`: the questions of nginx's mail proxy (ngx_mail_auth_http_module); `Auth-Server` in the answer
 * names the home; no password is sent. Any other status is a tempfail.
 */
export const driver = defineSource({
  about: 'A web service that answers with JSON, or like the auth_http service of nginx.',
  settings: sourceSettings({
    url: leaf({
      what: 'a URL',
      remedy: serviceUrlRemedy,
      examples: ['https://api.internal/homes/%u'],
      parse: readServiceUrl,
    }).describe(
      'The values of `%u`, `%n`, `%d` are percent-encoded; write `%%` for a per cent sign of the URL itself.',
    ),
    tls_ca_file: tlsAuthorities(),
    bearer_token: wrappedSecret().optional().describe('Sent as `Authorization: Bearer …`.'),
    protocol: oneOf(['json', 'auth_http'] as const)
      .prefault('json')
      .describe('`json`: 200 with a JSON object. `auth_http`: the protocol of nginx’s mail proxy.'),
    method: oneOf(['GET', 'POST'] as const)
      .optional()
      .describe('With `protocol: json`; `GET` when left out.'),
    backend_key: valueName('With `protocol: json`: the member with the home; `backend` when left out.'),
    user_key: valueName('With `protocol: json`: the member with the user’s canonical name; `user` when left out.'),
    refuse_key: valueName(
      'With `protocol: json`: the member that says whether the user may not sign in; `refuse` when left out.',
    ),
    refuse: refusalSetting('key'),
    role_key: valueName('With `protocol: json`: the member with the role of a member of staff; `role` when left out.'),
    answers: answers(['backend', 'perdition', 'transport']).optional(),
    mail_protocol: oneOf(['imap', 'pop3', 'smtp'] as const)
      .optional()
      .describe('With `protocol: auth_http`; `imap` when left out.'),
    unknown_status: textOrNumber('a text', 'write the Auth-Status of an unknown user')
      .optional()
      .describe(
        'With `protocol: auth_http`: the Auth-Status of an unknown user; `Invalid login or password` when left out.',
      ),
  })
    .superRefine(checkRefusal('key'))
    .superRefine(checkProtocol),
  async create(settings, { label, findHome }) {
    const { protocol, bearer_token: token } = settings;
    const shape = protocol === 'json' ? jsonProtocol(settings) : authHttpProtocol(settings);

    const ca = await readAuthorities(settings.tls_ca_file);
    const client = createHttpClient({ label, ca });
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` };
    return {
      async ask(name, signal) {
        const question = shape.ask(name);
        const headers = { accept: 'application/json', ...question.headers, ...authorization };
        const reply = await client.send({ ...question, headers }, signal);
        if (reply.status === 404 && protocol === 'json') return unknownUser;
        if (reply.status !== 200) throw couldNotAsk(`${label} answered ${reply.status}`);
        return shape.read(reply, { name, findHome });
      },
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
});

/** The host must be the operator's alone: no part of a name may get into it. */
function readServiceUrl(written: string): Reading<string> {
  return /^https?:\/\/[^/?#%@\s]+(?:[/?#]|$)/.test(written)
    ? read(written)
    : wrong(`is not a valid URL: ${serviceUrlRemedy}`);
}

interface ProtocolSettings {
  readonly url: string;
  readonly protocol: 'json' | 'auth_http';
  readonly method?: 'GET' | 'POST' | undefined;
  readonly backend_key?: string | undefined;
  readonly user_key?: string | undefined;
  readonly refuse_key?: string | undefined;
  readonly refuse?: AnswerKeys['refusal'];
  readonly role_key?: string | undefined;
  readonly answers?: AnswerKeys['meaning'] | undefined;
  readonly mail_protocol?: 'imap' | 'pop3' | 'smtp' | undefined;
  readonly unknown_status?: string | undefined;
}

const jsonKeys = ['method', 'backend_key', 'user_key', 'refuse_key', 'refuse', 'role_key', 'answers'] as const;
const authHttpKeys = ['mail_protocol', 'unknown_status'] as const;

/** Adds an issue for each setting that has no meaning with the protocol. */
function checkProtocol(settings: ProtocolSettings, context: z.core.$RefinementCtx): void {
  const isJson = settings.protocol === 'json';
  for (const key of isJson ? authHttpKeys : jsonKeys) {
    if (settings[key] === undefined) continue;
    const message = `has no meaning with protocol: ${settings.protocol}: remove it`;
    context.addIssue({ code: 'custom', path: [key], message });
  }
  const url = isJson ? parseTemplate(settings.url) : undefined;
  if (typeof url === 'string') context.addIssue({ code: 'custom', path: ['url'], message: url });
}

function jsonProtocol(settings: ProtocolSettings): ServiceProtocol {
  const url = parseTemplate(settings.url);
  if (typeof url === 'string') throw new TypeError('settings of the http source were not checked');
  const { method = 'GET' } = settings;
  const keys: AnswerKeys = {
    backend: settings.backend_key ?? 'backend',
    user: settings.user_key ?? 'user',
    refusal: settings.refuse ?? plainRefusal(settings.refuse_key ?? 'refuse'),
    role: settings.role_key ?? 'role',
    meaning: settings.answers ?? 'backend',
  };
  return {
    ask(name) {
      const filled = fillTemplate(url, name, escapeUrlPart);
      if (method === 'GET') return { method, url: filled, headers: {} };
      const headers = { 'content-type': 'application/json' };
      return { method, url: filled, headers, body: JSON.stringify({ user: name }) };
    },
    read: ({ body }, context) => readAnswerObject(parseObject(body), keys, context),
  };
}

/** Escapes a value for one segment of a path or one value of a query (RFC 3986). */
export function escapeUrlPart(value: string): string {
  // Even escaped once, these two would be steps in the path.
  return value === '.' || value === '..' ? value.replaceAll('.', '%252E') : encodeURIComponent(value);
}

function parseObject(body: string): Readonly<Record<string, unknown>> {
  const answer = parseJson(body);
  if (isRecord(answer)) return answer;
  throw badAnswer('the answer is not a JSON object');
}

function authHttpProtocol(settings: ProtocolSettings): ServiceProtocol {
  const {
    url,
    mail_protocol: mailProtocol = 'imap',
    unknown_status: unknownStatus = 'Invalid login or password',
  } = settings;
  return {
    ask: (name) => ({
      method: 'GET',
      url,
      headers: {
        // nginx encodes it like this; a name that is not ASCII could not be sent otherwise.
        'auth-user': encodeURIComponent(name).replaceAll('%40', '@'),
        'auth-method': 'none',
        'auth-protocol': mailProtocol,
        'auth-login-attempt': '1',
      },
    }),
    read(reply) {
      const status = reply.header('auth-status');
      if (status === unknownStatus) return unknownUser;
      if (status !== 'OK') throw couldNotAsk('the service answered with an Auth-Status other than OK');
      const home = reply.header('auth-server');
      if (home === undefined) throw badAnswer('the answer has no Auth-Server');
      const user = reply.header('auth-user');
      return { kind: 'found', home: readHost(home), ...defined({ user: decodedUser(user) }) };
    },
  };
}

function decodedUser(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
