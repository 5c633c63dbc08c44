import type { Backend, BackendHost, MasterIdentity } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { MailboxAnswer, Mailboxes, MailboxOf } from '../core/passdb.ts';
import { type NoticeLanguage, noticeMessage } from './notice-message.ts';
import type { Notice } from './notices.ts';

/** A notice may take as long as a login. */
const noticeDeadlineMs = 15_000;
/** The client of the gateway's own connections. */
const ownClient: Client = { address: '127.0.0.1', port: 0, userAgent: undefined };

/** Dependencies of createMasterMailboxes. Name and languages of the site are read for each message. */
interface MasterMailboxesDeps {
  readonly mailboxes: Mailboxes;
  /** The backend of a host; undefined if it is not configured. */
  readonly backendOf: (host: BackendHost) => Backend | undefined;
  readonly newReference: () => string;
  /** A unique id of letters and digits. */
  readonly newMessageId: () => string;
  readonly site: () => { readonly name: string; readonly domain: string };
  /** The languages of the notice, the most common first. */
  readonly languages: () => readonly [NoticeLanguage, ...NoticeLanguage[]];
}

/** Support's IMAP access by the master identity of the user's backend. */
interface MasterMailboxes {
  /** Whether the mail server lets the master identity open this user's mailbox. Rejects if it could not be asked. */
  readonly checkMaster: (
    user: CanonicalUser,
    place: { readonly backend: Backend; readonly host: BackendHost },
    client: Client,
    signal: AbortSignal,
  ) => Promise<{ readonly kind: 'ok' } | { readonly kind: 'refused'; readonly why: string }>;
  /** Puts a notice into the user's INBOX. Rejects if that could not be done. */
  readonly appendMessage: (user: CanonicalUser, notice: Notice, host: BackendHost) => Promise<void>;
}

/** Opens users' mailboxes over IMAP by the backend's master identity. */
export function createMasterMailboxes(deps: MasterMailboxesDeps): MasterMailboxes {
  const { mailboxes, newReference } = deps;

  function mailboxOf(
    user: CanonicalUser,
    { backend, host, master }: { backend: Backend; host: BackendHost; master: MasterIdentity },
    client: Client,
  ): MailboxOf {
    return { user, host, master, context: { client, reference: newReference(), limits: backend.limits } };
  }

  return {
    async checkMaster(user, { backend, host }, client, signal) {
      const { master } = backend;
      if (master === undefined) return { kind: 'refused', why: noMaster(backend) };
      const answer = await mailboxes.open(mailboxOf(user, { backend, host, master }, client), signal);
      return answer.kind === 'done' ? { kind: 'ok' } : { kind: 'refused', why: answer.text };
    },
    async appendMessage(user, notice, host) {
      const backend = deps.backendOf(host);
      const master = backend?.master;
      if (backend === undefined || master === undefined) throw notAppended(host, noMaster({ name: host.name }));
      const { name, domain } = deps.site();
      const at = user.lastIndexOf('@');
      const from = { name, domain: at === -1 ? domain : user.slice(at + 1) };
      const message = noticeMessage(notice, { to: user, from, id: deps.newMessageId() }, deps.languages());
      const mailbox = mailboxOf(user, { backend, host, master }, ownClient);
      const answer: MailboxAnswer = await mailboxes.append(mailbox, message, AbortSignal.timeout(noticeDeadlineMs));
      if (answer.kind === 'refused') throw notAppended(host, answer.text);
    },
  };
}

/** The reason why no mailbox of a backend can be opened. */
export function noMaster({ name }: { readonly name: string }): string {
  return `The backend ${name} has no master in the configuration.`;
}

function notAppended({ name }: BackendHost, why: string): PosternError {
  const message = `no notice could be put into a mailbox on ${name}: ${why}`;
  return new PosternError('ERR_NO_MASTER_ENTRY', message, { source: 'imap', retryable: false });
}
