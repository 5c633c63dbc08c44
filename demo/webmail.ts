import { once } from 'node:events';
import { createServer } from 'node:http';
import { createWebmailApp } from './webmail/app.ts';
import { createEchoSockets } from './webmail/live.ts';
import type { ImapAddress } from './webmail/mail-client.ts';
import { createSessionTable } from './webmail/sessions.ts';
import type { Deliver } from './webmail/site.ts';

export interface WebmailOptions {
  /** The name of the backend, which every page shows. */
  readonly name: string;
  /** The host within the backend, if it is not the only one. */
  readonly host?: string | undefined;
  readonly imap: ImapAddress;
  readonly deliver: Deliver;
  readonly hostname?: string;
  /** A free port if left out. */
  readonly port?: number;
  /** The period after which the session cookie changes; milliseconds. */
  readonly rotateAfterMs?: number;
  readonly nowMs?: () => number;
}

export interface Webmail extends AsyncDisposable {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Forgets the sessions of a user, or all, without telling their browsers. Returns their number. */
  expire(user?: string): number;
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}

/**
 * Starts a small webmail that reads and writes real mail over IMAP, and keeps its sessions in memory.
 *
 * It runs behind a gateway: it speaks plain HTTP, and trusts the last entry of X-Forwarded-For.
 */
export async function startWebmail(options: WebmailOptions): Promise<Webmail> {
  const { name, host, imap, deliver, hostname = '127.0.0.1' } = options;
  const sessions = createSessionTable(options.nowMs ?? Date.now, options.rotateAfterMs ?? 60_000);
  const site = { name, host, imap, deliver, sessions };
  const sockets = createEchoSockets(site);
  const server = createServer(createWebmailApp(site));
  server.on('upgrade', (request, socket, head) => sockets.accept(request, socket, head));
  server.listen(options.port ?? 0, hostname);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('The server does not listen on a port');

  const close = async (): Promise<void> => {
    sockets.close();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  };
  return {
    origin: `http://${hostname}:${address.port}`,
    expire: (user) => sessions.expire(user),
    close,
    [Symbol.asyncDispose]: close,
  };
}
