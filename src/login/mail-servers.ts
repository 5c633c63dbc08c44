import { type Clock, isRecent } from '../core/clock.ts';
import { isOwnShortage, PosternError } from '../core/error.ts';
import type { ImapHost, Mailboxes, Passdb, PasswordCheckContext, Referrals, ServerWords } from '../core/passdb.ts';
import { createBackendLimits } from './limits.ts';
import { crowdsOf } from './penalty.ts';

/** After a restart the password of every client must be checked at once. */
const questionsPerBackend = { atOnce: 32, waiting: 2000, source: 'imap' } as const;
/** How long a server counts as silent after a failure, unless it answers before. */
const silentAfterFailureMs = 30_000;

interface MailServersDeps {
  readonly passdb: Passdb & Referrals;
  readonly mailboxes: Mailboxes;
  /** The backend of a host, by their names; undefined for a server that belongs to none. */
  readonly backendOf: (host: string) => string | undefined;
  /** Networks that carry many users: each of their users has a place in the queue of their own. */
  readonly isExempt: (address: string) => boolean;
  readonly clock: Clock;
}

/**
 * The mail servers as all logins ask them: 32 connections to a backend at once, up to 2,000 wait, then ERR_BUSY. A
 * client that leaves gives up its place. A crowd of one network does not delay the users of others.
 */
export interface MailServers {
  readonly passdb: Passdb & Referrals;
  readonly mailboxes: Mailboxes;
  /** Whether the last question to this host's server failed, within the last 30 s. */
  isSilent(host: string): boolean;
  /** The same for any referring server, which belongs to no backend. */
  isSomeReferrerSilent(): boolean;
}

/** The user and client that a question to a server is for. */
interface Asker {
  readonly user: string;
  readonly context: PasswordCheckContext;
}

/** Limits the concurrent questions to each backend's mail servers, and remembers which are silent. */
export function createMailServers(deps: MailServersDeps): MailServers {
  const { passdb, mailboxes, backendOf, clock } = deps;
  const turnsOf = createBackendLimits(questionsPerBackend);
  const silentSince = new Map<string, number>();

  function inTurn<T>(
    { name }: ImapHost,
    { user, context: { client, left } }: Asker,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    const patience = left === undefined ? signal : AbortSignal.any([signal, left]);
    const from = crowdsOf(user, client.address, deps.isExempt);
    return turnsOf(backendOf(name) ?? `server ${name}`).take(patience, work, from);
  }

  /** Notes whether the server answers at all; "later" about a user is an answer. */
  async function listening<T>(
    { name }: ImapHost,
    context: PasswordCheckContext,
    signal: AbortSignal,
    ask: (context: PasswordCheckContext) => Promise<T>,
  ): Promise<T> {
    let answered = false;
    const heard = (said: ServerWords): void => {
      answered = true;
      context.heard?.(said);
    };
    try {
      const answer = await ask({ ...context, heard });
      silentSince.delete(name);
      return answer;
    } catch (error) {
      if (answered) silentSince.delete(name);
      else if (error instanceof PosternError && error.source === 'imap' && !signal.aborted && !isOwnShortage(error)) {
        silentSince.set(name, clock.nowMs());
      }
      throw error;
    }
  }

  const isRecentlySilent = (sinceMs: number): boolean => isRecent(sinceMs, silentAfterFailureMs, clock.nowMs());
  return {
    passdb: {
      verify: (credentials, host, context, signal) =>
        inTurn(host, { user: credentials.user, context }, signal, () =>
          listening(host, context, signal, (listener) => passdb.verify(credentials, host, listener, signal)),
        ),
      ask: (credentials, host, context, signal) =>
        inTurn(host, { user: credentials.user, context }, signal, () =>
          listening(host, context, signal, (listener) => passdb.ask(credentials, host, listener, signal)),
        ),
    },
    mailboxes: {
      open: (mailbox, signal) => inTurn(mailbox.host, mailbox, signal, () => mailboxes.open(mailbox, signal)),
      append: (mailbox, message, signal) =>
        inTurn(mailbox.host, mailbox, signal, () => mailboxes.append(mailbox, message, signal)),
    },
    isSilent(host) {
      const since = silentSince.get(host);
      return since !== undefined && isRecentlySilent(since);
    },
    isSomeReferrerSilent: () =>
      [...silentSince].some(([name, since]) => backendOf(name) === undefined && isRecentlySilent(since)),
  };
}
