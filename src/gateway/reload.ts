import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { type ConfigDiff, diffConfig } from '../config/diff.ts';
import { ConfigInvalid, formatProblem } from '../config/problems.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { NodeReport, ReloadOutcome } from '../core/node-report.ts';
import type { ClusterState, ConfigHolder, ConfigSnapshot, GatewayNode } from './parts.ts';
import { buildSnapshot } from './snapshot.ts';

interface ReloadDeps {
  readonly readConfig: () => Promise<Config>;
  readonly node: GatewayNode;
  readonly holder: ConfigHolder;
  /** Called once requests are served by the new snapshot. */
  readonly replaced: () => void;
  readonly log: Log;
}

interface Reload extends AsyncDisposable {
  /**
   * Takes over the new configuration as a whole, or keeps the old one; the log says which. Never rejects. Runs one at a
   * time, in order.
   */
  run(): Promise<ReloadOutcome>;
  /** Whether the last run, or the start, took its configuration over. */
  readonly isLastGood: boolean;
}

/** Creates the reload: it puts a new snapshot in force, and closes the old one when no request can be using it. */
export function createReload({ readConfig, node, holder, replaced, log }: ReloadDeps): Reload {
  const retirement = createRetirement(log);
  let last: Promise<ReloadOutcome> = Promise.resolve(kept([]));
  let isLastGood = true;

  /** The new snapshot and the changes, or the changes that need a restart. */
  async function prepare(): Promise<Prepared | Unprepared> {
    const next = await readConfig();
    const diff = diffConfig(holder.config, next);
    if (diff.refused.length > 0) {
      log.error('config-refused', { code: 'ERR_CONFIG_INVALID', problems: diff.refused });
      return { problems: diff.refused };
    }
    const fresh = await buildSnapshot(next, node.parts);
    await node.keys.reload().catch(async (error: unknown) => {
      await fresh[Symbol.asyncDispose]();
      throw error;
    });
    return { fresh, diff };
  }

  async function takeOver({ fresh, diff: { changed, removed } }: Prepared) {
    const before = holder.current;
    holder.replace(fresh);
    replaced();
    retirement.retire(before);
    await node.certificates?.reload(fresh.config.tls);
    // All other sessions end at their next request, in WebmailRequests.pass.
    await node.sessions.endCachedOn(new Set(removed), 'backend-removed');
    const serverKeys = node.keys.current().all.map(({ id }) => id);
    log.info('config-reloaded', { changed, removed, serverKeys });
  }

  async function reload(): Promise<ReloadOutcome> {
    const prepared = await prepare().catch((error: unknown): Unprepared => {
      log.error('config-not-read', whyNot(error));
      return { problems: toldProblems(error) };
    });
    isLastGood = 'fresh' in prepared;
    if (!('fresh' in prepared)) return kept(prepared.problems);
    const { changed, removed } = prepared.diff;
    const problems: string[] = [];
    await takeOver(prepared).catch((error: unknown) => {
      isLastGood = false;
      problems.push(...toldProblems(error));
      log.error('config-partly-active', whyNot(error));
    });
    return { active: true, changed: changed.slice(0, mostToldOf), removed, problems };
  }

  return {
    run: () => (last = last.then(reload)),
    get isLastGood() {
      return isLastGood;
    },
    [Symbol.asyncDispose]: () => retirement[Symbol.asyncDispose](),
  };
}

interface Prepared {
  readonly fresh: ConfigSnapshot;
  readonly diff: ConfigDiff;
}

/** Why the new configuration cannot be taken over. */
interface Unprepared {
  readonly problems: readonly string[];
}

/** So many changed keys, or problems, are told to who ordered the reload; the log has all. */
const mostToldOf = 100;

function kept(problems: readonly string[]): ReloadOutcome {
  return { active: false, changed: [], removed: [], problems: problems.slice(0, mostToldOf) };
}

function whyNot(error: unknown): object {
  if (error instanceof ConfigInvalid) {
    return { code: 'ERR_CONFIG_INVALID', problems: error.problems.map(formatProblem) };
  }
  return { ...(error instanceof PosternError ? { code: error.code } : {}), err: error };
}

/** For who ordered the reload. Words of libraries, which may quote what they read, stay in the log. */
function toldProblems(error: unknown): readonly string[] {
  if (error instanceof ConfigInvalid) return error.problems.map(formatProblem);
  return [error instanceof PosternError ? error.message : 'a bug in Postern: see its log'];
}

interface ReloadOrdersDeps {
  readonly node: {
    readonly reports: Pick<GatewayNode['reports'], 'noteReload' | 'publish'> & {
      readonly read: () => Promise<readonly Pick<NodeReport, 'name' | 'reload'>[]>;
    };
    readonly cluster: Pick<ClusterState, 'nodeName'> & {
      readonly state: Pick<ClusterState['state'], 'watch' | 'isFollowed'>;
      readonly reloads: Pick<ClusterState['reloads'], 'get' | 'set'>;
    };
  };
  readonly reload: Pick<Reload, 'run'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a reload did on each node; `undefined` for one that has not answered. */
type OutcomePerNode = ReadonlyMap<string, ReloadOutcome | undefined>;

/** Reloads that operators order, of this node or of all. */
export interface ReloadOrders extends Disposable {
  here(): Promise<OutcomePerNode>;
  /** Resolves when every node has answered, or after 30 s. Rejects if the stores cannot be asked. */
  everywhere(by: string, reason: string): Promise<OutcomePerNode>;
}

/** The only key of the table: a later order replaces an earlier one. */
const orderKey = 'nodes';
const answerMs = 30_000;
const askAgainMs = 250;

/**
 * Obeys orders to reload, and gives them. An order travels by the shared state, the answers by the reports of nodes.
 *
 * A node obeys each order but the one that stands at its start: it has just read its configuration. The time of an
 * order decides nothing, since clocks of nodes differ. If the state could not be read at the start, the first order that
 * is read counts only if it names this node: each start has another name.
 */
export function createReloadOrders({ node, reload, clock, log }: ReloadOrdersDeps): ReloadOrders {
  const { reports, cluster } = node;
  let lastId = cluster.reloads.get(orderKey)?.id;
  let isFirstRead = lastId === undefined && !cluster.state.isFollowed();
  const stop = cluster.state.watch(() => {
    const order = cluster.reloads.get(orderKey);
    const mayBeOld = isFirstRead && !cluster.state.isFollowed();
    isFirstRead = false;
    if (order === undefined || order.id === lastId) return;
    lastId = order.id;
    if (mayBeOld && !order.nodes.includes(cluster.nodeName)) return;
    log.info('reload-ordered', { by: order.by, reason: order.reason });
    void obey(order.id);
  });

  async function obey(order: string): Promise<ReloadOutcome> {
    const outcome = await reload.run();
    reports.noteReload({ order, ...outcome });
    await reports.publish();
    return outcome;
  }

  return {
    here: async () => new Map([[cluster.nodeName, await obey(randomUUID())]]),
    async everywhere(by, reason) {
      const names = (await reports.read()).map(({ name }) => name);
      const id = randomUUID();
      await cluster.reloads.set(orderKey, { id, by, reason, atMs: clock.nowMs(), nodes: names });
      const deadline = AbortSignal.timeout(answerMs);
      const outcomes = new Map<string, ReloadOutcome | undefined>(names.map((name) => [name, undefined]));
      for (;;) {
        for (const { name, reload: answer } of await reports.read()) {
          // A node that obeyed an order that replaced this one has read its files after this one, too.
          const isMeant = answer?.order === id || answer?.order === cluster.reloads.get(orderKey)?.id;
          if (isMeant && outcomes.has(name)) outcomes.set(name, answer);
        }
        if (deadline.aborted || [...outcomes.values()].every((outcome) => outcome !== undefined)) return outcomes;
        await wait(askAgainMs);
      }
    },
    [Symbol.dispose]: stop,
  };
}

/** The longest time of a login, its penalty included: until then it may ask the directory of the old snapshot. */
const retirementMs = 60_000;

function createRetirement(log: Log): AsyncDisposable & { retire(snapshot: ConfigSnapshot): void } {
  const retired = new Map<ConfigSnapshot, NodeJS.Timeout>();
  const end = async (snapshot: ConfigSnapshot): Promise<void> => {
    clearTimeout(retired.get(snapshot));
    retired.delete(snapshot);
    try {
      await snapshot[Symbol.asyncDispose]();
    } catch (error) {
      log.warn('old-config-not-closed', { err: error });
    }
  };
  return {
    retire: (snapshot) => void retired.set(snapshot, setTimeout(() => void end(snapshot), retirementMs).unref()),
    async [Symbol.asyncDispose]() {
      await Promise.all([...retired.keys()].map(end));
    },
  };
}
