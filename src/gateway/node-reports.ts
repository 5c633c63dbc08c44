import type { Config } from '../config/config.ts';
import { configHash } from '../config/diff.ts';
import type { Build } from '../core/build.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import {
  type AgedReport,
  type BackendReport,
  type NodeReport,
  parseNodeReport,
  type ReadReports,
  reportLivesMs,
} from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import type { RunScript } from '../core/state-store.ts';
import { type BackendTraffic, loginsOf, noTraffic, sliceMs, type Traffic } from '../observe/traffic.ts';
import type { ConfigHolder, GatewayNode, NodeReports, NodeStanding } from './parts.ts';

interface NodeReportsOptions {
  readonly name: string;
  readonly build: Build;
  readonly holder: ConfigHolder;
  readonly traffic: Traffic;
  /** Sessions of this node by host. */
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  /** Requests that hosts have not answered yet. */
  readonly inFlightPerHost: () => ReadonlyMap<string, number>;
  /** Scripts on the Redis of the sessions; undefined with the embedded store, which one node has alone. */
  readonly runScript: RunScript | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const reportsKey = 'ps:nodes';

/** Makes the reports of a node. Nothing is published before `begin`. */
export function createNodeReports(options: NodeReportsOptions): NodeReports {
  return new OwnAndOthers(options);
}

class OwnAndOthers implements NodeReports {
  readonly #options: NodeReportsOptions;
  readonly #startedAtMs: number;
  readonly #watching = new DisposableStack();
  #standing: NodeStanding = { workers: 1, draining: () => false, degraded: () => [], stateVersion: () => undefined };
  #loaded: { readonly atMs: number; readonly hash: string };
  #followed: NodeReport | undefined;
  #clockSkewMs: number | undefined;
  #reload: NodeReport['reload'];
  #isPublishing = false;
  #publishing = Promise.resolve();

  constructor(options: NodeReportsOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs();
    this.#loaded = this.#load(options.holder.config);
    this.#watching.defer(
      options.holder.onReplace(({ config }) => {
        this.#loaded = this.#load(config);
      }),
    );
  }

  begin(standing: NodeStanding, made?: (report: NodeReport) => void): void {
    this.#standing = standing;
    this.#isPublishing = true;
    const report = (): void => {
      this.#options.traffic.turn();
      made?.(this.own());
      void this.publish();
    };
    this.#watching.adopt(setInterval(report, sliceMs).unref(), clearInterval);
    report();
  }

  noteReload(reload: NonNullable<NodeReport['reload']>): void {
    this.#reload = reload;
  }

  follow(report: NodeReport): void {
    this.#followed = report;
  }

  own(): NodeReport {
    const { name, build, traffic, clock } = this.#options;
    const lastMinute = traffic.lastMinute();
    const sessions = this.#perBackend(this.#options.heldPerHost());
    return {
      name,
      version: build.version,
      commit: build.commit,
      configHash: this.#loaded.hash,
      configLoadedAtMs: this.#loaded.atMs,
      startedAtMs: this.#startedAtMs,
      workers: this.#standing.workers,
      draining: this.#standing.draining(),
      degraded: this.#standing.degraded(),
      atMs: clock.nowMs(),
      ...defined({ clockSkewMs: this.#clockSkewMs }),
      sessions: [...sessions.values()].reduce((sum, count) => sum + count, 0),
      logins: loginsOf(lastMinute.values()),
      backends: this.#backends(sessions, lastMinute),
      alarms: Object.fromEntries(traffic.lastHour()),
      ...defined({ stateVersion: this.#standing.stateVersion(), reload: this.#reload }),
    };
  }

  readonly read: ReadReports = async () =>
    (await this.known()).filter(({ ageMs }) => ageMs <= reportLivesMs).map(({ report }) => report);

  async known(): Promise<readonly AgedReport[]> {
    const { name, runScript } = this.#options;
    const own = this.#isPublishing ? this.own() : this.#followed;
    const published = runScript === undefined ? [] : await readPublished(runScript);
    // A worker finds the report of its node among the published ones, too.
    const others = published.filter(({ report }) => report.name !== (own?.name ?? name) || own === undefined);
    const all = [...(own === undefined ? [] : [{ report: own, ageMs: 0 }]), ...others];
    return all.sort((a, b) => (a.report.name < b.report.name ? -1 : 1));
  }

  publish(): Promise<void> {
    this.#publishing = this.#publishing.then(() => this.#publish());
    return this.#publishing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching.dispose();
    await this.#publishing;
    if (!this.#isPublishing) return;
    this.#isPublishing = false;
    await this.#withdraw();
  }

  async #publish(): Promise<void> {
    const { name, runScript, clock, log } = this.#options;
    if (runScript === undefined || !this.#isPublishing) return;
    const sentMs = clock.nowMs();
    try {
      const redisMs = Number(
        await runScript(publishScript, [reportsKey], [name, JSON.stringify(this.own()), `${this.#keptMs()}`]),
      );
      this.#clockSkewMs = Math.round((sentMs + clock.nowMs()) / 2 - redisMs);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      log.debug('node-report-not-published', { code: error.code });
    }
  }

  async #withdraw(): Promise<void> {
    const { name, runScript, log } = this.#options;
    try {
      await runScript?.(withdrawScript, [reportsKey], [name]);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      // It is forgotten by itself.
      log.debug('node-report-not-published', { code: error.code });
    }
  }

  /** So long a node that has lost the store may serve the sessions that it has in memory. */
  #keptMs(): number {
    return Math.max(reportLivesMs, this.#options.holder.config.sessions.serveStaleMs);
  }

  #load(config: Config) {
    return { atMs: this.#options.clock.nowMs(), hash: configHash(config) };
  }

  /** Sums by backend of counts by host. Hosts that the configuration no longer has count for nobody. */
  #perBackend(perHost: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    const { holder } = this.#options;
    const sums = new Map<string, number>();
    for (const [host, count] of perHost) {
      const backend = holder.isBuilt ? holder.current.backendOfHost(host) : undefined;
      if (backend !== undefined && count > 0) sums.set(backend, (sums.get(backend) ?? 0) + count);
    }
    return sums;
  }

  #backends(sessions: ReadonlyMap<string, number>, lastMinute: ReadonlyMap<string, BackendTraffic>) {
    const inFlight = this.#perBackend(this.#options.inFlightPerHost());
    const reports: Record<string, BackendReport> = {};
    for (const name of new Set([...sessions.keys(), ...inFlight.keys(), ...lastMinute.keys()])) {
      if (name === '') continue;
      const traffic = lastMinute.get(name) ?? noTraffic;
      reports[name] = { sessions: sessions.get(name) ?? 0, inFlight: inFlight.get(name) ?? 0, ...traffic };
    }
    return reports;
  }
}

/** The reports that the store has. Those of other versions may be unreadable. */
async function readPublished(runScript: RunScript): Promise<readonly AgedReport[]> {
  const reply = await runScript(readReportsScript, [reportsKey], []);
  const texts = Array.isArray(reply) ? reply.map(String) : [];
  return texts.flatMap((text) => {
    const space = text.indexOf(' ');
    const report = parseNodeReport(text.slice(space + 1));
    return report === undefined ? [] : [{ report, ageMs: Number(text.slice(0, space)) }];
  });
}

const nowInLua = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** KEYS reports. ARGV name, report, how long it is kept in ms. Returns the clock of Redis; old reports are dropped. */
const publishScript = `${nowInLua}
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local madeAt = tonumber(fields[at + 1]:match('^(%d+) ') or '0')
  if now - madeAt > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], fields[at]) end
end
return string.format('%.0f', now)`;

/** KEYS reports. Returns each with its age in ms before it. */
const readReportsScript = `${nowInLua}
local reply = {}
for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
  local madeAt, report = value:match('^(%d+) (.*)$')
  if madeAt then table.insert(reply, string.format('%.0f', math.max(0, now - tonumber(madeAt))) .. ' ' .. report) end
end
return reply`;

/** KEYS reports. ARGV name. */
const withdrawScript = `return redis.call('HDEL', KEYS[1], ARGV[1])`;

/** The worker processes of a node, as far as they follow the state. */
interface StateFollowers {
  stateVersion(): number | undefined;
  onStateVersion(listener: () => void): void;
}

/**
 * Publishes the node's report as soon as the node knows more of the locks: whoever locks a user waits for it. Returns
 * what all of its processes know, as the version of the state; undefined if one has not read it.
 */
export function tellOfState(
  { cluster, reports }: Pick<GatewayNode, 'cluster' | 'reports'>,
  workers: StateFollowers | undefined,
): () => number | undefined {
  const tell = (): void => void reports.publish();
  if (workers === undefined) cluster.locks.onChange(tell);
  else workers.onStateVersion(tell);
  return () => {
    const own = cluster.state.version();
    const ofWorkers = workers === undefined ? own : workers.stateVersion();
    return own === undefined || ofWorkers === undefined ? undefined : Math.min(own, ofWorkers);
  };
}
