import { ImapFlow } from 'imapflow';
import type { ImapFlowOptions } from 'imapflow';
import type { BackendHost, BackendLimits, ImapEndpoint } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { Credentials } from '../core/identity.ts';
import type { Passdb, PasswordCheck, PasswordCheckContext } from '../core/passdb.ts';
import { translateFailure } from './imap-failure.ts';

/** Connect, greeting and authentication together, unless authentication alone was given more. */
const togetherMs = 12_000;
/** A server that only says yes or no has no use for more. */
const longestResponse = 64 * 1024;

/**
 * Checks passwords by signing in to the IMAP server of the user's home host.
 *
 * The password travels over TLS only. The client's address, port and the reference go ahead of it by ID, where the
 * server announces ID (RFC 2971). `right` means that the server answered OK to our own LOGIN or AUTHENTICATE, never
 * that it greeted us as signed in. An empty password, and a user or password that no IMAP command can carry, are
 * `wrong` without asking. Each call is one connection, which is gone when the promise settles.
 */
export function createImapPassdb(): Passdb {
  return {
    async verify(credentials, host, context, signal) {
      if (!canTravel(credentials)) return { kind: 'wrong' };
      if (signal.aborted) throw tooLate(host, signal.reason);
      const client = new ImapFlow(clientOptions(credentials, host, context));
      // Whatever happens after connect() has settled is of no interest, but unheard it would end the process.
      client.on('error', () => {});
      try {
        return await signIn(client, host, context.limits, signal);
      } finally {
        client.close();
      }
    },
  };
}

/** A control character ends the command or, in SASL PLAIN, the field (NUL, RFC 4616). */
function canTravel({ user, password }: Credentials): boolean {
  const text = password.reveal();
  return text !== '' && !/[\0\r\n]/.test(text) && !/\p{Cc}/u.test(user);
}

function clientOptions(
  { user, password }: Credentials,
  host: BackendHost,
  context: PasswordCheckContext,
): ImapFlowOptions {
  const { client, reference, limits } = context;
  return {
    host: host.imap.hostname,
    port: host.imap.port,
    ...securityOptions(host.imap),
    auth: { user, pass: password.reveal() },
    // Empty fields are not sent; left out, imapflow would introduce itself.
    clientInfo: {
      name: 'Postern',
      version: false,
      vendor: false,
      'support-url': false,
      'x-originating-ip': client.address,
      'x-originating-port': String(client.port),
      'x-session-id': reference,
    },
    verifyOnly: true,
    disableAutoIdle: true,
    logger: false,
    connectionTimeout: limits.imapConnectMs,
    greetingTimeout: limits.imapGreetingMs,
    socketTimeout: limits.imapAuthMs,
    maxLineLength: longestResponse,
    maxLiteralSize: longestResponse,
    maxResponseSize: 2 * longestResponse,
  };
}

function securityOptions({ security, trust }: ImapEndpoint): ImapFlowOptions {
  return {
    secure: security === 'tls',
    // Without it imapflow upgrades only if the server offers to, and a man in the middle makes it not offer.
    ...(security === 'starttls' ? { doSTARTTLS: true } : {}),
    ...(trust.servername === undefined ? {} : { servername: trust.servername }),
    ...(trust.ca === undefined ? {} : { tls: { ca: trust.ca } }),
  };
}

async function signIn(
  client: ImapFlow,
  host: BackendHost,
  limits: BackendLimits,
  signal: AbortSignal,
): Promise<PasswordCheck> {
  let late = false;
  const hangUp = (): void => {
    late = true;
    client.close();
  };
  const timer = setTimeout(hangUp, longestWait(limits));
  signal.addEventListener('abort', hangUp, { once: true });
  try {
    await client.connect();
  } catch (error) {
    if (late) throw tooLate(host, signal.reason ?? error);
    return translateFailure(error, host);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', hangUp);
  }
  if (answeredOk(client)) return { kind: 'right' };
  const message = `IMAP server of ${host.name} took the session for authenticated before a password was sent (PREAUTH)`;
  throw new PosternError('ERR_IMAP_PROTOCOL', message, { source: 'imap', retryable: false });
}

function tooLate(host: BackendHost, cause: unknown): PosternError {
  const message = `IMAP server of ${host.name} gave no answer in time`;
  return new PosternError('ERR_DEADLINE', message, { source: 'imap', retryable: true, cause });
}

function longestWait({ imapConnectMs, imapGreetingMs, imapAuthMs }: BackendLimits): number {
  return Math.max(imapAuthMs, Math.min(imapConnectMs + imapGreetingMs + imapAuthMs, togetherMs));
}

/**
 * Whether the server accepted a command of ours. `client.authenticated` is also true after a PREAUTH greeting; which
 * mechanism succeeded is noted only when its tagged OK came. The map is not part of imapflow's published types.
 */
function answeredOk(client: ImapFlow): boolean {
  const mechanisms: unknown = Reflect.get(client, 'authCapabilities');
  return mechanisms instanceof Map && [...mechanisms.values()].includes(true);
}
