import { Counter, Histogram, prometheusContentType, Registry } from '@prometheus-io/client';
import type { Build } from '../core/build.ts';
import {
  beginAt0,
  configOf,
  type Counts,
  countsIn,
  type Labels,
  merge,
  type Readings,
  readMetric,
  registerProcessMetrics,
  textOf,
} from './exposition.ts';
import {
  alarmCodes,
  backendCheckResults,
  backendLoginResults,
  clientCheckResults,
  loginPhases,
  loginResults,
  requestClasses,
  routeProtocols,
  routeResults,
  services,
  silentResults,
} from './metric-labels.ts';
import { isMetricName, type MetricName } from './metric-table.ts';

/** A backend of the configuration in force, whose series begin at 0. */
export interface BackendLabels {
  readonly name: string;
  /** Name of its webmail driver. */
  readonly webmail: string;
  readonly hosts: readonly string[];
}

/** A login or a password check, as far as it is counted. */
interface CountedLogin {
  readonly result: string;
  readonly backend?: string | undefined;
  readonly ms: Readonly<Partial<Record<string, number>>>;
}

/** A finished proxied request, as far as it is counted. `status` is 0 if there was none. */
interface CountedRequest {
  readonly backend: string;
  readonly status: number;
  /** Milliseconds until the head of the answer; undefined if there was none. */
  readonly firstByteMs?: number | undefined;
}

/**
 * The gateway's metrics in Prometheus' text format, as metric-table.ts lists them. Each series begins at 0, since a
 * counter that first appears at 1 would hide its first increment. Label values come from the configuration and from fixed
 * lists: a name that is in neither is counted nowhere, or under an empty label.
 */
export class Metrics {
  readonly #registry = new Registry(prometheusContentType);
  readonly #counts = createCounts([this.#registry]);
  readonly #backends = new Map<string, BackendLabels>();
  readonly #backendOfHost = new Map<string, string>();
  readonly #watched: (() => Readings | Promise<Readings>)[] = [];
  #loading = Promise.resolve();
  #loginsInProgress = 0;
  #waiting = 0;

  constructor({ version, commit, node }: Build) {
    registerProcessMetrics(this.#registry);
    this.watch(() => ({
      postern_build_info: () => [[{ version, commit, node }, 1]],
      postern_logins_in_progress: () => this.#loginsInProgress,
      postern_penalties_waiting: () => this.#waiting,
    }));
  }

  /** Adds metrics that are read at each scrape. They are loaded by `load`, or by the first scrape. */
  watch(readings: () => Readings | Promise<Readings>): void {
    this.#watched.push(readings);
  }

  /** Loads what is read at each scrape. Rejects if a file of it cannot be loaded. */
  load(): Promise<void> {
    const watched = this.#watched.splice(0);
    if (watched.length > 0) this.#loading = this.#loading.then(() => this.#register(watched));
    return this.#loading;
  }

  /** The backends of the configuration in force. Series of new ones begin at 0, those of removed ones end. */
  follow(backends: Iterable<BackendLabels>): void {
    const wanted = new Map([...backends].map((backend) => [backend.name, backend]));
    for (const known of this.#backends.values()) {
      if (wanted.get(known.name)?.webmail !== known.webmail) this.#forget(known);
    }
    this.#backendOfHost.clear();
    for (const backend of wanted.values()) {
      if (!this.#backends.has(backend.name)) this.#begin(backend);
      this.#backends.set(backend.name, backend);
      for (const host of backend.hosts) this.#backendOfHost.set(host, backend.name);
    }
  }

  get contentType(): Registry['contentType'] {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    await this.load();
    return textOf(this.#registry);
  }

  /** What this process counted, for the first process of its node. */
  async counts(): Promise<Counts> {
    await this.load();
    return countsIn(this.#registry);
  }

  /** The metrics of this process and the counts of its workers, as those of one. */
  async textWith(workers: readonly Counts[]): Promise<string> {
    await this.load();
    const own = await this.#registry.getMetricsAsJSON();
    // A worker that has not reloaded yet may still show a backend that is gone, and one that has ended shows it for ever.
    const known = workers.map((counts) =>
      counts.map((metric) => ({ ...metric, values: metric.values.filter(({ labels }) => this.#isKnown(labels)) })),
    );
    return merge([own, ...known]).metrics();
  }

  async #register(watched: readonly (() => Readings | Promise<Readings>)[]): Promise<void> {
    for (const readings of watched) {
      for (const [name, read] of Object.entries(await readings())) {
        if (isMetricName(name)) this.#registry.registerMetric(readMetric(name, read));
      }
    }
  }

  #isKnown({ backend = '', webmail = '' }: Partial<Record<string, string | number>>): boolean {
    if (backend === '') return true;
    const known = this.#backends.get(String(backend));
    return known !== undefined && ['', known.webmail].includes(String(webmail));
  }

  /** Makes a login count as in progress while it runs. */
  counted<Args extends unknown[], Outcome>(
    login: (...args: Args) => Promise<Outcome>,
  ): (...args: Args) => Promise<Outcome> {
    return async (...args) => {
      this.#loginsInProgress += 1;
      try {
        return await login(...args);
      } finally {
        this.#loginsInProgress -= 1;
      }
    };
  }

  /** Makes the waits of the penalty count while they last. */
  countedWait<Args extends unknown[]>(wait: (...args: Args) => Promise<void>): (...args: Args) => Promise<void> {
    return async (...args) => {
      this.#waiting += 1;
      try {
        await wait(...args);
      } finally {
        this.#waiting -= 1;
      }
    };
  }

  loginFinished({ result, backend: named, ms }: CountedLogin): void {
    const shown = knownResult(result);
    const backend = this.#backends.get(named ?? '');
    const hasBackend = backend !== undefined && isIn(backendLoginResults, shown);
    this.#counts.logins.inc({
      result: shown,
      backend: hasBackend ? backend.name : '',
      webmail: hasBackend ? backend.webmail : '',
    });
    for (const phase of loginPhases) {
      const phaseMs = ms[phase];
      if (phaseMs === undefined) continue;
      this.#counts.loginPhases.observe({ phase }, phaseMs / 1000);
      if (backend !== undefined && (phase === 'imap' || phase === 'webmail'))
        this.#counts.backendLoginSeconds.inc({ backend: backend.name, phase }, phaseMs / 1000);
    }
  }

  /** An attempt passed the penalty after a wait, or was turned away from it. */
  penaltyGiven(outcome: number | 'turned-away'): void {
    if (outcome === 'turned-away') return this.#counts.penaltyTurnedAway.inc();
    if (outcome <= 0) return;
    this.#counts.penaltyDelays.inc();
    this.#counts.penaltySeconds.inc(outcome / 1000);
  }

  clientChecked({ result, backend }: Pick<CountedLogin, 'result' | 'backend'>): void {
    const shown = clientResult(result);
    const known = isIn(backendCheckResults, shown) ? this.#backends.get(backend ?? '')?.name : undefined;
    this.#counts.clientChecks.inc({ result: shown, backend: known ?? '' });
  }

  silentLogin(backend: string, result: (typeof silentResults)[number]): void {
    if (this.#backends.has(backend)) this.#counts.silentSignIns.inc({ backend, result });
  }

  requestFinished({ backend, status, firstByteMs }: CountedRequest): void {
    if (!this.#backends.has(backend)) return;
    this.#counts.requests.inc({ backend, class: statusClass(status) });
    if (firstByteMs !== undefined) this.#counts.firstByte.observe({ backend }, firstByteMs / 1000);
  }

  /** A request got no connection to this host. */
  requestRefused(host: string): void {
    const backend = this.#backendOfHost.get(host);
    if (backend !== undefined) this.#counts.refusals.inc({ backend });
  }

  hostChecked(host: string, service: (typeof services)[number], isGood: boolean): void {
    const backend = this.#backendOfHost.get(host);
    if (backend !== undefined) this.#counts.checks.inc({ backend, service, result: isGood ? 'ok' : 'failed' });
  }

  failedOver(backend: string): void {
    if (this.#backends.has(backend)) this.#counts.failovers.inc({ backend });
  }

  storeCall(durationMs: number, outcome: 'ok' | 'failed'): void {
    this.#counts.storeSeconds.observe({ outcome }, durationMs / 1000);
  }

  directoryServiceAnswered(protocol: (typeof routeProtocols)[number], result: (typeof routeResults)[number]): void {
    this.#counts.directoryAnswers.inc({ protocol, result });
  }

  auditWritten(): void {
    this.#counts.auditLines.inc();
  }

  alarm(code: string): void {
    this.#counts.alarms.inc({ code: alarmCodes.includes(code) ? code : 'defect' });
  }

  #begin(backend: BackendLabels): void {
    for (const [metric, labels] of seriesOf(backend, this.#counts)) beginAt0(metric, labels);
  }

  #forget(backend: BackendLabels): void {
    this.#backends.delete(backend.name);
    for (const [metric, labels] of seriesOf(backend, this.#counts)) metric.remove(labels);
  }
}

type Counted = ReturnType<typeof createCounts>;

function createCounts(registers: Registry[]) {
  const counter = (name: MetricName) => new Counter({ ...configOf(name), registers });
  const histogram = (name: MetricName) => new Histogram({ ...configOf(name), registers });
  const counts = {
    logins: counter('postern_logins_total'),
    loginPhases: histogram('postern_login_phase_seconds'),
    backendLoginSeconds: counter('postern_backend_login_seconds_total'),
    clientChecks: counter('postern_client_checks_total'),
    silentSignIns: counter('postern_silent_sign_ins_total'),
    penaltyDelays: counter('postern_penalty_delays_total'),
    penaltySeconds: counter('postern_penalty_delay_seconds_total'),
    penaltyTurnedAway: counter('postern_penalty_turned_away_total'),
    requests: counter('postern_requests_total'),
    firstByte: histogram('postern_first_byte_seconds'),
    refusals: counter('postern_backend_refusals_total'),
    checks: counter('postern_checks_total'),
    failovers: counter('postern_failovers_total'),
    storeSeconds: histogram('postern_store_seconds'),
    directoryAnswers: counter('postern_directory_service_total'),
    auditLines: counter('postern_audit_lines_total'),
    alarms: counter('postern_alarms_total'),
  };
  for (const [metric, labels] of fixedSeries(counts)) beginAt0(metric, labels);
  return counts;
}

/** The series that do not depend on the configuration. */
function* fixedSeries(counts: Counted): Iterable<readonly [Counter<string> | Histogram<string>, Labels]> {
  for (const result of loginResults) yield [counts.logins, { result, backend: '', webmail: '' }];
  for (const phase of loginPhases) yield [counts.loginPhases, { phase }];
  for (const result of clientCheckResults) yield [counts.clientChecks, { result, backend: '' }];
  for (const outcome of ['ok', 'failed']) yield [counts.storeSeconds, { outcome }];
  for (const protocol of routeProtocols)
    for (const result of routeResults) yield [counts.directoryAnswers, { protocol, result }];
  for (const code of alarmCodes) yield [counts.alarms, { code }];
}

/** The series of one backend that are counted. */
function* seriesOf(
  { name: backend, webmail }: BackendLabels,
  counts: Counted,
): Iterable<readonly [Counter<string> | Histogram<string>, Labels]> {
  for (const result of backendLoginResults) yield [counts.logins, { result, backend, webmail }];
  for (const phase of ['imap', 'webmail']) yield [counts.backendLoginSeconds, { backend, phase }];
  for (const result of backendCheckResults) yield [counts.clientChecks, { result, backend }];
  for (const result of silentResults) yield [counts.silentSignIns, { backend, result }];
  for (const one of requestClasses) yield [counts.requests, { backend, class: one }];
  for (const service of services)
    for (const result of ['ok', 'failed']) yield [counts.checks, { backend, service, result }];
  for (const metric of [counts.firstByte, counts.refusals, counts.failovers]) yield [metric, { backend }];
}

function isIn<T extends string>(list: readonly T[], text: string): text is T {
  return list.some((one) => one === text);
}

function knownResult(result: string): (typeof loginResults)[number] {
  if (isIn(loginResults, result)) return result;
  return isIn(['expired', 'contact-admin', 'insecure'], result) ? 'refused' : 'failed';
}

function clientResult(result: string): (typeof clientCheckResults)[number] {
  if (isIn(clientCheckResults, result)) return result;
  return result === 'failed' ? 'unavailable' : 'refused';
}

const classes = new Map(requestClasses.map((one) => [Number(one[0]), one]));

/** The class of a status such as `2xx`; `aborted` if the client left before there was one. */
function statusClass(status: number): (typeof requestClasses)[number] {
  return classes.get(Math.floor(status / 100)) ?? 'aborted';
}
