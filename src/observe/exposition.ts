import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  prometheusContentType,
  Registry,
} from '@prometheus-io/client';
import { type MetricRow, processMetrics } from './metric-labels.ts';
import { type MetricName, metricTable } from './metric-table.ts';

/** Label values of one series. */
export type Labels = Readonly<Record<string, string>>;

/** A value that is read at a scrape: one, one for each of some labels, or none. */
export type Reading = number | undefined | Iterable<readonly [Labels, number]>;

/** Reads the present values of metrics, so that the hot path need not update them. One that rejects is left out. */
export type Readings = Readonly<Partial<Record<MetricName, () => Reading | Promise<Reading>>>>;

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
export function readMetric(name: MetricName, read: () => Reading | Promise<Reading>): Counter<string> | Gauge<string> {
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
