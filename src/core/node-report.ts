import { isMoment } from './clock.ts';
import { isObject, parseJson } from './objects.ts';

/** Sign-ins by how they ended. `failed`: a server could not be asked, or too many sign-ins were waiting. */
export interface LoginCounts {
  readonly ok: number;
  readonly refused: number;
  readonly failed: number;
}

/** What one node saw of one backend. Sign-ins, requests and durations are those of the last minute. */
export interface BackendReport {
  /** Sessions that the node holds in memory. A session that several nodes hold is in the report of each. */
  readonly sessions: number;
  /** Requests that the backend has not answered yet. */
  readonly inFlight: number;
  readonly logins: LoginCounts;
  readonly requests: number;
  /** Requests answered with a status of 500 or more. */
  readonly errors: number;
  /** 95 % of the requests took at most about this long, to a third; undefined if there was none. */
  readonly p95Ms?: number;
  /** How many requests took how long, in the steps of `durationStep`. Those of several nodes can be added. */
  readonly durations: readonly number[];
}

/** What a reload did on one node. */
export interface ReloadOutcome {
  /** Whether the new configuration is in force. */
  readonly active: boolean;
  /** Keys by path, never values. */
  readonly changed: readonly string[];
  /** Backends that are gone. */
  readonly removed: readonly string[];
  /** Why the old one stays, or which part did not follow: each with its place, if it has one. */
  readonly problems: readonly string[];
}

/**
 * What one node says of itself every few seconds: its first process, for all its workers. Times are those of its own
 * clock, in milliseconds since the epoch.
 */
export interface NodeReport {
  /** The name under which the node records what it decides. */
  readonly name: string;
  readonly version: string;
  readonly commit: string;
  /** Equal for two nodes whose users are served alike: `configHash` says what is left out. */
  readonly configHash: string;
  readonly configLoadedAtMs: number;
  readonly startedAtMs: number;
  /** How many processes serve. */
  readonly workers: number;
  /** Load balancers are told to send nothing new. */
  readonly draining: boolean;
  /** Parts that do not work. */
  readonly degraded: readonly string[];
  /** When the report was made. */
  readonly atMs: number;
  /** How far the node's clock is ahead of that of Redis; undefined if it could not be measured. */
  readonly clockSkewMs?: number;
  readonly sessions: number;
  /** Of all backends, and of users of none. */
  readonly logins: LoginCounts;
  /** By backend. One without sessions and without traffic is left out. */
  readonly backends: Readonly<Record<string, BackendReport>>;
  /** Error lines of the last hour, by code. */
  readonly alarms: Readonly<Record<string, number>>;
  /**
   * The last change of the shared state that all processes of the node know; undefined if one has not read it, or if the
   * node's version says nothing of it.
   */
  readonly stateVersion?: number;
  /** The last reload that an order of all nodes caused, with the id of the order. */
  readonly reload?: ReloadOutcome & { readonly order: string };
}

/** A report, and how long ago it was published, by the clock of the store. */
export interface AgedReport {
  readonly report: NodeReport;
  readonly ageMs: number;
}

/** A node that may not know of a change yet, and why. */
export interface UnreachedNode {
  readonly name: string;
  readonly why: string;
}

/** A report that is older stands for a node that does not live any more, or that cannot reach the store. */
export const reportLivesMs = 20_000;

/** Reads the reports of all nodes that live, by name, from the shared store. */
export type ReadReports = () => Promise<readonly NodeReport[]>;

/** How many durations are told apart: each step is 1.41 times as long as the one before. */
export const durationSteps = 38;

/** The step of a duration in milliseconds. */
export function durationStep(ms: number): number {
  return ms <= 1 ? 0 : Math.min(durationSteps - 1, Math.ceil(2 * Math.log2(ms)));
}

/** The duration in milliseconds that this share of all does not exceed; undefined if there is none. */
export function quantileMs(durations: readonly number[], share: number): number | undefined {
  const total = durations.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let left = total * share;
  for (const [step, count] of durations.entries()) {
    if (count > 0 && left <= count) {
      const fromMs = step === 0 ? 0 : 2 ** ((step - 1) / 2);
      return Math.round((fromMs + (2 ** (step / 2) - fromMs) * (left / count)) * 10) / 10;
    }
    left -= count;
  }
  return 2 ** ((durations.length - 1) / 2);
}

/** Adds up what several nodes saw, by backend. */
export function sumOfBackends(reports: Iterable<NodeReport>): ReadonlyMap<string, BackendReport> {
  const sums = new Map<string, BackendReport>();
  for (const { backends } of reports) {
    for (const [name, part] of Object.entries(backends)) {
      const before = sums.get(name);
      sums.set(name, before === undefined ? part : sumOf(before, part));
    }
  }
  return sums;
}

/** In what a node differs from most of the others. */
export type Drift = 'version' | 'configuration';

/**
 * The nodes that differ from most of the others, by name. Where no version or configuration is that of most nodes, the
 * newest counts: the one that was loaded last.
 */
export function driftOf(reports: readonly NodeReport[]): ReadonlyMap<string, readonly Drift[]> {
  const newest = [...reports].sort((a, b) => b.configLoadedAtMs - a.configLoadedAtMs);
  const version = mostFrequent(newest.map(({ version, commit }) => `${version} ${commit}`));
  const configuration = mostFrequent(newest.map(({ configHash }) => configHash));
  const drifts = newest.map((one): readonly [string, readonly Drift[]] => [
    one.name,
    [
      ...(`${one.version} ${one.commit}` === version ? [] : (['version'] as const)),
      ...(one.configHash === configuration ? [] : (['configuration'] as const)),
    ],
  ]);
  return new Map(drifts.filter(([, drift]) => drift.length > 0));
}

/** Of equally frequent texts, the first. */
function mostFrequent(texts: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

/** Adds two counts of sign-ins. */
export function sumOfLogins(a: LoginCounts, b: LoginCounts): LoginCounts {
  return { ok: a.ok + b.ok, refused: a.refused + b.refused, failed: a.failed + b.failed };
}

function sumOf(a: BackendReport, b: BackendReport): BackendReport {
  const longer = a.durations.length > b.durations.length ? a.durations : b.durations;
  const durations = longer.map((_, step) => (a.durations[step] ?? 0) + (b.durations[step] ?? 0));
  const p95Ms = quantileMs(durations, 0.95);
  return {
    sessions: a.sessions + b.sessions,
    inFlight: a.inFlight + b.inFlight,
    logins: sumOfLogins(a.logins, b.logins),
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    ...(p95Ms === undefined ? {} : { p95Ms }),
    durations,
  };
}

/** Parses a stored report; undefined if it has another form, such as that of another version. */
export function parseNodeReport(text: string): NodeReport | undefined {
  const value = parseJson(text);
  return isNodeReport(value) ? value : undefined;
}

function isNodeReport(value: unknown): value is NodeReport {
  return (
    isObject(value) &&
    ['name', 'version', 'commit', 'configHash'].every((key) => typeof value[key] === 'string') &&
    ['configLoadedAtMs', 'startedAtMs', 'atMs'].every((key) => isMoment(value[key])) &&
    ['workers', 'sessions'].every((key) => isNumber(value[key])) &&
    typeof value['draining'] === 'boolean' &&
    Array.isArray(value['degraded']) &&
    value['degraded'].every((one) => typeof one === 'string') &&
    (value['clockSkewMs'] === undefined || isNumber(value['clockSkewMs'])) &&
    isLoginCounts(value['logins']) &&
    isObject(value['backends']) &&
    Object.values(value['backends']).every(isBackendReport) &&
    isObject(value['alarms']) &&
    Object.values(value['alarms']).every(isNumber) &&
    (value['stateVersion'] === undefined || isNumber(value['stateVersion'])) &&
    (value['reload'] === undefined || isReload(value['reload']))
  );
}

function isBackendReport(value: unknown): value is BackendReport {
  return (
    isObject(value) &&
    ['sessions', 'inFlight', 'requests', 'errors'].every((key) => isNumber(value[key])) &&
    (value['p95Ms'] === undefined || isNumber(value['p95Ms'])) &&
    isLoginCounts(value['logins']) &&
    Array.isArray(value['durations']) &&
    value['durations'].length <= durationSteps &&
    value['durations'].every(isNumber)
  );
}

function isTexts(list: unknown): boolean {
  return Array.isArray(list) && list.every((one) => typeof one === 'string');
}

function isReload(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value['order'] === 'string' &&
    typeof value['active'] === 'boolean' &&
    ['changed', 'removed', 'problems'].every((key) => isTexts(value[key]))
  );
}

function isLoginCounts(value: unknown): value is LoginCounts {
  return isObject(value) && ['ok', 'refused', 'failed'].every((key) => isNumber(value[key]));
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}
