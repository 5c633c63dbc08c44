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
  const address = { hostname: '127.0.0.1', port: imap.port, ca: keyPair.certificate };
  const homes = new Map(mailboxOwners.map((person) => [person.address, address]));
  const deliver = createDelivery({ homes, master: postman });
  const webmail = started.use(
    await startWebmail({ name: backend, host, imap: address, deliver, hostname: listen, port: options.webPort }),
  );
  const running = started.move();
  return {
    imapPort: imap.port,
    webPort: Number(new URL(webmail.origin).port),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
