import { type Audit, type AuditFacts, recordIfPossible } from '../core/audit.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { canonicalUser, nameForServer } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import {
  createMailProgram,
  type MailEndCount,
  mailFailure,
  type MailRow,
  type MailServer,
  type MailTarget,
} from './mail-server.ts';

/** A mail connection, and the mail proxy that told of it. */
export interface MailConnection extends MailRow {
  readonly proxy: string;
}

/** A mail proxy that did not do what it should, and why. */
export interface UnreachedProxy {
  readonly proxy: string;
  readonly why: string;
}

/** The connections of all mail proxies that could be asked. */
export interface MailList {
  readonly connections: readonly MailConnection[];
  readonly unreached: readonly UnreachedProxy[];
}

/** How many connections were ended, how many were not although they should, and which proxies could not be asked. */
export interface MailEnd extends MailEndCount {
  readonly unreached: readonly UnreachedProxy[];
}

/** Who ends mail connections, on what occasion and why. */
export interface MailEndOrder {
  readonly by: string;
  readonly occasion: 'kick' | 'lock' | 'move';
  readonly reason: string;
  readonly address?: string;
}

/** The mail connections of users, beside their sessions. Both resolve with undefined if no mail proxy is configured. */
export interface MailConnections {
  list(user: string): Promise<MailList | undefined>;
  end(whose: readonly MailTarget[], order: MailEndOrder): Promise<MailEnd | undefined>;
}

/** A mail proxy, or a mail server, of the configuration. */
export interface MailProxy {
  readonly name: string;
  readonly timeoutMs: number;
  /** Template for the names of users there; the canonical user unless given. */
  readonly loginName?: string;
  readonly access:
    | { readonly kind: 'dovecot'; readonly url: string; readonly apiKey: Secret; readonly ca?: string }
    | { readonly kind: 'program'; readonly program: string };
}

interface MailConnectionsOptions {
  readonly proxies: readonly MailProxy[];
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Log;
}

/** Connections of one user that a proxy may name: what says more is not worth the memory. */
const mostListed = 1_000;
/** Users whose connections one proxy ends at once, when many are locked. */
const mailUsersAtOnce = 8;

/** Makes the mail connections over these proxies, of which there is at least one. All are asked at once. */
export function createMailConnections({ proxies, audit, log }: MailConnectionsOptions): MailConnections {
  return {
    async list(user) {
      const connections: MailConnection[] = [];
      const unreached = await eachProxy(proxies, log, async (proxy) => {
        const whose = whoseAt(proxy, { kind: 'user', name: user });
        const rows = await (await serverOf(proxy)).list(whose, AbortSignal.timeout(proxy.timeoutMs));
        connections.push(
          ...rows
            .slice(0, mostListed)
            .map(({ login, service, address }) => ({ proxy: proxy.name, login, service, address })),
        );
      });
      return { connections, unreached };
    },
    async end(all, order) {
      const total = { ended: 0, left: 0 };
      const unreached = await eachProxy(proxies, log, async (proxy) => {
        const server = await serverOf(proxy);
        const failures: unknown[] = [];
        for (let from = 0; from < all.length; from += mailUsersAtOnce) {
          const some = all.slice(from, from + mailUsersAtOnce).map(async (whose) => {
            const { ended, left } = await server.end(whoseAt(proxy, whose), AbortSignal.timeout(proxy.timeoutMs));
            total.ended += ended;
            total.left += left;
          });
          failures.push(...(await Promise.allSettled(some)).flatMap((one) => ('reason' in one ? [one.reason] : [])));
          // One that does not answer is not asked for each of a thousand users.
          if (failures.some((one) => !(one instanceof PosternError) || one.retryable)) break;
        }
        if (failures.length > 0) throw failures[0];
      });
      const end = { ...total, unreached };
      await recordEnd(audit, all, order, end);
      return end;
    },
  };
}

/** Says whether a proxy would list and end connections. Rejects with ERR_MAIL_PROXY if not. */
export async function checkMailProxy(proxy: MailProxy, signal: AbortSignal): Promise<string> {
  return (await serverOf(proxy)).check(signal);
}

/** Asks each proxy, all at once; one that fails keeps no other waiting, and is named. */
async function eachProxy(
  proxies: readonly MailProxy[],
  log: Log,
  ask: (proxy: MailProxy) => Promise<void>,
): Promise<readonly UnreachedProxy[]> {
  const failures = proxies.map(async (proxy): Promise<readonly UnreachedProxy[]> => {
    try {
      await ask(proxy);
      return [];
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      log.warn('mail-proxy-unreached', { proxy: proxy.name, err: error });
      return [{ proxy: proxy.name, why: error.message }];
    }
  });
  return (await Promise.all(failures)).flat();
}

async function serverOf({ access }: MailProxy): Promise<MailServer> {
  if (access.kind === 'program') return createMailProgram(access.program);
  return (await import('./doveadm.ts')).createDoveadm(access);
}

/** MailTarget connections these are by the names of this proxy. Throws if it cannot tell. */
function whoseAt({ loginName }: MailProxy, whose: MailTarget): MailTarget {
  if (whose.kind === 'user') return { kind: 'user', name: nameForServer(canonicalUser(whose.name), loginName) };
  if (whose.kind === 'domain' && loginName !== undefined) {
    const why = 'its names of users (login_name) may have no domain, so it cannot tell who is of this one';
    throw mailFailure(why, { ofName: true });
  }
  return whose;
}

function recordEnd(
  audit: Pick<Audit, 'record'>,
  all: readonly MailTarget[],
  { by, occasion, reason, address }: MailEndOrder,
  { ended, left, unreached }: MailEnd,
): Promise<void> {
  const [only, ...others] = all;
  if (only === undefined || (ended === 0 && left === 0 && unreached.length === 0)) return Promise.resolve();
  const missing = unreached.map(({ proxy, why }) => `${proxy}: ${why}`).join('; ');
  const facts: AuditFacts = {
    occasion,
    ended,
    ...(left === 0 ? {} : { left }),
    ...(missing === '' ? {} : { unreached: missing }),
    ...(others.length === 0 ? {} : { subjects: all.length }),
    reason,
  };
  const subject = others.length === 0 ? only.name : `${only.name}, and ${others.length} more`;
  return recordIfPossible(audit, { event: 'mail-end', actor: by, subject, facts, ...defined({ address }) });
}
