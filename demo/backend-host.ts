import { createDelivery } from './delivery.ts';
import { startImapServer } from './imap-server.ts';
import { mailboxOwners, masters, postman } from './people.ts';
import type { SharedDirectory } from './shared-directory.ts';
import { startWebmail } from './webmail.ts';

export interface BackendHostOptions {
  /** The backend whose name and colour every page shows. */
  readonly backend: string;
  /** The host within the backend, if it is not the only one, such as `a/2`. */
  readonly host: string | undefined;
  /** The address to listen on. */
  readonly listen: string;
  /** 0 for a free port. */
  readonly imapPort: number;
  /** 0 for a free port. */
  readonly webPort: number;
  readonly shared: SharedDirectory;
}

export interface BackendHost extends AsyncDisposable {
  readonly imapPort: number;
  readonly webPort: number;
}

/**
 * Starts one machine of a backend: an IMAP server and a webmail over the shared mail. Everybody may sign in on every
 * machine, so that a standby can take over and a user can be moved.
 */
export async function startBackendHost(options: BackendHostOptions): Promise<BackendHost> {
  const { backend, host, listen, shared } = options;
  const { keyPair, mail } = shared;
  await using started = new AsyncDisposableStack();
  const users = Object.fromEntries(mailboxOwners.map(({ address, password }) => [address, password]));
  const imap = started.use(
    await startImapServer({ users, masters, mail, keyPair, security: 'tls', hostname: listen, port: options.imapPort }),
  );
  // Every certificate of the demo has the name localhost; an address of this machine need not be in it.
  const hostname = listen === '0.0.0.0' ? '127.0.0.1' : listen;
  const address = { hostname, tlsName: 'localhost', port: imap.port, ca: keyPair.certificate };
  const homes = new Map(mailboxOwners.map((person) => [person.address, address]));
  const deliver = createDelivery({ homes, master: postman });
  const webmail = started.use(
    await startWebmail({ name: backend, host, imap: address, deliver, hostname: listen, port: options.webPort }),
  );
  const running = started.move();
  return {
    imapPort: imap.port,
    // A URL does not name the port of its scheme.
    webPort: Number(new URL(webmail.origin).port || 80),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
