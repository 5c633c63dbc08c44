import { spawn } from 'node:child_process';
import { type Audit, type AuditFacts, recordIfPossible } from '../core/audit.ts';
import { messageFrom, PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { canonicalUser, nameForServer } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { shortLine } from '../core/text.ts';

/** Whose connections: of a user, of all users of a domain, or of everybody in a network. */
export interface Whose {
  readonly kind: 'user' | 'domain' | 'network';
  readonly name: string;
}

/** A connection to a mail server or its proxy, as that server names it. */
export interface MailRow {
  /** The name of the user there. */
  readonly login: string;
  /** Such as `imap`. */
  readonly service: string;
  /** The client's address. */
  readonly address: string;
}

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
export interface MailEnd {
  readonly ended: number;
  readonly left: number;
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
  end(whose: readonly Whose[], order: MailEndOrder): Promise<MailEnd | undefined>;
}

/** Lists and ends the connections of one server. Each rejects with ERR_MAIL_PROXY if that could not be done. */
export interface MailServer {
  list(whose: Whose, signal: AbortSignal): Promise<readonly MailRow[]>;
  end(whose: Whose, signal: AbortSignal): Promise<Pick<MailEnd, 'ended' | 'left'>>;
  /** Whether it would do so; resolves with what it can. */
  check(signal: AbortSignal): Promise<string>;
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
const endedAtOnce = 8;

/** Makes the mail connections over these proxies, of which there is at least one. All are asked at once. */
export function createMailConnections({ proxies, audit, log }: MailConnectionsOptions): MailConnections {
  return {
    async list(user) {
      const connections: MailConnection[] = [];
      const unreached = await eachProxy(proxies, log, async (proxy) => {
        const whose = whoseAt(proxy, { kind: 'user', name: user });
        const rows = await (await serverOf(proxy)).list(whose, AbortSignal.timeout(proxy.timeoutMs));
        connections.push(...rows.slice(0, mostListed).map((row) => ({ proxy: proxy.name, ...row })));
      });
      return { connections, unreached };
    },
    async end(all, order) {
      const total = { ended: 0, left: 0 };
      const unreached = await eachProxy(proxies, log, async (proxy) => {
        const server = await serverOf(proxy);
        const failures: unknown[] = [];
        for (let from = 0; from < all.length; from += endedAtOnce) {
          const some = all.slice(from, from + endedAtOnce).map(async (whose) => {
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

/** Whose connections these are by the names of this proxy. Throws if it cannot tell. */
function whoseAt({ loginName }: MailProxy, whose: Whose): Whose {
  if (whose.kind === 'user') return { kind: 'user', name: nameForServer(canonicalUser(whose.name), loginName) };
  if (whose.kind === 'domain' && loginName !== undefined) {
    const why = 'its names of users (login_name) may have no domain, so it cannot tell who is of this one';
    throw mailFailure(why, { ofName: true });
  }
  return whose;
}

function recordEnd(
  audit: Pick<Audit, 'record'>,
  all: readonly Whose[],
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

const keptOutput = 64 * 1024;

/**
 * Makes the client of a program, for servers without an API. It gets the action (`list` or `end`), the kind and the name
 * as arguments, prints a line `SERVICE ADDRESS` for each connection that there is or was ended, and ends with 0.
 */
function createMailProgram(program: string): MailServer {
  const rowsOf = async (action: 'list' | 'end', whose: Whose, signal: AbortSignal): Promise<MailRow[]> => {
    const said = await runMailProgram(program, [action, whose.kind, whose.name], signal);
    const lines = said.split('\n').filter((line) => line.trim() !== '');
    return lines.map((line) => {
      const [service = '', address = ''] = line.trim().split(/\s+/);
      return { login: whose.name, service: shortLine(service, 60), address: shortLine(address, 60) };
    });
  };
  return {
    list: (whose, signal) => rowsOf('list', whose, signal),
    end: async (whose, signal) => ({ ended: (await rowsOf('end', whose, signal)).length, left: 0 }),
    async check(signal) {
      await rowsOf('list', { kind: 'user', name: 'postern-check@invalid' }, signal);
      return 'lists connections';
    },
  };
}

/** Runs a program without a shell and resolves with its output. It and what it started are killed at `signal`. */
async function runMailProgram(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const env = { PATH: process.env['PATH'] ?? '' };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let [said, complaint] = ['', ''];
  const stop = (why: string): void => {
    reject(mailFailure(`${program} ${why}`));
    try {
      // The whole group: an ssh that it started holds its output open.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  };
  const late = (): void => stop('took too long and was stopped');
  signal.addEventListener('abort', late, { once: true });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.length > keptOutput) stop(`printed more than ${keptOutput / 1024} KiB and was stopped`);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2_000)));
  child.on('error', (error) => stop(`cannot be run: ${messageFrom(error)}`));
  child.on('close', (code, ending) => {
    if (code === 0) return resolve(said);
    const lastLine = shortLine(complaint.trim().split('\n').at(-1) ?? '', 300);
    const how = code === null ? `ended by ${ending ?? 'a signal'}` : `ended with ${code}`;
    reject(mailFailure(`${program} ${how}${lastLine === '' ? '' : `: ${lastLine}`}`));
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', late);
  }
}

/** Makes the failure of a mail proxy. `ofName`: it is the name that cannot be asked about; other names can. */
export function mailFailure(why: string, { ofName = false } = {}): PosternError {
  return new PosternError('ERR_MAIL_PROXY', why, { source: 'imap', retryable: !ofName });
}
