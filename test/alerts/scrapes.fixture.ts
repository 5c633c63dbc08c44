import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { runProgram } from '../programs.ts';

/*
 * What Prometheus would have stored of real gateways, as a unit test of promtool. A phase has two scrapes: what happened
 * between them is taken for what happens in each minute of the phase.
 */

/** The rules, which this fixture tests. */
export const rulesFile = fileURLToPath(new URL('../../deploy/prometheus/rules.yml', import.meta.url));

/** A rule that alerts. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

interface RulesFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly (AlertRule | RecordingRule)[] }[];
}

function readRules(): readonly (AlertRule | RecordingRule)[] {
  const { groups }: RulesFile = parse(readFileSync(rulesFile, 'utf8'));
  return groups.flatMap(({ rules }) => rules);
}

/** Every rule of the file. */
export const rules = readRules();

/** The rules that alert, in their order. */
export const alertRules = rules.filter((rule): rule is AlertRule => 'alert' in rule);

const quietMinutes = 90;
const usualMinutes = 90;

/** A sample of a node, under the text of its series. */
export interface Scrape {
  readonly samples: ReadonlyMap<string, { readonly value: number; readonly isCounter: boolean }>;
}

/** Scrapes nodes as Prometheus does: one that does not answer leaves `up` at 0 and nothing else. */
export async function scrape(nodes: Readonly<Record<string, number>>): Promise<Scrape> {
  const samples = new Map<string, { readonly value: number; readonly isCounter: boolean }>();
  const nowS = Date.now() / 1000;
  for (const [instance, port] of Object.entries(nodes)) {
    const text = await textOf(port);
    const where = `instance="${instance}",job="postern"`;
    samples.set(`up{${where}}`, { value: text === undefined ? 0 : 1, isCounter: false });
    let isCounter = false;
    for (const line of (text ?? '').split('\n')) {
      const type = /^# TYPE \S+ (\S+)/.exec(line)?.[1];
      if (type !== undefined) isCounter = type === 'counter' || type === 'histogram';
      const [, name = '', labels, value = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      if (name === '') continue;
      // promtool's clock begins at 0: the moment of the scrape is taken for the begin of the fault.
      const since = name.endsWith('_timestamp_seconds') && Number(value) > 0 ? nowS - quietMinutes * 60 : 0;
      const all = labels === undefined || labels === '' ? where : `${labels},${where}`;
      samples.set(`${name}{${all}}`, { value: Number(value) - since, isCounter });
    }
  }
  return { samples };
}

async function textOf(port: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}

/** A firing alert: its labels beside those of its rule, and its summary in full. */
export interface Firing {
  readonly alert: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
}

/** A fault: scrapes at the begin and the end of a quiet time, and of the fault. */
export interface Episode {
  readonly name: string;
  readonly quiet: readonly [Scrape, Scrape];
  readonly fault: readonly [Scrape, Scrape];
  /** What fires in the end of it, and nothing else; in the quiet time before it, nothing does. */
  readonly fires: readonly Firing[];
  /** How long it lasts; 90 unless given. */
  readonly faultMinutes?: number;
}

/** Has promtool judge the episodes by the rules. Rejects with what it found. */
export async function judge(episodes: readonly Episode[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-rules-'));
  try {
    const file = join(folder, 'episodes.yml');
    const tests = episodes.map((episode) => ({
      name: episode.name,
      interval: '1m',
      input_series: seriesOf(episode),
      promql_expr_test: [
        ...[5, 30, quietMinutes - 1].map((minute) => firingAt(minute, [])),
        firingAt(quietMinutes + (episode.faultMinutes ?? usualMinutes), episode.fires),
      ],
      alert_rule_test: alertNames(episode.fires).map((alertname) => ({
        alertname,
        eval_time: `${quietMinutes + (episode.faultMinutes ?? usualMinutes)}m`,
        exp_alerts: episode.fires.filter(({ alert }) => alert === alertname).map(expected),
      })),
    }));
    // Each minute of a day would take promtool long.
    const isLong = episodes.some(({ faultMinutes = usualMinutes }) => faultMinutes > 5 * usualMinutes);
    // JSON is YAML.
    await writeFile(
      file,
      JSON.stringify({ rule_files: [rulesFile], evaluation_interval: isLong ? '10m' : '1m', tests }),
    );
    return await runProgram('promtool', ['test', 'rules', file]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function alertNames(fires: readonly Firing[]): readonly string[] {
  return [...new Set(fires.map(({ alert }) => alert))];
}

function firingAt(minute: number, fires: readonly Firing[]) {
  return {
    expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: `${minute}m`,
    exp_samples: alertNames(fires).map((name) => ({
      labels: `{alertname="${name}"}`,
      value: fires.filter(({ alert }) => alert === name).length,
    })),
  };
}

function expected({ alert, labels, summary }: Firing) {
  const rule = alertRules.find((candidate) => candidate.alert === alert);
  if (rule === undefined) throw new Error(`there is no alert ${alert}`);
  return { exp_labels: { ...labels, ...rule.labels }, exp_annotations: { ...rule.annotations, summary } };
}

/** The metrics that the rules read, so that promtool need not read all others. */
const mentioned = new Set(rules.flatMap(({ expr }) => expr.match(/[a-z_:][a-z0-9_:]*/g) ?? []));

function seriesOf({ quiet, fault, fires, faultMinutes = usualMinutes }: Episode) {
  // How busy this machine is with other tests would be told as the load of the nodes.
  const isAboutLoad = fires.some(({ alert }) => alert === 'PosternNodeOverloaded');
  const keys = new Set([...quiet, ...fault].flatMap(({ samples }) => [...samples.keys()]));
  return [...keys]
    .filter((key) => mentioned.has(key.slice(0, key.indexOf('{'))))
    .filter((key) => isAboutLoad || !key.startsWith('nodejs_eventloop_lag'))
    .map((series) => ({ series, values: valuesOf(series, { quiet, fault, faultMinutes }) }));
}

/** Prometheus' own notation: `1x3` is four times 1, `1+2x3` is 1 3 5 7, `_x3` is nothing three times. */
function valuesOf(
  series: string,
  { quiet, fault, faultMinutes }: Pick<Episode, 'quiet' | 'fault'> & { readonly faultMinutes: number },
): string {
  const [before, early, late] = [quiet[1], ...fault].map(({ samples }) => samples.get(series));
  const began = quiet[0].samples.get(series) ?? before;
  const parts: string[] = [];
  const isCounter = before?.isCounter ?? late?.isCounter ?? false;
  let value = 0;
  const repeat = (perMinute: number, minutes: number): void => {
    parts.push(perMinute === 0 ? `${value}x${minutes - 1}` : `${value}+${perMinute}x${minutes - 1}`);
    value += perMinute * (minutes - 1);
  };
  if (before === undefined || began === undefined) parts.push(`_x${quietMinutes}`);
  else {
    value = began.value;
    if (!isCounter) value = before.value;
    repeat(isCounter ? before.value - began.value : 0, quietMinutes);
  }
  if (late === undefined) parts.push(`_x${faultMinutes + 1}`);
  else if (!isCounter) {
    value = late.value;
    repeat(0, faultMinutes + 1);
  } else {
    const first = early ?? { value: 0 };
    // A counter that is smaller than before began again.
    const grown = first.value - (before?.value ?? 0);
    value = grown < 0 ? first.value : value + grown;
    repeat(late.value - first.value, faultMinutes + 1);
  }
  return parts.join(' ');
}
