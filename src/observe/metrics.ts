import {
  AggregatorRegistry,
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  prometheusContentType,
  Registry,
} from '@prometheus-io/client';
import type { Build } from '../core/build.ts';

const secondsOfSignIn = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];
const secondsOfRequest = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 180];
const secondsOfStore = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5];

/** Current values of the gauges. */
export interface GaugeReadings {
  /** Sessions that this node holds in memory. */
  sessions(): number;
  /** Sessions ended on this node whose end the store has not taken yet. */
  pendingEnds(): number;
  /** Whether the store answers. */
  storeUp(): boolean;
  connections(): Iterable<{
    readonly host: string;
    readonly state: 'busy' | 'free' | 'waiting';
    readonly count: number;
  }>;
  /** Cache results of the directory's sources, by source. */
  directoryLookups(): ReadonlyMap<string, { readonly hits: number; readonly misses: number; readonly stale: number }>;
}

/** The gateway's metrics in Prometheus' text format, named `postern_<noun>_<unit|total>`. */
export class Metrics {
  readonly #registry = new Registry(prometheusContentType);
  readonly #counts = createCounts([this.#registry]);

  constructor(build: Build) {
    collectDefaultMetrics({ register: this.#registry });
    this.#registry.registerMetric(buildGauge(build));
  }

  /** Adds gauges that show these readings. */
  watch(readings: GaugeReadings): void {
    for (const gauge of gaugesOver(readings)) this.#registry.registerMetric(gauge);
    this.#registry.registerMetric(directoryLookups(readings));
  }

  /** Adds a gauge of open upgraded connections. */
  watchUpgrades(upgrades: () => Iterable<{ readonly backend: string; readonly count: number }>): void {
    this.#registry.registerMetric(upgradesGauge(upgrades));
  }

  get contentType(): Registry['contentType'] {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /**
   * Makes this process one of several. The first process can show the counts of all; a worker sends its own when asked.
   * The counts of a worker end with it.
   */
  share(): { readonly contentType: string; text(): Promise<string> } {
    AggregatorRegistry.setRegistries(this.#registry);
    // The constructor registers a worker, which answers from now on.
    const all = new AggregatorRegistry();
    return { contentType: all.contentType, text: () => all.clusterMetrics() };
  }

  loginFinished(result: string, backend: string | undefined): void {
    this.#counts.logins.inc({ result, backend: backend ?? '' });
  }

  loginPhase(phase: string, backend: string | undefined, durationMs: number): void {
    this.#counts.loginPhases.observe({ phase, backend: backend ?? '' }, durationMs / 1000);
  }

  clientChecked(result: string, backend: string | undefined): void {
    this.#counts.clientChecks.inc({ result, backend: backend ?? '' });
  }

  silentLogin(backend: string, result: string): void {
    this.#counts.silentSignIns.inc({ backend, result });
  }

  requestFinished(backend: string, status: number, durationMs: number): void {
    this.#counts.requests.inc({ backend, class: statusClass(status) });
    this.#counts.requestSeconds.observe({ backend }, durationMs / 1000);
  }

  storeCall(durationMs: number, outcome: 'ok' | 'failed'): void {
    this.#counts.storeSeconds.observe({ outcome }, durationMs / 1000);
  }

  directoryServiceAnswered(protocol: string, result: string): void {
    this.#counts.directoryAnswers.inc({ protocol, result });
  }

  alarm(code: string): void {
    this.#counts.alarms.inc({ code });
  }
}

function createCounts(registers: Registry[]) {
  return {
    logins: new Counter({
      name: 'postern_logins_total',
      help: 'Sign-ins by result and backend; the backend is empty if none was found.',
      labelNames: ['result', 'backend'],
      registers,
    }),
    loginPhases: new Histogram({
      name: 'postern_login_phase_seconds',
      help: 'Duration of each phase of a sign-in.',
      labelNames: ['phase', 'backend'],
      buckets: secondsOfSignIn,
      registers,
    }),
    clientChecks: new Counter({
      name: 'postern_client_checks_total',
      help: 'Password checks for clients that authenticate on every request, by result and backend, without cached ones.',
      labelNames: ['result', 'backend'],
      registers,
    }),
    silentSignIns: new Counter({
      name: 'postern_silent_sign_ins_total',
      help: 'Silent logins after lost webmail sessions, by backend and result.',
      labelNames: ['backend', 'result'],
      registers,
    }),
    requests: new Counter({
      name: 'postern_requests_total',
      help: 'Proxied requests by backend and status class.',
      labelNames: ['backend', 'class'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'postern_request_seconds',
      help: 'Duration of proxied requests, from the head of the request to the end of the answer.',
      labelNames: ['backend'],
      buckets: secondsOfRequest,
      registers,
    }),
    storeSeconds: new Histogram({
      name: 'postern_store_seconds',
      help: 'Round trips to the session store.',
      labelNames: ['outcome'],
      buckets: secondsOfStore,
      registers,
    }),
    directoryAnswers: new Counter({
      name: 'postern_directory_service_total',
      help: 'Lookups by other proxies that the directory service answered, by protocol and result.',
      labelNames: ['protocol', 'result'],
      registers,
    }),
    alarms: new Counter({
      name: 'postern_alarms_total',
      help: 'Conditions that need an operator, by code; the log line with the same code has the details.',
      labelNames: ['code'],
      registers,
    }),
  };
}

/** Gauges that are read when metrics are asked for, so that the hot path never updates them. */
function gaugesOver(readings: GaugeReadings) {
  const registers: Registry[] = [];
  return [
    new Gauge({
      name: 'postern_sessions_cached',
      help: 'Sessions that this node holds in memory.',
      registers,
      collect() {
        this.set(readings.sessions());
      },
    }),
    new Gauge({
      name: 'postern_sessions_ends_pending',
      help: 'Sessions that ended on this node and whose end is not in the store yet.',
      registers,
      collect() {
        this.set(readings.pendingEnds());
      },
    }),
    new Gauge({
      name: 'postern_store_up',
      help: '1 while the session store answers, else 0.',
      aggregator: 'min',
      registers,
      collect() {
        this.set(readings.storeUp() ? 1 : 0);
      },
    }),
    new Gauge({
      name: 'postern_backend_connections',
      help: 'Connections to a backend host by state; `waiting` are requests in the queue.',
      labelNames: ['host', 'state'],
      registers,
      collect() {
        this.reset();
        for (const { host, state, count } of readings.connections()) this.set({ host, state }, count);
      },
    }),
  ];
}

/** 1, with what runs as labels. */
function buildGauge({ version, commit, node }: Build) {
  const gauge = new Gauge({
    name: 'postern_build_info',
    help: '1; the labels say which version and commit of Postern runs, under which version of Node.',
    labelNames: ['version', 'commit', 'node'],
    aggregator: 'max',
    registers: [],
  });
  gauge.set({ version, commit, node }, 1);
  return gauge;
}

function upgradesGauge(upgrades: () => Iterable<{ readonly backend: string; readonly count: number }>) {
  return new Gauge({
    name: 'postern_upgrades_open',
    help: 'Open WebSockets and other upgraded connections.',
    labelNames: ['backend'],
    registers: [],
    collect() {
      this.reset();
      for (const { backend, count } of upgrades()) this.set({ backend }, count);
    },
  });
}

/**
 * Cache results, counted by the directory itself and from 0 again after a reload. Sources without a cache have none.
 */
function directoryLookups(readings: GaugeReadings) {
  return new Counter({
    name: 'postern_directory_lookups_total',
    help: 'Lookups in cached sources of the directory: hit, miss (the source was asked), or stale (it did not answer; an old answer was used).',
    labelNames: ['source', 'result'],
    registers: [],
    collect() {
      this.reset();
      for (const [source, { hits, misses, stale }] of readings.directoryLookups()) {
        this.inc({ source, result: 'hit' }, hits);
        this.inc({ source, result: 'miss' }, misses);
        this.inc({ source, result: 'stale' }, stale);
      }
    },
  });
}

/** The class of a status such as `2xx`; `aborted` if the client left before there was one. */
function statusClass(status: number): string {
  return status >= 100 && status < 600 ? `${Math.floor(status / 100)}xx` : 'aborted';
}
