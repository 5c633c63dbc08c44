import { createCertificate } from './certificate.ts';
import { createDelivery } from './delivery.ts';
import { type ImapServer, startImapServer } from './imap-server.ts';
import { mailboxOwners, masters, postman } from './people.ts';
import { seededMail } from './seed-mail.ts';
import { startWebmail, type Webmail } from './webmail.ts';
import type { ImapAddress } from './webmail/mail-client.ts';

interface DemoBackend {
  readonly name: string;
  readonly imap: ImapServer;
  readonly webmail: Webmail;
}

export interface DemoBackends extends AsyncDisposable {
  readonly all: readonly DemoBackend[];
  /** The certificate of the IMAP servers, in PEM. */
  readonly certificate: string;
}

const hostname = '127.0.0.1';

/**
 * Starts backends a and b in this process, on free ports of loopback: an IMAP server with the mail of those who live
 * there, in memory, and a webmail that reads it.
 */
export async function startBackends(nowMs: number): Promise<DemoBackends> {
  const keyPair = createCertificate([hostname, 'localhost'], nowMs);
  await using started = new AsyncDisposableStack();
  const homes = new Map<string, ImapAddress>();
  const all: DemoBackend[] = [];
  for (const name of ['a', 'b']) {
    const here = mailboxOwners.filter(({ backend }) => backend === name);
    const users = Object.fromEntries(here.map(({ address, password }) => [address, password]));
    const imap = started.use(await startImapServer({ users, masters, security: 'tls', keyPair, hostname }));
    const address = { hostname, port: imap.port, ca: keyPair.certificate };
    for (const person of here) homes.set(person.address, address);
    const deliver = createDelivery({ homes, master: postman });
    const webmail = started.use(await startWebmail({ name, imap: address, deliver, hostname }));
    all.push({ name, imap, webmail });
  }
  for (const { owner, source, flags, date } of seededMail(nowMs)) {
    const home = all.find(({ name }) => name === owner.backend);
    home?.imap.account(owner.address).folders[0]?.append(source, flags, date);
  }
  const running = started.move();
  return {
    all,
    certificate: keyPair.certificate,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
