import { readFileSync, writeFileSync } from 'node:fs';
import { type MetricRow, processMetrics } from '../src/observe/metric-labels.ts';
import { metricTable } from '../src/observe/metric-table.ts';
import { tableRow } from './log-events.ts';

const page = new URL('../docs/metrics.md', import.meta.url);

const head = `# The metrics

<!-- generated from src/observe/metric-table.ts: npm run docs -->

The operators' listener serves them in Prometheus' text format at \`http://127.0.0.1:9090/metrics\`, for all workers of the node as one.

- **Names and labels are stable**: build alerts and dashboards on them. [operate.md](operate.md#what-to-watch) names the most important ones.
- **Labels come from the configuration** and from fixed lists, never from a client. Each series begins at 0, also after a reload that adds
  a backend; the series of a removed backend end. A backend with three hosts has fewer than 60 series.
- **State of the cluster** (backends, hosts, moves, sessions, opened mailboxes) is shown by each node. Take \`max by (backend)\`, not the sum.
- A metric that cannot be read at a scrape is left out of it, and the others are shown.

`;

/** docs/metrics.md as the table of metrics makes it, with what bench/metrics.ts wrote there. */
export function metricPage(): string {
  const [measured = ''] = /<!-- measured: begin -->[^]*<!-- measured: end -->/.exec(readFileSync(page, 'utf8')) ?? [];
  const rows: readonly (readonly [string, MetricRow])[] = Object.entries(metricTable);
  const metrics = rows
    .toSorted(([a], [b]) => a.localeCompare(b, 'en'))
    .map(([name, { type, help, unit, labels = {}, moves }]) => {
      const values = Object.entries(labels).map(
        ([label, which]) =>
          `\`${label}\`: ${typeof which === 'string' ? which : which.map((value) => `\`${value}\``).join(', ')}`,
      );
      return tableRow([`\`${name}\``, type, values.join('; '), unit, help, moves]);
    });
  const ofProcess = Object.entries(processMetrics).map(([name, help]) => tableRow([`\`${name}\``, help]));
  return `${head}## Postern

| metric | type | labels | unit | what it tells | moves |
| --- | --- | --- | --- | --- | --- |
${metrics.join('')}
## The processes

Those of Prometheus' library whose names keep to its conventions:

| metric | what it tells |
| --- | --- |
${ofProcess.join('')}
## What a scrape takes

${measured}
`;
}

if (import.meta.main) {
  const wanted = metricPage();
  if (process.argv[2] === '--write') writeFileSync(page, wanted);
  else if (readFileSync(page, 'utf8') !== wanted) {
    process.stderr.write('not what src/observe/metric-table.ts says: docs/metrics.md; run npm run docs\n');
    process.exitCode = 1;
  }
}
