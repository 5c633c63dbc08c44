import { createCertificate, type KeyPair } from '../../demo/certificate.ts';
import { createDelivery } from '../../demo/delivery.ts';
import { type ImapServer, startImapServer } from '../../demo/imap-server.ts';
import { startWebmail, type Webmail } from '../../demo/webmail.ts';
import { Browser, fieldsIn, type Landed } from '../demo/browser.fixture.ts';

const hostname = '127.0.0.1';
const password = 'wonderland';

/** One machine with everybody's mailbox, and a webmail that says its name on each page. */
export interface Machine {
  readonly name: string;
  readonly imapPort: number;
  readonly imap: Pick<ImapServer, 'logins'>;
  readonly webmail: Webmail;
}

/** Starts machines that are closed with `opened`; on each of them all these users have their mail. */
export function createMachines(
  opened: AsyncDisposableStack,
  names: readonly string[] = ['alice@example.test', 'anna@example.test', 'bob@example.test'],
): {
  /** All of them have it. */
  readonly keyPair: KeyPair;
  readonly start: (name: string) => Promise<Machine>;
} {
  const keyPair = createCertificate([hostname, 'localhost'], Date.now());
  const users = Object.fromEntries(names.map((name) => [name, password]));
  const deliver = createDelivery({ homes: new Map(), master: { name: 'nobody', password: 'nothing' } });
  return {
    keyPair,
    async start(name: string): Promise<Machine> {
      const imap = opened.use(await startImapServer({ users, masters: {}, security: 'tls', keyPair, hostname }));
      const address = { hostname, port: imap.port, ca: keyPair.certificate };
      const webmail = opened.use(await startWebmail({ name, imap: address, deliver, hostname }));
      return { name, imapPort: imap.port, imap, webmail };
    },
  };
}

/** The part of a configuration that is about all machines. */
export const backendDefaults = `backend_defaults:
  driver: form
  health: { http_interval: 100ms, imap_interval: 0s, timeout: 1s }
  form:
    page: /login
    user_field: user
    password_field: password
    success: { path: /login, status: 303, location: /mail/ }
    failure: { path: /login, status: 401 }
    lost: [{ status: 302, location: /login }, { path: /api/, status: 401 }]
    signed_out: { path: /logout, status: 303, removes_cookie: demo_session }
    polls: [/api/poll, /api/events]
`;

/** The servers of a machine, in a configuration. */
export function place({ imapPort, webmail }: Machine): string {
  return `imap: "imaps://127.0.0.1:${imapPort}", webmail: "${webmail.origin}/"`;
}

export interface SignedIn {
  readonly browser: Browser;
  readonly landed: Landed;
}

/** Signs one of them in at the node of this origin. */
export async function signInAt(origin: string, user: string, typed = password): Promise<SignedIn> {
  const browser = new Browser(origin);
  const form = fieldsIn(await browser.text('/-/login'));
  form.set('user', user);
  form.set('password', typed);
  return { browser, landed: await browser.submit('/-/login', form) };
}
