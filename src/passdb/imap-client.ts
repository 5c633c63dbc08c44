import { createSecureContext, type SecureContext } from 'node:tls';
import type { ImapAttributeNode, ImapFlow, ImapFlowOptions, ImapResponse } from 'imapflow';
import type { ImapEndpoint, TlsTrust } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { ImapHost, PasswordCheckContext } from '../core/passdb.ts';
import { brokeProtocol } from './imap-failure.ts';

/** The most for connect, greeting and authentication together, unless authentication alone was given more. */
const maxWaitMs = 12_000;
/** The longest line and literal in bytes: a server that only says yes or no needs no more. */
const maxImapLineBytes = 64 * 1024;

/**
 * Creates a client that has not dialled yet. It speaks TLS only, and sends the browser's address and the reference
 * ahead by ID (RFC 2971). imapflow is loaded for the first client.
 */
export async function createClient(
  host: ImapHost,
  { client, reference, limits }: PasswordCheckContext,
  own: Pick<ImapFlowOptions, 'verifyOnly'> = {},
): Promise<ImapFlow> {
  const imapflow = await import('imapflow');
  const flow = new imapflow.ImapFlow({
    host: host.imap.hostname,
    port: host.imap.port,
    ...securityOptions(host.imap),
    // imapflow does not send empty fields; where they are left out, it introduces itself.
    clientInfo: {
      name: 'Postern',
      version: false,
      vendor: false,
      'support-url': false,
      'x-originating-ip': client.address,
      'x-originating-port': String(client.port),
      'x-session-id': reference,
    },
    disableAutoIdle: true,
    disableAutoEnable: true,
    disableCompression: true,
    logger: false,
    connectionTimeout: limits.imapConnectMs,
    greetingTimeout: limits.imapGreetingMs,
    socketTimeout: limits.imapAuthMs,
    maxLineLength: maxImapLineBytes,
    maxLiteralSize: maxImapLineBytes,
    maxResponseSize: 2 * maxImapLineBytes,
    ...own,
  });
  // An error after connect() has settled does not matter, but without a listener it would end the process.
  flow.on('error', () => {});
  return flow;
}

function securityOptions({ security, trust }: ImapEndpoint): ImapFlowOptions {
  return {
    secure: security === 'tls',
    // Otherwise imapflow upgrades only if the server offers it, and an attacker in the middle can remove the offer.
    ...(security === 'starttls' ? { doSTARTTLS: true } : {}),
    ...(trust.servername === undefined ? {} : { servername: trust.servername }),
    tls: { secureContext: secureContextOf(trust) },
  };
}

/** Contexts by the trust of an endpoint, which a reload replaces: certificates are parsed once, not per sign-in. */
const secureContexts = new WeakMap<TlsTrust, SecureContext>();

function secureContextOf(trust: TlsTrust): SecureContext {
  const known = secureContexts.get(trust);
  if (known !== undefined) return known;
  const fresh = createSecureContext(trust.ca === undefined ? {} : { ca: trust.ca });
  secureContexts.set(trust, fresh);
  return fresh;
}

/**
 * Does one piece of work with a client, within the time that connect, greeting and authentication may take. Rejects
 * with ERR_DEADLINE when that time is over or `signal` aborts; a rejection of the work itself passes unchanged.
 */
export async function withinLimits<T>(
  client: ImapFlow,
  host: ImapHost,
  limits: PasswordCheckContext['limits'],
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  if (signal.aborted) throw imapTooLate(host, signal.reason);
  let late = false;
  const hangUp = (): void => {
    late = true;
    client.close();
  };
  const timer = setTimeout(hangUp, longestWait(limits));
  signal.addEventListener('abort', hangUp, { once: true });
  try {
    return await work();
  } catch (error) {
    throw late ? imapTooLate(host, signal.reason ?? error) : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', hangUp);
  }
}

/** Whether the server names itself so, in its greeting or its answer to ID, both of which precede authentication. */
export function isServer({ greeting, serverInfo }: ImapFlow, name: 'cyrus' | 'dovecot'): boolean {
  return new RegExp(`\\b${name}\\b`, 'i').test(`${greeting ?? ''} ${serverInfo?.name ?? ''}`);
}

function imapTooLate(host: ImapHost, cause: unknown): PosternError {
  const message = `IMAP server of ${host.name} gave no answer in time`;
  return new PosternError('ERR_DEADLINE', message, { source: 'imap', retryable: true, cause });
}

function longestWait({ imapConnectMs, imapGreetingMs, imapAuthMs }: PasswordCheckContext['limits']): number {
  return Math.max(imapAuthMs, Math.min(imapConnectMs + imapGreetingMs + imapAuthMs, maxWaitMs));
}

/** The tagged answer to the command that carries a password: the only thing that can be a yes or a no. */
export interface TaggedAnswer {
  readonly status: 'OK' | 'NO' | 'BAD';
  /** The response code in upper case (RFC 5530), empty where there is none. */
  readonly code: string;
  /** The argument of the response code, such as the URL of a referral. */
  readonly argument: string;
  readonly text: string;
  /** Whether the whole password was sent by then. An answer that came before judges none. */
  readonly sent: boolean;
}

/** The commands that authenticate, each answered by its tagged answer. They reject when there is none. */
export interface AuthCommands {
  /** SASL PLAIN (RFC 4616). `authorizeAs` is empty to act as the authenticated user. */
  plain(user: string, password: string, authorizeAs: string): Promise<TaggedAnswer>;
  /** The SASL mechanism LOGIN, which asks for name and password one by one. */
  saslLogin(user: string, password: string): Promise<TaggedAnswer>;
  /** The command LOGIN. Other text than plain ASCII travels as a literal: no quoted string may hold it (RFC 3501). */
  login(user: string, password: string): Promise<TaggedAnswer>;
}

/** The server refused by a tagged answer, which the caller has seen already. */
export class NotAuthenticated extends Error {}

/**
 * Makes a client authenticate by `attempt` instead of imapflow's own code, which accepts more than a tagged OK as
 * success: an OK before the password was sent, a NO with a text that it knows from FETCH, a greeting.
 *
 * The session goes on only if the attempt returns an OK; otherwise `connect` rejects. A session that the server calls
 * authenticated before anything was sent (PREAUTH) is dropped without an attempt.
 */
export function authenticateBy(
  client: ImapFlow,
  host: ImapHost,
  attempt: (exchange: AuthCommands) => Promise<TaggedAnswer>,
): void {
  const inside = internalsOf(client);
  const authenticate = async (): Promise<true> => {
    if (client.state !== client.states.NOT_AUTHENTICATED) throw preauthenticated(host);
    inside.expectCapabilityUpdate = true;
    const { status, sent } = await attempt(exchangeOver(inside, host));
    if (status !== 'OK' || !sent) throw new NotAuthenticated(`the server answered ${status}`);
    await inside.setAuthenticationState();
    return true;
  };
  Object.defineProperty(client, 'authenticate', { value: authenticate });
}

function exchangeOver(inside: ImapflowInternals, host: ImapHost): AuthCommands {
  const authenticate = async (mechanism: string, ...replies: readonly string[]) => {
    const left = replies.map((reply) => Buffer.from(reply).toString('base64'));
    let isCancelled = false;
    const answer = await commandOver(inside, host, 'AUTHENTICATE', [{ type: 'ATOM', value: mechanism }], {
      onContinue() {
        // A server that asks for more than the mechanism has gets the exchange cancelled (RFC 3501, 6.2.2).
        isCancelled ||= left.length === 0;
        inside.write(left.shift() ?? '*');
      },
      isSent: () => left.length === 0,
    });
    if (answer.status === 'OK' && isCancelled) throw brokeProtocol(host, 'it said yes to what was cancelled');
    return answer;
  };
  return {
    plain: (user, password, authorizeAs) => authenticate('PLAIN', `${authorizeAs}\0${user}\0${password}`),
    saslLogin: (user, password) => authenticate('LOGIN', user, password),
    login(user, password) {
      const attributes = [user, password].map((value) => ({ ...stringOf(value), sensitive: true }));
      return commandOver(inside, host, 'LOGIN', attributes, {
        onContinue() {
          const part = inside.commandParts.shift();
          if (part !== undefined) inside.write(part);
        },
        isSent: () => inside.commandParts.length === 0,
      });
    },
  };
}

function stringOf(value: string): ImapAttributeNode {
  return /^[\x20-\x7e]*$/.test(value) ? { type: 'STRING', value } : { type: 'LITERAL', value: Buffer.from(value) };
}

interface Sending {
  onContinue(): void;
  isSent(): boolean;
}

async function commandOver(
  inside: ImapflowInternals,
  host: ImapHost,
  name: string,
  attributes: readonly ImapAttributeNode[],
  sending: Sending,
): Promise<TaggedAnswer> {
  let tag: unknown;
  let sent = false;
  const command = inside.exec(name, attributes, {
    onSend() {
      tag = inside.currentRequest === false ? undefined : inside.currentRequest.tag;
      sent = sending.isSent();
    },
    onPlusTag() {
      sending.onContinue();
      sent = sending.isSent();
    },
  });
  const response = await taggedResponse(command);
  const status = response.command?.toUpperCase();
  if (response.tag !== tag || (status !== 'OK' && status !== 'NO' && status !== 'BAD')) {
    throw brokeProtocol(host, 'an answer to another command');
  }
  if (status === 'OK' && !sent) throw brokeProtocol(host, 'it said yes before the password was sent');
  return { status, sent, ...responseCode(response), text: responseText(response) };
}

async function taggedResponse(command: ReturnType<ImapflowInternals['exec']>): Promise<ImapResponse> {
  try {
    const completed = await command;
    // imapflow reads no further response until then.
    completed.next();
    return completed.response;
  } catch (error) {
    const refused = responseOf(error);
    if (refused === undefined) throw error;
    return refused;
  }
}

/** The tagged NO or BAD with which imapflow rejects; undefined for a failure with imapflow's own code. */
function responseOf(error: unknown): ImapResponse | undefined {
  if (typeof error !== 'object' || error === null || Reflect.get(error, 'code') !== undefined) return undefined;
  const response: unknown = Reflect.get(error, 'response');
  return isResponse(response) ? response : undefined;
}

function isResponse(value: unknown): value is ImapResponse {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'tag') === 'string';
}

function responseCode({ attributes }: ImapResponse): Pick<TaggedAnswer, 'code' | 'argument'> {
  const first = attributes?.[0];
  const [code, ...rest] = (Array.isArray(first) ? undefined : first?.section) ?? [];
  const text = (node: typeof code): string =>
    node === null || node === undefined || Array.isArray(node) ? '' : String(node.value ?? '');
  return { code: text(code).toUpperCase(), argument: text(rest[0]) };
}

function responseText({ attributes }: ImapResponse): string {
  const texts = (attributes ?? []).map((node) =>
    node !== null && !Array.isArray(node) && node.type === 'TEXT' ? String(node.value ?? '') : '',
  );
  return texts.join(' ').trim();
}

/** The error of a session that belongs to an unknown user: it was authenticated before anything was sent. */
function preauthenticated(host: ImapHost): Error {
  return brokeProtocol(host, 'it took the session for authenticated before a password was sent (PREAUTH)');
}

/** The members of imapflow that its published types leave out. The version is pinned. */
interface ImapflowInternals {
  exec(
    command: string,
    attributes: readonly ImapAttributeNode[],
    options: { readonly onSend: () => void; readonly onPlusTag: () => void },
  ): Promise<{ readonly response: ImapResponse; readonly next: () => void }>;
  write(chunk: string | Buffer): void;
  setAuthenticationState(): Promise<void>;
  expectCapabilityUpdate: boolean;
  readonly commandParts: (string | Buffer)[];
  readonly currentRequest: false | { readonly tag: string };
}

function internalsOf(client: ImapFlow): ImapflowInternals {
  if (!hasInternals(client)) throw new TypeError('this imapflow is another one than the pinned version');
  return client;
}

function hasInternals(client: ImapFlow): client is ImapFlow & ImapflowInternals {
  const needed = ['exec', 'write', 'authenticate', 'setAuthenticationState'];
  return (
    needed.every((name) => typeof Reflect.get(client, name) === 'function') &&
    Array.isArray(Reflect.get(client, 'commandParts'))
  );
}
