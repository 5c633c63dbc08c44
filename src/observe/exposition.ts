import {
  AggregatorRegistry,
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  prometheusContentType,
  Registry,
} from '@prometheus-io/client';
import { setImmediate as turn } from 'node:timers/promises';
import { type MetricRow, processMetrics } from './metric-labels.ts';
import { type MetricName, metricTable } from './metric-table.ts';

/** Label values of one series. */
export type Labels = Readonly<Record<string, string>>;

/** A value that is read at a scrape: one, one for each of some labels, or none. */
export type ScrapedValue = number | undefined | Iterable<readonly [Labels, number]>;

/** Reads the present values of metrics, so that the hot path need not update them. One that rejects is left out. */
export type Readings = Readonly<Partial<Record<MetricName, () => ScrapedValue | Promise<ScrapedValue>>>>;

/** The options of a metric of the library, by the table. */
export function configOf(name: MetricName) {
  const { help, labels = {}, merge, buckets }: MetricRow = metricTable[name];
  const labelNames = Object.keys(labels);
  return {
    name,
    help,
    labelNames,
    aggregator: merge ?? ('sum' as const),
    ...(buckets === undefined ? {} : { buckets: [...buckets] }),
  };
}

/** Shows a series from now on. */
export function beginAt0(metric: Counter<string> | Histogram<string>, labels: Labels): void {
  if (metric instanceof Histogram) metric.zero(labels);
  else metric.inc(labels, 0);
}

/** A metric that is filled at each scrape. */
export function readMetric(
  name: MetricName,
  read: () => ScrapedValue | Promise<ScrapedValue>,
): Counter<string> | Gauge<string> {
  const registers: Registry[] = [];
  const values = async (): Promise<readonly (readonly [Labels, number])[]> => {
    const reading = await Promise.resolve()
      .then(read)
      .catch(() => undefined);
    if (reading === undefined) return [];
    return typeof reading === 'number' ? [[{}, reading]] : [...reading];
  };
  if (metricTable[name].type === 'counter') {
    return new Counter({
      ...configOf(name),
      registers,
      async collect() {
        const all = await values();
        this.reset();
        for (const [labels, value] of all) this.inc(labels, value);
      },
    });
  }
  return new Gauge({
    ...configOf(name),
    registers,
    async collect() {
      const all = await values();
      this.reset();
      if (all.length === 0) this.remove({});
      for (const [labels, value] of all) this.set(labels, value);
    },
  });
}

/** Shows the metrics of processMetrics, of all that the library has. */
export function registerProcessMetrics(registry: Registry): void {
  const all = new Registry(prometheusContentType);
  collectDefaultMetrics({ register: all });
  // The library leaves the start out where there are several processes.
  const name = 'process_start_time_seconds';
  const start = new Gauge({ name, help: processMetrics[name], aggregator: 'min', registers: [] });
  start.set(Math.round(Date.now() / 1000 - process.uptime()));
  for (const picked of Object.keys(processMetrics)) {
    const metric = picked === name ? start : all.getSingleMetric(picked);
    if (metric !== undefined) registry.registerMetric(metric);
  }
}

/** What one process counted, and read of itself, for the first process of its node. */
export type Counts = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** The metrics as text. Requests are served between one metric and the next: with many backends they are thousands of lines. */
export async function textOf(registry: Registry): Promise<string> {
  const texts: string[] = [];
  for (const { name } of registry.getMetricsAsArray()) {
    texts.push(await registry.getSingleMetricAsString(name));
    await turn();
  }
  return `${texts.join('\n\n')}\n`;
}

/** What a process counted. Counts that are 0 are left out: the first process has each of their series. */
export async function countsIn(registry: Registry): Promise<Counts> {
  const counts: Counts = [];
  for (const { name } of registry.getMetricsAsArray()) {
    const metric = await registry.getSingleMetric(name)?.get();
    if (metric !== undefined)
      counts.push(isCount(metric) ? { ...metric, values: metric.values.filter(isSome) } : metric);
    await turn();
  }
  return counts;
}

/** The counts of several processes as one, and the values that they read as the table says. */
export function merge(all: readonly Counts[]): Registry {
  return AggregatorRegistry.aggregate([...all]);
}

const isCount = ({ type }: Counts[number]): boolean => type === 'counter' || type === 'histogram';
const isSome = ({ value }: { readonly value: number }): boolean => value !== 0;

/** A worker that hangs is not waited for: what it last said counts. */
const patienceMs = 1_000;

/**
 * The counts of a node's workers. What a worker counted stays when it ends, as far as it had said so: a sum that fell
 * would look like a restart of the node, and its rates like a peak.
 */
export class WorkerCounts<Worker> {
  readonly #ask: (worker: Worker) => void;
  readonly #last = new Map<Worker, Counts>();
  readonly #unheard = new Map<Worker, () => void>();
  #ended: Counts = [];
  #collecting: Promise<readonly Counts[]> | undefined;

  constructor(ask: (worker: Worker) => void) {
    this.#ask = ask;
  }

  /** Asks all of them. Scrapes at the same time share one question. */
  collect(workers: Iterable<Worker>): Promise<readonly Counts[]> {
    this.#collecting ??= this.#collect([...workers]).finally(() => {
      this.#collecting = undefined;
    });
    return this.#collecting;
  }

  heard(worker: Worker, counts: Counts): void {
    this.#last.set(worker, counts);
    this.#unheard.get(worker)?.();
  }

  async end(worker: Worker): Promise<void> {
    const last = this.#last.get(worker)?.filter(isCount) ?? [];
    this.#last.delete(worker);
    this.#unheard.get(worker)?.();
    this.#ended = [...this.#ended, ...last];
    const whole = this.#ended;
    const merged = await merge([whole]).getMetricsAsJSON();
    // Another one may have ended meanwhile.
    if (this.#ended === whole) this.#ended = merged;
  }

  async #collect(workers: readonly Worker[]): Promise<readonly Counts[]> {
    const answers = workers.map((worker) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#unheard.set(worker, resolve);
      this.#ask(worker);
      return promise.finally(() => this.#unheard.delete(worker));
    });
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, patienceMs);
    await Promise.race([Promise.all(answers), late.promise]);
    clearTimeout(timer);
    return [this.#ended, ...this.#last.values()];
  }
}
