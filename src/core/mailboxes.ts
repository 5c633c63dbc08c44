import type { BackendHost, MasterIdentity } from './backend.ts';
import type { CanonicalUser } from './names.ts';
import type { PasswordCheckContext } from './passdb.ts';

/**
 * Why a mailbox is not opened by the master identity. `user-refused`: to this user it is not let in. `not-shown`: the
 * server would make a mailbox for whoever is named, and does not show that this one exists. `not-written`: it takes no
 * message of the master, for a quota or want of rights.
 */
export type MailboxRefusal = 'master-refused' | 'user-refused' | 'no-authorization-id' | 'not-shown' | 'not-written';

/** `text` is a sentence for staff and operators: what is in the way, and what an operator would do. */
export type MailboxAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly why: MailboxRefusal; readonly text: string };

/** One mailbox, and who opens it in its owner's name. */
export interface MailboxOf {
  /** Whom the directory has found: never a name that only a default answered for. */
  readonly user: CanonicalUser;
  readonly master: MasterIdentity;
  readonly host: BackendHost;
  readonly context: PasswordCheckContext;
}

/** Mailboxes, opened by a master identity. Every call rejects with source `imap` when the server could not be asked. */
export interface Mailboxes {
  /** Whether the master identity is let in to this user's own mailbox; nothing in it is touched. */
  open(mailbox: MailboxOf, signal: AbortSignal): Promise<MailboxAnswer>;
  /** Puts a message (RFC 5322, CRLF) into the INBOX, unread. */
  append(mailbox: MailboxOf, message: string, signal: AbortSignal): Promise<MailboxAnswer>;
}
