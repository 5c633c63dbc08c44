import { type ImapAddress, withMailbox } from './webmail/mail-client.ts';
import type { Deliver } from './webmail/site.ts';

export interface DeliverySettings {
  /** Address of a user → the IMAP server that holds the mailbox. */
  readonly homes: ReadonlyMap<string, ImapAddress>;
  /** A master user of all these servers. */
  readonly master: { readonly name: string; readonly password: string };
}

/** Delivers a message: appends it to each recipient's INBOX on the recipient's backend. */
export function createDelivery({ homes, master }: DeliverySettings): Deliver {
  return async (recipients, message) => {
    const known = recipients.flatMap((user) => {
      const home = homes.get(user);
      return home === undefined ? [] : [{ user, home }];
    });
    if (known.length < recipients.length) return recipients.filter((user) => !homes.has(user));
    for (const { user, home } of known) {
      const key = { user, actor: master.name, password: master.password };
      await withMailbox(home, key, (client) => client.append('INBOX', message));
    }
    return [];
  };
}
