import { once } from 'node:events';
import { createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { createSecureContext, createServer as createTlsServer } from 'node:tls';
import type { KeyPair } from './certificate.ts';
import { ImapConnection } from './imap/connection.ts';
import { converse } from './imap/conversation.ts';
import { ImapSyntaxError } from './imap/input.ts';
import { type Account, type MailStore, memory } from './imap/mailbox.ts';
import type { ImapMoment, LoginAttempt, ServerContext, Twist } from './imap/server-context.ts';

export interface ImapServerOptions {
  /** Login name in lower case → password. */
  readonly users: Readonly<Record<string, string>>;
  /** Master user → password. A master user may open any mailbox by SASL PLAIN with an authzid. */
  readonly masters?: Readonly<Record<string, string>>;
  /**
   * `tls` from the first byte; `starttls`: no password before it; `plain`: none. All but `plain` need `keyPair`.
   */
  readonly security: 'tls' | 'starttls' | 'plain';
  readonly keyPair?: KeyPair;
  readonly hostname?: string;
  /** A free port if left out. */
  readonly port?: number;
  /** Memory if left out. */
  readonly mail?: MailStore;
  /** Capabilities instead of the server's own, such as `IMAP4rev1` alone: no ID, no AUTH=PLAIN. */
  readonly capabilities?: string;
  /** The delay of the answer to a failed login; milliseconds. */
  readonly authFailureDelayMs?: number;
  /** Called before the greeting and before each command. Returns what to do instead; undefined to go on as usual. */
  readonly script?: (moment: ImapMoment) => Twist | undefined;
}

export interface ImapServer extends AsyncDisposable {
  readonly hostname: string;
  readonly port: number;
  /** Open connections. */
  readonly connections: number;
  /** The last 1,000 sign-ins that clients tried, oldest first. */
  readonly logins: readonly LoginAttempt[];
  /** The mailbox of a user. Throws if there is no such user. */
  account(user: string): Account;
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}

const keptLogins = 1000;

/**
 * Starts a small IMAP4rev1 server (RFC 3501) that keeps users in memory, and mail there too unless `mail` says where.
 *
 * It serves the demo, and is a peer in tests. What it lacks (EXPUNGE, SEARCH, COPY, IDLE) it does not announce, and
 * answers with BAD. It is no server for real mail: it delays failed logins only by an option.
 */
export async function startImapServer(options: ImapServerOptions): Promise<ImapServer> {
  const { keyPair, security, hostname = '127.0.0.1', mail = memory } = options;
  if (security !== 'plain' && keyPair === undefined) throw new TypeError(`security: ${security} needs a keyPair`);
  const pems = keyPair === undefined ? {} : { key: keyPair.key, cert: keyPair.certificate };
  const accounts = new Map<string, Account>();
  for (const [name, password] of Object.entries(options.users)) {
    accounts.set(name, mail.account(name, password, accounts.size + 1));
  }
  const logins: LoginAttempt[] = [];
  const closing = new AbortController();
  const context: ServerContext = {
    accounts,
    masters: new Map(Object.entries(options.masters ?? {})),
    secureContext: security === 'starttls' ? createSecureContext(pems) : undefined,
    mayLogIn: (connection) => connection.secure || security === 'plain',
    capabilities: (connection) => options.capabilities ?? usualCapabilities(connection, security),
    record: (attempt) => void (logins.push(attempt) > keptLogins && logins.shift()),
    holdBack: () => pause(options.authFailureDelayMs ?? 0, closing.signal),
  };

  const sockets = new Set<Socket>();
  const serve = (socket: Socket): void => {
    const connection = new ImapConnection(socket, security === 'tls');
    void attend(connection, context, options.script, closing.signal);
  };
  const server = security === 'tls' ? createTlsServer(pems, serve) : createPlainServer(serve);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(options.port ?? 0, hostname);
  await once(server, 'listening');

  const close = async (): Promise<void> => {
    closing.abort();
    for (const socket of sockets) socket.destroy();
    await closed(server);
  };
  return {
    hostname,
    port: portOf(server),
    get connections() {
      return sockets.size;
    },
    logins,
    account(user) {
      const account = accounts.get(user);
      if (account === undefined) throw new RangeError(`No such user: ${user}`);
      return account;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Serves one client, and always ends the connection. */
async function attend(
  connection: ImapConnection,
  context: ServerContext,
  script: ImapServerOptions['script'],
  signal: AbortSignal,
): Promise<void> {
  try {
    await converse(connection, context, (peer, moment, tag) => stepIn(peer, script?.(moment), tag, signal));
    connection.end();
  } catch (error) {
    connection.send(error instanceof ImapSyntaxError ? `* BYE ${error.message}` : '* BYE Something is wrong here');
    connection.end();
    if (!(error instanceof ImapSyntaxError)) throw error;
  }
}

/** Does the step of a script. True if the server goes on as usual. */
async function stepIn(
  connection: ImapConnection,
  twist: Twist | undefined,
  tag: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (twist === undefined) return true;
  switch (twist.kind) {
    case 'late':
      await pause(twist.ms, signal);
      break;
    case 'answer':
      connection.send(`${tag} ${twist.line}`);
      break;
    case 'raw':
      connection.sendRaw(twist.bytes);
      break;
    case 'hang':
      await new Promise<void>((resolve) => connection.onceEnded(resolve));
      break;
    case 'drop':
      connection.drop();
      break;
  }
  return twist.kind === 'late';
}

function usualCapabilities(connection: ImapConnection, security: ImapServerOptions['security']): string {
  const common = 'IMAP4rev1 ID SASL-IR LITERAL+ UIDPLUS';
  if (connection.account !== undefined) return common;
  if (security === 'starttls' && !connection.secure) return `${common} STARTTLS LOGINDISABLED`;
  return `${common} AUTH=PLAIN`;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms === 0 || signal.aborted) return;
  await wait(ms, undefined, { signal }).catch(() => undefined); // the server is closing: nothing to wait for
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('The server does not listen on a port');
  return address.port;
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
