import { createSecureContext, type SecureContext } from 'node:tls';
import type { ImapFlow, ImapFlowOptions } from 'imapflow';
import type { ImapEndpoint, TlsTrust } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { ImapHost, PasswordCheckContext } from '../core/passdb.ts';

/** Connect, greeting and authentication together, unless authentication alone was given more. */
const togetherMs = 12_000;
/** A server that only says yes or no has no use for more. */
const longestResponse = 64 * 1024;

/**
 * A client that has not dialled yet; the library is loaded for the first one. TLS only; the browser's address and the
 * reference go ahead by ID (RFC 2971).
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
    disableAutoIdle: true,
    disableAutoEnable: true,
    disableCompression: true,
    logger: false,
    connectionTimeout: limits.imapConnectMs,
    greetingTimeout: limits.imapGreetingMs,
    socketTimeout: limits.imapAuthMs,
    maxLineLength: longestResponse,
    maxLiteralSize: longestResponse,
    maxResponseSize: 2 * longestResponse,
    ...own,
  });
  // Whatever happens after connect() has settled is of no interest, but unheard it would end the process.
  flow.on('error', () => {});
  return flow;
}

function securityOptions({ security, trust }: ImapEndpoint): ImapFlowOptions {
  return {
    secure: security === 'tls',
    // Without it imapflow upgrades only if the server offers to, and a man in the middle makes it not offer.
    ...(security === 'starttls' ? { doSTARTTLS: true } : {}),
    ...(trust.servername === undefined ? {} : { servername: trust.servername }),
    tls: { secureContext: secureContextOf(trust) },
  };
}

/** Keyed by the trust of an endpoint, which a reload replaces: certificates are read once, not at every sign-in. */
const secureContexts = new WeakMap<TlsTrust, SecureContext>();

function secureContextOf(trust: TlsTrust): SecureContext {
  const known = secureContexts.get(trust);
  if (known !== undefined) return known;
  const fresh = createSecureContext(trust.ca === undefined ? {} : { ca: trust.ca });
  secureContexts.set(trust, fresh);
  return fresh;
}

/**
 * Does one piece of work with a client, within what connecting, greeting and authenticating may take. Rejects with
 * ERR_DEADLINE when time or the caller's patience is over; what the work itself rejects with passes.
 */
export async function within<T>(
  client: ImapFlow,
  host: ImapHost,
  limits: PasswordCheckContext['limits'],
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  if (signal.aborted) throw tooLate(host, signal.reason);
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
    throw late ? tooLate(host, signal.reason ?? error) : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', hangUp);
  }
}

/** By its own words, before anybody is authenticated: its greeting, and its answer to ID. */
export function isServer({ greeting, serverInfo }: ImapFlow, name: 'cyrus' | 'dovecot'): boolean {
  return new RegExp(`\\b${name}\\b`, 'i').test(`${greeting ?? ''} ${serverInfo?.name ?? ''}`);
}

function tooLate(host: ImapHost, cause: unknown): PosternError {
  const message = `IMAP server of ${host.name} gave no answer in time`;
  return new PosternError('ERR_DEADLINE', message, { source: 'imap', retryable: true, cause });
}

function longestWait({ imapConnectMs, imapGreetingMs, imapAuthMs }: PasswordCheckContext['limits']): number {
  return Math.max(imapAuthMs, Math.min(imapConnectMs + imapGreetingMs + imapAuthMs, togetherMs));
}
