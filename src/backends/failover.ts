import { type Audit, recordIfPossible } from '../core/audit.ts';
import type { Backend, BackendHost, Serving } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { HostState, Placement } from '../core/placement.ts';
import type { Health } from './health.ts';
import type { StateReplica } from './state-replica.ts';

/** Options of the failover to standbys. */
interface FailoverOptions {
  /** The backends whose primaries have standbys, with how they serve. */
  readonly backends: () => Iterable<{ readonly backend: Backend; readonly serving: Serving }>;
  readonly state: Pick<StateReplica, 'active' | 'watch'>;
  readonly health: Pick<Health, 'onChange'>;
  readonly placement: Pick<Placement, 'hostState' | 'activeHost'>;
  readonly audit: Pick<Audit, 'record'>;
  /** Called after each failover that this node decided, for the metrics. */
  readonly failedOver?: (backend: string) => void;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Time before a failover may return to the host that was left, to prevent ping-pong. */
const failbackBlockedMs = 5 * 60_000;
const lookAgainMs = 1_000;

/**
 * Lets a standby take over from a host that is down or in maintenance, for all nodes at once: the node that sees it
 * first writes which host is active, and the others follow. Failback is never automatic.
 */
export function createFailover(options: FailoverOptions): Disposable & {
  /** Lets standbys take over where needed; resolves when the state store has the result. */
  look(): Promise<void>;
} {
  const { state, placement, clock, log } = options;
  const stops = [options.health.onChange(() => void look()), state.watch(() => void look())];
  const timer = setInterval(() => void look(), lookAgainMs).unref();
  let looking: Promise<void> | undefined;
  let following: Promise<void> | undefined;

  function successor(backend: Backend, lost: BackendHost): BackendHost | undefined {
    const last = state.active.get(backend.name);
    const left = last !== undefined && clock.nowMs() - last.sinceMs < failbackBlockedMs ? last.from : undefined;
    return backend.hosts.find(
      (host) => host !== lost && host.name !== left && placement.hostState(backend, host) === 'READY',
    );
  }

  async function takeOver(backend: Backend): Promise<void> {
    const lost = placement.activeHost(backend);
    const lostState = placement.hostState(backend, lost);
    if (!isLost(lostState)) return;
    const next = successor(backend, lost);
    if (next === undefined) return;
    const reason = `${lost.name} is ${lostState}`;
    const actor = `failover on ${options.node}`;
    const outcome = await state.active.change(backend.name, (before) => {
      const current = before?.host ?? backend.hosts[0].name;
      if (current !== lost.name && backend.hosts.some((host) => host.name === current)) return undefined;
      return { host: next.name, from: lost.name, reason, by: actor, sinceMs: clock.nowMs() };
    });
    if (outcome !== 'written') return;
    options.failedOver?.(backend.name);
    log.warn('failover', { backend: backend.name, from: lost.name, to: next.name, because: lostState });
    const facts = { from: lost.name, to: next.name, reason };
    // Users are served again without waiting for the disk of the audit.
    void recordIfPossible(options.audit, { event: 'failover', actor, subject: backend.name, facts });
  }

  async function lookAtAll(): Promise<void> {
    try {
      for (const { backend, serving } of options.backends()) {
        const mayAct = serving.arrangement === 'standby' && serving.failover === 'automatic';
        if (mayAct && backend.hosts.length > 1) await takeOver(backend);
      }
    } catch (error) {
      // Nodes cannot agree while the state store is away. The timer tries again.
      if (!(error instanceof PosternError)) throw error;
    }
  }

  function begin(): Promise<void> {
    looking = lookAtAll().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  /** A check that runs may have passed a host that failed since: one more follows it, for all callers meanwhile. */
  function look(): Promise<void> {
    if (looking === undefined) return begin();
    following ??= looking.then(() => {
      following = undefined;
      return begin();
    });
    return following;
  }

  return {
    look,
    [Symbol.dispose]() {
      clearInterval(timer);
      for (const stop of stops) stop();
    },
  };
}

function isLost(state: HostState): boolean {
  return state === 'DOWN' || state === 'MAINT';
}
