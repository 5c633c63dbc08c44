import type { ImapFlow } from 'imapflow';
import { nameForServer } from '../core/names.ts';
import type { MailboxAnswer, Mailboxes, MailboxOf, MailboxRefusal } from '../core/passdb.ts';
import {
  authenticateBy,
  createClient,
  isServer,
  NotAuthenticated,
  type TaggedAnswer,
  withinLimits,
} from './imap-client.ts';
import { refersElsewhere, responseCodeOf, translateFailure } from './imap-failure.ts';
import { isWayRefused, verdictOf } from './imap.ts';

/**
 * Opens mailboxes over IMAP by SASL PLAIN with the user as authorization id (RFC 4616).
 *
 * LOGIN would open the master's own mailbox, so the master's password is sent by AUTH=PLAIN only, and only if the
 * server offers it; `done` means its tagged OK. Cyrus lets a proxy in as any name, and creates an INBOX for names that
 * have none. There the master first asks, as itself, whether the mailbox exists, which Cyrus tells only to `admins`.
 * The connections of a call are closed when it settles.
 */
export function createImapMailboxes(): Mailboxes {
  return {
    open: (mailbox, signal) => openMailbox(mailbox, signal, () => Promise.resolve(done)),
    append: (mailbox, message, signal) => openMailbox(mailbox, signal, (client) => append(client, mailbox, message)),
  };
}

const done: MailboxAnswer = { kind: 'done' };
type Work = (client: ImapFlow) => Promise<MailboxAnswer>;

async function openMailbox(mailbox: MailboxOf, signal: AbortSignal, work: Work): Promise<MailboxAnswer> {
  if (/\p{Cc}/u.test(mailbox.user)) return mailboxRefused('user-refused');
  const first = await connected(mailbox, { asUser: true, makesMailboxes: false }, signal, work);
  if (first !== 'makes-mailboxes') return first;
  const shown = await connected(mailbox, { asUser: false, makesMailboxes: true }, signal, (client) =>
    isShown(client, mailbox),
  );
  if (shown === 'makes-mailboxes') return mailboxRefused('not-shown');
  if (shown.kind === 'refused') return shown;
  const entered = await connected(mailbox, { asUser: true, makesMailboxes: true }, signal, work);
  return entered === 'makes-mailboxes' ? mailboxRefused('not-shown') : entered;
}

interface ConnectionMode {
  /** Whether the master acts as the user, or as itself. */
  readonly asUser: boolean;
  /** Whether a server that creates mailboxes for any name is acceptable. */
  readonly makesMailboxes: boolean;
}

/** Connects and does the work. `makes-mailboxes`: the server creates mailboxes, and no password was sent to it. */
async function connected(
  mailbox: MailboxOf,
  { asUser, makesMailboxes }: ConnectionMode,
  signal: AbortSignal,
  work: Work,
): Promise<MailboxAnswer | 'makes-mailboxes'> {
  const { master, host, context } = mailbox;
  const user = nameForServer(mailbox.user, host.imap.loginName);
  const seen: { held?: 'makes-mailboxes' | 'no-plain'; answer?: TaggedAnswer } = {};
  const client = await createClient(host, context);
  if (!asUser) withoutNamespaces(client);
  authenticateBy(client, host, async (exchange) => {
    // The server has named itself and its capabilities; the password is not sent where another way is needed.
    if (!client.capabilities.has('AUTH=PLAIN')) seen.held = 'no-plain';
    // A Cyrus that hides its name is not recognised here: it must be configured not to autocreate.
    else if (!makesMailboxes && isServer(client, 'cyrus')) seen.held = 'makes-mailboxes';
    if (seen.held !== undefined) throw new NotAuthenticated(seen.held);
    return (seen.answer = await exchange.plain(master.user, master.password.reveal(), asUser ? user : ''));
  });
  try {
    return await withinLimits(client, host, context.limits, signal, async () => {
      await client.connect();
      return work(client);
    });
  } catch (error) {
    if (seen.held === 'makes-mailboxes') return seen.held;
    if (seen.held === 'no-plain') return mailboxRefused('no-authorization-id');
    if (seen.answer === undefined || seen.answer.status === 'OK') throw translateFailure(error, host);
    return refusalByAnswer(seen.answer, host);
  } finally {
    client.close();
  }
}

function refusalByAnswer(answer: TaggedAnswer, host: MailboxOf['host']): MailboxAnswer {
  if (isWayRefused(answer)) return mailboxRefused('no-authorization-id');
  if (verdictOf(answer, {}, { host, isDovecot: false }).kind === 'referred') throw refersElsewhere(host);
  return mailboxRefused(answer.code === 'AUTHORIZATIONFAILED' ? 'user-refused' : 'master-refused');
}

/** Whether the mailbox exists. GETQUOTAROOT answers for visible mailboxes only, and creates none (RFC 9208). */
async function isShown(client: ImapFlow, mailbox: MailboxOf): Promise<MailboxAnswer> {
  const user = nameForServer(mailbox.user, mailbox.host.imap.loginName);
  const delimiter = client.namespace?.delimiter ?? '/';
  const at = user.lastIndexOf('@');
  const [local, domain] = at === -1 ? [user, ''] : [user.slice(0, at), user.slice(at)];
  const name = delimiter === '.' ? local.replaceAll('.', '^') : local;
  const quota = await client.getQuota(`user${delimiter}${name}${domain}`);
  return quota === false || quota === undefined ? mailboxRefused('not-shown') : done;
}

/**
 * Hides the NAMESPACE capability from imapflow, which then asks LIST for the delimiter. Cyrus answers an admin's
 * NAMESPACE with no personal one, at which imapflow stalls for ever.
 */
function withoutNamespaces(client: ImapFlow): void {
  let { capabilities } = client;
  Object.defineProperty(client, 'capabilities', {
    get: () => capabilities,
    set: (announced: typeof capabilities) => {
      announced.delete('NAMESPACE');
      capabilities = announced;
    },
  });
}

async function append(client: ImapFlow, { host }: MailboxOf, message: string): Promise<MailboxAnswer> {
  try {
    const appended = await client.append('INBOX', message);
    return appended === false ? mailboxRefused('not-written') : done;
  } catch (error) {
    if (responseCodeOf(error) !== undefined) return mailboxRefused('not-written');
    throw translateFailure(error, host);
  }
}

const refusalTexts: Readonly<Record<MailboxRefusal, string>> = {
  'master-refused':
    'The mail server refuses the master identity: check its name and password, and that it may act for users.',
  'user-refused': 'The mail server accepts the master identity, but not for this user.',
  'no-authorization-id': 'The mail server offers no AUTH=PLAIN: a master identity would only open its own mailbox.',
  'not-shown':
    'This Cyrus server creates a mailbox for any name, and tells only its admins that this one exists: make the master one of them.',
  'not-written': 'The mail server does not let the master add a message to this mailbox: check quota and rights.',
};

function mailboxRefused(why: MailboxRefusal): MailboxAnswer {
  return { kind: 'refused', why, text: refusalTexts[why] };
}
