import type { BackendHost, HealthSettings } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { reasonOf } from '../core/connection-failure.ts';
import { isOwnShortage } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import {
  createFailureRow,
  createHostHealth,
  createTrials,
  type FailureRow,
  type HealthReport,
  type HostHealth,
} from './host-health.ts';

/** A host, and how it is checked. */
export interface WatchedHost {
  readonly host: BackendHost;
  readonly settings: HealthSettings;
  /** Target of the HTTP check: it must not begin a session. */
  readonly target: string;
}

/** Checks one host once. Each probe rejects with the reason if the answer is bad. */
export interface HealthProbes {
  http(watched: WatchedHost, signal: AbortSignal): Promise<void>;
  /** Reads the whole page on which users land. */
  page(host: BackendHost, signal: AbortSignal): Promise<void>;
  imap(watched: WatchedHost, signal: AbortSignal): Promise<void>;
}

/** Options of the health checks. */
export interface HealthOptions {
  readonly probes: HealthProbes;
  readonly clock: Clock;
  /** A number between 0 and 1. It spreads the checks of nodes that start together. */
  readonly random: () => number;
  /** Called after each check, for the metrics. */
  readonly checked?: (host: string, service: 'webmail' | 'imap', isGood: boolean) => void;
  readonly log: Log;
}

/** When a service was last checked, and how long its answer took. Milliseconds. */
interface LastCheck {
  readonly atMs: number;
  readonly tookMs: number;
}

/** The state of both services of a host. */
export interface HostReport {
  readonly webmail: HealthReport;
  readonly imap: HealthReport;
  /** The last check of each service that was answered, well or not; undefined before the first. */
  readonly checks?: { readonly webmail?: LastCheck; readonly imap?: LastCheck };
}

/** The health of each host as this node sees it. Hosts that it does not check count as up. */
export interface Health extends AsyncDisposable {
  /** Checks exactly these hosts from now on. The health of hosts with the same settings is kept. */
  watch(hosts: readonly WatchedHost[]): void;
  isUp(host: string): boolean;
  isWebmailUp(host: string): boolean;
  /**
   * Whether one real request may try a webmail that counts as down. Never while the webmail hangs: a user would wait
   * for minutes, and the checks notice its return just as soon.
   */
  takeTrial(host: string): boolean;
  /** The health of one host; undefined if it is not checked. */
  report(host: string): HostReport | undefined;
  /** The health of every watched host. */
  reports(): ReadonlyMap<string, HostReport>;
  /** Notes the result of a request to the webmail. `asked` is undefined for the gateway's own requests. */
  note(host: string, evidence: HostEvidence, asked?: AskedFor): void;
  /** Calls `listener` after each change of a state, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** Interval of checks after a bad answer, until the state is decided. */
const doubtMs = 1_000;
/** Extra time for a generated page, which is slower than the file that a check requests. */
const pageMs = 2_000;
/** How long a host that only gave bad answers counts as down before requests may try it again. */
const answersDownMs = 60_000;

interface Watch {
  readonly watched: WatchedHost;
  readonly webmail: HostHealth;
  readonly imap: HostHealth;
  /** Counts results of real requests: a web server may answer checks while its PHP is dead. */
  readonly answers: HostHealth;
  readonly failures: FailureRow;
  readonly ended: AbortController;
  readonly timers: Map<'webmail' | 'imap', NodeJS.Timeout>;
  readonly checks: Map<'webmail' | 'imap', LastCheck>;
}

/**
 * Checks hosts regularly, each service at its own interval with a tenth of jitter. After a bad answer the next check
 * comes sooner: with the default settings a host that hangs is down within 6 s.
 */
export function createHealth(deps: HealthOptions): Health {
  return new HostChecks(deps);
}

class HostChecks implements Health {
  readonly #deps: HealthOptions;
  readonly #watches = new Map<string, Watch>();
  readonly #listeners = new Set<() => void>();
  readonly #running = new Set<Promise<void>>();
  #isShort = false;
  readonly #takeTrial: (host: string) => boolean;

  constructor(deps: HealthOptions) {
    this.#deps = deps;
    this.#takeTrial = createTrials(this.#deps.clock);
  }

  watch(hosts: readonly WatchedHost[]): void {
    const wanted = new Map(hosts.map((watched) => [watched.host.name, JSON.stringify(watched)]));
    for (const watch of this.#watches.values()) {
      if (wanted.get(watch.watched.host.name) !== JSON.stringify(watch.watched)) this.#end(watch);
    }
    for (const watched of hosts) if (!this.#watches.has(watched.host.name)) this.#begin(watched);
  }

  isUp(host: string): boolean {
    const watch = this.#watches.get(host);
    return watch === undefined || (watch.webmail.isUp() && watch.imap.isUp() && this.#answersWell(watch));
  }

  isWebmailUp(host: string): boolean {
    const watch = this.#watches.get(host);
    return watch === undefined || (watch.webmail.isUp() && this.#answersWell(watch));
  }

  takeTrial(host: string): boolean {
    const watch = this.#watches.get(host);
    return watch === undefined || (watch.webmail.report().hangs === undefined && this.#takeTrial(host));
  }

  report(host: string): HostReport | undefined {
    const watch = this.#watches.get(host);
    return watch === undefined ? undefined : this.#reportOf(watch);
  }

  reports(): ReadonlyMap<string, HostReport> {
    return new Map([...this.#watches].map(([host, watch]) => [host, this.#reportOf(watch)]));
  }

  note(host: string, evidence: HostEvidence, asked?: AskedFor): void {
    const watch = this.#watches.get(host);
    if (watch !== undefined) this.#note(watch, evidence, asked);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches.values()) this.#end(watch);
    this.#listeners.clear();
    await Promise.all(this.#running);
  }

  #announce(host: string, service: string, report: HealthReport): void {
    if (report.up) this.#deps.log.info('host-up', { host, service });
    else this.#deps.log.warn('host-down', { host, service, why: report.why });
    for (const listener of this.#listeners) listener();
  }

  /** Logs a shortage of this node's own resources, which says nothing about the host. */
  #logShortage(error: unknown): void {
    if (!this.#isShort) this.#deps.log.error('checks-stopped', { err: error });
    this.#isShort = true;
  }

  async #check(watch: Watch, service: 'webmail' | 'imap'): Promise<void> {
    const { watched, ended } = watch;
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(watched.settings.timeoutMs)]);
    const health = watch[service];
    const began = performance.now();
    const note = () => watch.checks.set(service, { atMs: this.#deps.clock.nowMs(), tookMs: performance.now() - began });
    let changed: boolean;
    try {
      await this.#deps.probes[service === 'webmail' ? 'http' : 'imap'](watched, signal);
      this.#isShort = false;
      this.#deps.checked?.(watched.host.name, service, true);
      note();
      changed = health.good();
    } catch (error) {
      if (ended.signal.aborted) return;
      if (isOwnShortage(error)) return this.#logShortage(error);
      this.#deps.checked?.(watched.host.name, service, false);
      note();
      const why = reasonOf(error);
      changed = health.bad(why, signal.aborted ? 'hangs' : undefined);
    }
    if (changed) this.#announce(watched.host.name, service, health.report());
  }

  #schedule(watch: Watch, service: 'webmail' | 'imap', beganMs?: number): void {
    const { httpIntervalMs, imapIntervalMs } = watch.watched.settings;
    const intervalMs = service === 'webmail' ? httpIntervalMs : imapIntervalMs;
    if (intervalMs === 0 || watch.ended.signal.aborted) return;
    const regularMs = intervalMs * (beganMs === undefined ? this.#deps.random() : 0.9 + 0.2 * this.#deps.random());
    const nextMs = watch[service].isInDoubt() ? Math.min(regularMs, doubtMs) : regularMs;
    // Measured from start to start: a host that hangs must not be checked less often.
    const waitMs = Math.max(0, nextMs - (beganMs === undefined ? 0 : performance.now() - beganMs));
    const timer = setTimeout(() => {
      const began = performance.now();
      const done = this.#check(watch, service).finally(() => {
        this.#running.delete(done);
        this.#schedule(watch, service, began);
      });
      this.#running.add(done);
    }, waitMs);
    watch.timers.set(service, timer.unref());
  }

  #begin(watched: WatchedHost): void {
    const { fall, rise } = watched.settings;
    const health = () => createHostHealth({ fall, rise, clock: this.#deps.clock });
    const watch: Watch = {
      watched,
      webmail: health(),
      imap: health(),
      answers: createHostHealth({ fall, rise: 1, clock: this.#deps.clock }),
      failures: createFailureRow({ fall, clock: this.#deps.clock }),
      ended: new AbortController(),
      timers: new Map(),
      checks: new Map(),
    };
    this.#watches.set(watched.host.name, watch);
    this.#schedule(watch, 'webmail');
    this.#schedule(watch, 'imap');
  }

  #end(watch: Watch): void {
    this.#watches.delete(watch.watched.host.name);
    watch.ended.abort();
    for (const timer of watch.timers.values()) clearTimeout(timer);
  }

  #answersWell({ answers }: Watch): boolean {
    // No request goes to a host that counts as down, so it would stay down for ever.
    if (!answers.isUp() && this.#deps.clock.nowMs() - answers.report().sinceMs > answersDownMs) answers.good();
    return answers.isUp();
  }

  #reportOf(watch: Watch): HostReport {
    const { webmail, imap, answers, checks } = watch;
    return {
      webmail: (this.#answersWell(watch) ? webmail : answers).report(),
      imap: imap.report(),
      checks: Object.fromEntries(checks),
    };
  }

  /**
   * Reads the landing page of a host whose requests fail. The checks ask for a file, which a web server still delivers
   * when the program behind it is dead.
   */
  async #checkLandingPage({ watched, answers, failures, ended }: Watch): Promise<void> {
    const { host, settings } = watched;
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(settings.timeoutMs + pageMs)]);
    try {
      await this.#deps.probes.page(host, signal);
    } catch (error) {
      if (ended.signal.aborted || isOwnShortage(error) || !failures.goesOn()) return;
      const why = reasonOf(error);
      const reason = `requests in a row failed, and so did one for ${host.webmail.landing}: ${why}`;
      if (answers.bad(reason, 'sure')) this.#announce(host.name, 'webmail', answers.report());
    }
  }

  #noteFailure(watch: Watch, asked: AskedFor | undefined): void {
    const { answers, failures, watched } = watch;
    const told = asked === undefined ? undefined : failures.add(asked);
    if (told === 'look') {
      const done = this.#checkLandingPage(watch).finally(() => this.#running.delete(done));
      this.#running.add(done);
    }
    if (asked !== undefined && told !== 'down') return;
    const reason = 'requests in a row failed';
    if (answers.bad(reason, told === 'down' ? 'sure' : undefined))
      this.#announce(watched.host.name, 'webmail', answers.report());
  }

  #note(watch: Watch, evidence: HostEvidence, asked: AskedFor | undefined): void {
    const { webmail, answers, failures, watched } = watch;
    const { name } = watched.host;
    if (evidence === 'refused') {
      if (webmail.bad('the connection of a request was refused', 'sure'))
        this.#announce(name, 'webmail', webmail.report());
    } else if (evidence === 'failed') {
      this.#noteFailure(watch, asked);
    } else {
      failures.end();
      if (!webmail.isUp() && webmail.good()) this.#announce(name, 'webmail', webmail.report());
      if (answers.good()) this.#announce(name, 'webmail', answers.report());
    }
  }
}
