import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../programs.ts';
import { rules } from './scrapes.fixture.ts';

/** Labels that Prometheus adds, and that of the buckets of a histogram. */
const addedLabels = ['instance', 'job', 'le', 'alertname', 'alertstate'];
/** What the rules record, with the labels of the result. */
const recorded = new Map(
  rules.flatMap((rule) =>
    'record' in rule ? [[rule.record, /by \(([^)]*)\)/.exec(rule.expr)?.[1] ?? ''] as const] : [],
  ),
);
const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
/** The labels of each metric of docs/metrics.md, with what it says of their values; of those of processes, none. */
const table = new Map(
  [...page.matchAll(/^\| `(\w+)` \|(?: \w+ \| ([^|]*) \|)?/gm)].map(([, metric = '', labels = '']) => [
    metric,
    Object.fromEntries(
      [...labels.matchAll(/(?:^|; )`(\w+)`: (.*?)(?=; `\w+`: |$)/g)].map(([, label = '', about = '']) => [
        label,
        about,
      ]),
    ),
  ]),
);

/** The labels of a metric with what docs/metrics.md says of their values; undefined if there is no such metric. */
function labelsOf(metric: string): Readonly<Record<string, string>> | undefined {
  const documented = table.get(metric) ?? table.get(metric.replace(/_(?:bucket|sum|count)$/, ''));
  if (documented !== undefined || metric === 'up') return documented ?? {};
  const labels = recorded.get(metric);
  return labels === undefined ? undefined : Object.fromEntries(labels.split(', ').map((label) => [label, '']));
}

/** What an expression names that Postern does not have: metrics, labels, values of labels. */
export function strangersIn(expression: string): readonly string[] {
  const metrics = [...expression.matchAll(/\b(up|(?:postern|nodejs|process)[:_][a-z0-9_:]+)(?:\{([^}]*)\})?/g)];
  const known = new Set(addedLabels);
  const strangers: string[] = [];
  for (const [, metric = '', matchers = ''] of metrics) {
    const labels = labelsOf(metric);
    if (labels === undefined) strangers.push(`there is no metric ${metric}`);
    for (const label of Object.keys(labels ?? {})) known.add(label);
    for (const [, label = '', text = ''] of matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)) {
      if (addedLabels.includes(label)) continue;
      const about = labels?.[label];
      if (about === undefined) strangers.push(`${metric} has no label ${label}`);
      else if (about.includes('`') && !text.startsWith('$')) {
        const values = text.split('|').filter((value) => !about.includes(`\`${value}\``) && !about.includes('`ERR_…`'));
        strangers.push(...values.map((value) => `${metric} has no ${label} ${value}`));
      }
    }
  }
  if (metrics.length === 0) strangers.push('it has no metric');
  for (const [, names = ''] of expression.matchAll(/\b(?:by|on|group_right) \(([^)]*)\)/g)) {
    const missing = names.split(', ').filter((label) => label !== '' && !known.has(label));
    strangers.push(...missing.map((label) => `no metric of it has the label ${label}`));
  }
  return strangers;
}

/** Has promtool parse expressions. Rejects with what it says of one that is none. */
export async function parseAll(expressions: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-expressions-'));
  try {
    const file = join(folder, 'expressions.yml');
    const named = expressions.map((expr, index) => ({ record: `expression:${index}`, expr }));
    await writeFile(file, JSON.stringify({ groups: [{ name: 'expressions', rules: named }] }));
    await runProgram('promtool', ['check', 'rules', '--lint-fatal', file]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
