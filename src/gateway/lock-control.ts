import type { MailConnections } from '../backends/mail-connections.ts';
import type { StateReplica } from '../backends/state-replica.ts';
import type { Lock } from '../backends/state-values.ts';
import {
  lockKey,
  type LockChange,
  type LockControl,
  type LockingEnd,
  type LockOrder,
  type LockTarget,
  type Locks,
} from '../backends/user-orders.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { canonicalUser } from '../core/names.ts';
import { type AgedReport, type NodeReport, reportLivesMs, type UnreachedNode } from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import type { ListedSession } from '../core/session.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { NodeReports } from './parts.ts';

/** Options of createLockControl. */
export interface LockControlOptions {
  readonly state: Pick<StateReplica, 'locks' | 'version'>;
  readonly locks: Pick<Locks, 'named' | 'ofSession'>;
  readonly sessions: Pick<NodeSessions, 'allSessions' | 'sessionsOfUser' | 'end'>;
  readonly mail: Pick<MailConnections, 'end'>;
  readonly reports: Pick<NodeReports, 'known'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The time in which all nodes should have confirmed; each reads the state twice a second. */
const confirmedWithinMs = 2_000;
const askEveryMs = 100;
/** Entries that are written, and users whose sessions are listed, at once. */
const writesAtOnce = 50;

/** Creates the control of the locks. What a lock ends besides the sessions is ended in `#endOpen`. */
export function createLockControl(options: LockControlOptions): LockControl {
  return new SharedLocks(options);
}

class SharedLocks implements LockControl {
  readonly #options: LockControlOptions;

  constructor(options: LockControlOptions) {
    this.#options = options;
  }

  async lock(targets: readonly LockTarget[], order: LockOrder): Promise<LockingEnd> {
    const { state, clock, log } = this.#options;
    const before = targets.filter((target) => this.#options.locks.named(target) !== undefined);
    // As soon as the lock is known here, this node ends what it has in memory: listed later, that would be missing.
    const open = await this.#ofUsers(targets).catch(unlistedBecause);
    const lock: Lock = { ...order, sinceMs: clock.nowMs() };
    await this.#writeAll(targets, (key) => state.locks.set(key, lock));
    for (const target of targets) log.info('lock-set', { key: lockKey(target), by: order.by, reason: order.reason });
    const [ends, mail, reach] = await Promise.all([
      this.#endOpen(targets, open, order.by),
      this.#options.mail.end(targets, { by: order.by, reason: order.reason, occasion: 'lock' }),
      this.#reach(),
    ]);
    return { ...ends, ...reach, ...defined({ mail }), before };
  }

  async unlock(targets: readonly LockTarget[], by: string): Promise<LockChange> {
    const { state, locks, log } = this.#options;
    const before = targets.filter((target) => locks.named(target) !== undefined);
    await this.#writeAll(before, (key) => state.locks.remove(key));
    for (const target of before) log.info('lock-lifted', { key: lockKey(target), by });
    return { ...(await this.#reach()), before };
  }

  /** Rejects with how much was written, if the store fails on the way. */
  async #writeAll(targets: readonly LockTarget[], write: (key: string) => Promise<void>): Promise<void> {
    let done = 0;
    for (let from = 0; from < targets.length; from += writesAtOnce) {
      const some = targets.slice(from, from + writesAtOnce).map(async (target) => {
        await write(lockKey(target));
        done += 1;
      });
      const failed = (await Promise.allSettled(some)).find((one) => one.status === 'rejected');
      if (failed === undefined) continue;
      if (!(failed.reason instanceof PosternError)) throw failed.reason;
      const { code, message, source, retryable } = failed.reason;
      // A store that hangs may still carry out what it was told.
      const what = `the state store did not confirm the change (${done} of ${targets.length} are written; see postern user locks when it answers again): ${message}`;
      throw new PosternError(code, what, { source, retryable, cause: failed.reason });
    }
  }

  /** The sessions of the locked users themselves. */
  async #ofUsers(targets: readonly LockTarget[]): Promise<readonly ListedSession[]> {
    const users = targets.filter(({ kind }) => kind === 'user').map(({ name }) => canonicalUser(name));
    const found: ListedSession[] = [];
    for (let from = 0; from < users.length; from += writesAtOnce) {
      const some = users.slice(from, from + writesAtOnce).map((user) => this.#options.sessions.sessionsOfUser(user));
      found.push(...(await Promise.all(some)).flat());
    }
    return found;
  }

  /** Ends what is open of whom a lock covers: sessions, also those that no node has in memory. */
  async #endOpen(
    targets: readonly LockTarget[],
    listed: readonly ListedSession[] | Unlisted,
    by: string,
  ): Promise<Pick<LockingEnd, 'ended' | 'unlisted'>> {
    const ended = new Set<string>();
    const end = async (some: readonly ListedSession[]): Promise<void> => {
      const locked = some.filter(({ record }) => this.#options.locks.ofSession(record) !== undefined);
      for (const { key } of locked) ended.add(key);
      await Promise.all(locked.map(({ key }) => this.#options.sessions.end(key, 'locked', by)));
    };
    try {
      // Somebody may have signed in since the first list.
      for (const some of [listed, await this.#ofUsers(targets)]) if ('map' in some) await end(some);
      if (targets.some(({ kind }) => kind !== 'user')) {
        for await (const page of this.#options.sessions.allSessions()) await end(page);
      }
      return { ended: ended.size };
    } catch (error) {
      return { ended: ended.size, ...unlistedBecause(error) };
    }
  }

  /** Waits until all nodes have read what this one has, for two seconds. */
  async #reach(): Promise<Omit<LockChange, 'before'>> {
    const { state, reports, clock } = this.#options;
    const wanted = state.version() ?? 0;
    const untilMs = clock.nowMs() + confirmedWithinMs;
    for (;;) {
      let known: readonly AgedReport[];
      try {
        known = await reports.known();
      } catch (error) {
        const why = `the other nodes cannot be asked: ${unlistedBecause(error).unlisted}`;
        return { nodes: 1, unreached: [{ name: 'others', why }] };
      }
      const all = known.filter((one) => !isReplaced(one, known));
      const behind = all.filter(({ report }) => (report.stateVersion ?? -1) < wanted);
      const nodes = all.length;
      if (behind.length === 0) return { nodes, unreached: [] };
      if (clock.nowMs() >= untilMs) return { nodes, unreached: behind.map(unreachedNode) };
      await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    }
  }
}

interface Unlisted {
  readonly unlisted: string;
}

function unlistedBecause(error: unknown): Unlisted {
  if (!(error instanceof PosternError)) throw error;
  return { unlisted: error.message };
}

/** Whether a silent node has been started again: its machine has a node that began after its last report. */
function isReplaced({ report, ageMs }: AgedReport, known: readonly AgedReport[]): boolean {
  if (ageMs <= reportLivesMs) return false;
  return known.some((other) => machineOf(other.report) === machineOf(report) && other.report.startedAtMs > report.atMs);
}

/** The name of a node begins with its machine's. */
function machineOf({ name }: Pick<NodeReport, 'name'>): string {
  return name.split(' ', 1)[0] ?? '';
}

function unreachedNode({ report: { name, stateVersion }, ageMs }: AgedReport): UnreachedNode {
  if (ageMs > reportLivesMs) return { name, why: `it has been silent for ${Math.round(ageMs / 1000)} s` };
  const isOld = stateVersion === undefined;
  return { name, why: isOld ? 'it has not said that it knows of locks' : 'it has not confirmed within 2 s' };
}
