import type { Command } from 'commander';
import { isObject } from '../core/objects.ts';
import { type ApiReply, type AskApi, cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  wholeNumber,
  withExamples,
} from './options.ts';
import { amount, type Cell, listText, painted, stateCell, table, timeCell } from './output.ts';

type Row = Readonly<Record<string, unknown>>;
type End = (code: ExitCode) => void;

/** `postern status`, `top` and `node`: the whole cluster in one view. */
export function addStatus(program: Command, environment: CommandEnvironment, end: End): void {
  addStatusOnce(program, environment, end);
  addTop(program, environment, end);
  addNode(program, environment, end);
}

function addStatusOnce(program: Command, environment: CommandEnvironment, end: End): void {
  const { print, complain } = environment;
  const status = program
    .command('status')
    .summary('show backends, nodes and alarms of the whole cluster, the worst first')
    .description(
      'Sessions, sign-ins, requests and errors are those of all nodes, in the last minute. With --format csv only the ' +
        'backends are listed.',
    )
    .option('--watch', 'show it again and again, until Ctrl-C')
    .addOption(everyOption(5))
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format, watch, every }: WatchOptions & { format: ListFormat; watch?: true }) => {
      const ask = await openApi(config, environment);
      const text = ({ body }: ApiReply) =>
        format === 'table'
          ? statusText(body, environment)
          : listText({ ...backendRows(body, byHarm), body }, format, environment);
      if (watch === true) return end(await watchStatus(ask, { every, text: (reply) => text(reply) }, environment));
      const reply = await ask('GET', '/status');
      const refused = refusalCode(reply, complain);
      if (refused === undefined) print(text(reply));
      end(refused ?? exitCodes.ok);
    });
  withExamples(status, [
    ['postern status', 'is anything wrong, and since when?'],
    ['postern status --watch --every 2', 'during maintenance'],
    ['postern status --format csv > backends.csv', 'for a spreadsheet'],
  ]);
}

function addTop(program: Command, environment: CommandEnvironment, end: End): void {
  const top = program
    .command('top')
    .summary('show the busiest backends, again and again')
    .description(
      'Fills the terminal, and ends with q. Without a terminal, or with another format, it prints once and ends.',
    )
    .addOption(everyOption(2))
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, every, format }: WatchOptions & { format: ListFormat }) => {
      const ask = await openApi(config, environment);
      const { terminal, print, complain } = environment;
      const text = ({ body }: ApiReply) => `${summaryLine(body)}\n\n${busiestTable(body, environment)}`;
      if (terminal !== undefined && format === 'table')
        return end(await watchStatus(ask, { every, text }, environment));
      const reply = await ask('GET', '/status');
      const refused = refusalCode(reply, complain);
      if (refused === undefined) print(format === 'table' ? text(reply) : busiestText(reply, format, environment));
      end(refused ?? exitCodes.ok);
    });
  withExamples(top, [['postern top', 'who has the load now?']]);
}

function addNode(program: Command, environment: CommandEnvironment, end: End): void {
  const { print, complain } = environment;
  const node = program.command('node').summary('list the nodes, and what differs between them');
  node
    .command('list')
    .summary('list all nodes that live, with version, configuration, workers, clock and sessions')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format }: { config: string; format: ListFormat }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', '/nodes');
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      const note = othersUnknown(reply.body);
      print(listText({ ...nodeRows(reply.body), body: reply.body, note }, format, environment));
      end(note === undefined ? exitCodes.ok : exitCodes.unavailable);
    });
  withExamples(node, [['postern node list', 'do all nodes run the same version and configuration?']]);
}

interface WatchOptions {
  readonly config: string;
  readonly every: number;
}

function everyOption(seconds: number) {
  return wholeNumber('--every <seconds>', 'how often').default(seconds);
}

interface Watched {
  /** Seconds between two looks. */
  readonly every: number;
  readonly text: (reply: ApiReply) => string;
}

const clearScreen = '\u001b[H\u001b[2J';
const otherScreen = { enter: '\u001b[?1049h', leave: '\u001b[?1049l' } as const;
const interruptKey = '\u0003';

/** Shows the status until q or Ctrl-C. A gateway that is away for a while, as during a restart, does not end it. */
async function watchStatus(ask: AskApi, { every, text }: Watched, environment: CommandEnvironment): Promise<ExitCode> {
  const { print, signals, terminal } = environment;
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  signals.on('SIGINT', stop);
  using opened = new DisposableStack();
  opened.defer(() => signals.off('SIGINT', stop));
  if (terminal !== undefined) {
    print(otherScreen.enter);
    opened.defer(() => print(otherScreen.leave));
    opened.defer(terminal.onKey((key) => (key === 'q' || key === interruptKey ? stop() : undefined)));
  }
  while (!stopped.signal.aborted) {
    const shown = await askStatus(ask, text);
    print(terminal === undefined ? `${shown}\n` : `${clearScreen}${fitted(shown, terminal.rows())}`);
    await pauseOf(every * 1000, stopped.signal);
  }
  return exitCodes.ok;
}

async function askStatus(ask: AskApi, text: Watched['text']): Promise<string> {
  try {
    const reply = await ask('GET', '/status');
    return reply.status < 400 ? text(reply) : `${cell(reply.body['error'])}\n`;
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    return `${error.message}\n`;
  }
}

/** As many lines as there are rows; the last row stays empty, or the screen would scroll. */
function fitted(text: string, rows: number): string {
  const lines = text.trimEnd().split('\n');
  return lines.length < rows ? text : `${lines.slice(0, rows - 2).join('\n')}\n… ${lines.length - rows + 2} more`;
}

function pauseOf(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function statusText(body: Row, environment: CommandEnvironment): string {
  const { headings, rows } = backendRows(body, byHarm);
  const nodes = nodeRows(body);
  const colours = environment.colours === true;
  const notes = [othersUnknown(body), storeTrouble(body), alarmsText(body)].filter((note) => note !== undefined);
  return [
    `${summaryLine(body)}\n`,
    ...notes.map((note) => `${colours ? painted(note, 'bad') : note}\n`),
    `\n${table(headings, rows, colours)}`,
    `\n${table(nodes.headings, nodes.rows, colours)}`,
  ].join('');
}

function summaryLine(body: Row): string {
  const logins = objectIn(body['logins_last_minute']);
  const nodes = rowsIn(body['nodes']).length;
  return [
    `${counted(nodes, 'node')}, ${counted(rowsIn(body['backends']).length, 'backend')}, ${counted(body['sessions'], 'session')}`,
    `${counted(logins['ok'], 'sign-in')} in the last minute (${countCell(logins['refused']).shown} refused, ${countCell(logins['failed']).shown} failed)`,
    `${counted(body['requests_last_minute'], 'request')}, ${counted(body['errors_last_minute'], 'error')}`,
    storeWords(body),
  ].join('; ');
}

function storeWords(body: Row): string {
  const { kind, answers, role } = objectIn(body['store']);
  if (kind === 'embedded') return 'embedded store';
  return `Redis ${answers === true ? 'answers' : 'does not answer'}${role === undefined ? '' : ` (${cell(role)})`}`;
}

function storeTrouble(body: Row): string | undefined {
  const { answers, why } = objectIn(body['store']);
  return answers === true ? undefined : `The store of the sessions does not answer: ${cell(why)}`;
}

function othersUnknown(body: Row): string | undefined {
  const why = body['others_unknown'];
  return why === undefined ? undefined : `Other nodes are not known now: ${cell(why)}`;
}

function alarmsText(body: Row): string | undefined {
  const alarms = Object.entries(objectIn(body['alarms_last_hour']));
  if (alarms.length === 0) return undefined;
  const each = alarms.map(([code, count]) => `${code} ${count === 1 ? 'once' : `${countCell(count).shown} times`}`);
  return `Alarms in the last hour: ${each.join(', ')}. The log has the details.`;
}

/** As the API lists them: the worst first. */
const byHarm = (backends: readonly Row[]): readonly Row[] => backends;
const backendHeadings = [
  'BACKEND',
  'STATE',
  'SINCE',
  'UNTIL',
  'ACTIVE',
  'SESSIONS',
  'SIGN-INS',
  'FAILED',
  'REQUESTS',
  '5XX',
  'P95 MS',
  'BY',
  'WHY',
];

function backendRows(body: Row, order: (backends: readonly Row[]) => readonly Row[]) {
  const rows = order(rowsIn(body['backends'])).map((backend): readonly Cell[] => {
    const logins = objectIn(backend['logins_last_minute']);
    return [
      cell(backend['name']),
      stateWords(backend),
      timeCell(backend['since']),
      timeCell(backend['until']),
      cell(backend['active']),
      countCell(backend['sessions']),
      countCell(logins['ok']),
      harmCell(logins['failed']),
      countCell(backend['requests_last_minute']),
      harmCell(backend['errors_last_minute']),
      backend['p95_ms'] === undefined ? '-' : countCell(backend['p95_ms']),
      cell(backend['by']),
      whyOf(backend),
    ];
  });
  return { headings: backendHeadings, rows };
}

/** A `+` says that a host of the backend has another state. */
function stateWords(backend: Row): Cell {
  const state = cell(backend['state']);
  if (backend['impaired'] !== true) return stateCell(state);
  const tone = state === 'DOWN' ? 'bad' : 'warning';
  return { shown: `${state} +`, value: state, tone };
}

/** The reason of the state, and the hosts that have another one. */
function whyOf(backend: Row): string {
  const others = rowsIn(backend['hosts'])
    .filter((host) => host['state'] !== backend['state'])
    .map((host) => `${cell(host['name'])} ${cell(host['state'])}: ${cell(host['reason'])}`);
  const own = backend['reason'] === undefined ? [] : [cell(backend['reason'])];
  return [...own, ...others].join('; ') || '-';
}

function busiestTable(body: Row, { colours }: CommandEnvironment): string {
  const { headings, rows } = backendRows(body, byLoad);
  return table(headings, rows, colours);
}

function busiestText({ body }: ApiReply, format: ListFormat, environment: CommandEnvironment): string {
  return listText({ ...backendRows(body, byLoad), body }, format, environment);
}

function byLoad(backends: readonly Row[]): readonly Row[] {
  return backends.toSorted((a, b) => Number(b['requests_last_minute']) - Number(a['requests_last_minute']));
}

const nodeHeadings = [
  'NODE',
  'STATE',
  'VERSION',
  'CONFIGURATION',
  'LOADED',
  'STARTED',
  'WORKERS',
  'SESSIONS',
  'CLOCK MS',
  'LACKS',
];
/** A clock that is off by more is marked: sessions and codes end by it. */
const skewMostMs = 1_000;

function nodeRows(body: Row) {
  const rows = rowsIn(body['nodes']).map((node): readonly Cell[] => {
    const drift = Array.isArray(node['drift']) ? node['drift'] : [];
    const skew = node['clock_skew_ms'];
    const lacks = Array.isArray(node['degraded']) ? node['degraded'].map(cell) : [];
    return [
      { shown: `${cell(node['name'])}${node['this_node'] === true ? ' *' : ''}`, value: cell(node['name']) },
      stateCell(cell(node['state'])),
      marked(cell(node['version']), drift.includes('version')),
      marked(cell(node['config']), drift.includes('configuration')),
      timeCell(node['config_loaded']),
      timeCell(node['started']),
      countCell(node['workers']),
      countCell(node['sessions']),
      typeof skew === 'number' ? marked(String(skew), Math.abs(skew) > skewMostMs, skew) : '-',
      lacks.length === 0 ? '-' : lacks.join(' '),
    ];
  });
  return { headings: nodeHeadings, rows };
}

/** A value that differs from that of the other nodes, or that is too large, is marked by a word as well as by colour. */
function marked(text: string, isMarked: boolean, value: string | number = text): Cell {
  return isMarked ? { shown: `${text} !`, value, tone: 'warning' } : { shown: text, value };
}

/** A count that should be 0. */
function harmCell(value: unknown): Cell {
  const count = countCell(value);
  return count.value === 0 ? count : { ...count, tone: 'bad' };
}

function countCell(value: unknown): { readonly shown: string; readonly value: number } {
  const count = typeof value === 'number' ? value : 0;
  return { shown: amount(count), value: count };
}

function counted(value: unknown, noun: string): string {
  const count = typeof value === 'number' ? value : 0;
  return `${amount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function objectIn(value: unknown): Row {
  return isObject(value) ? value : {};
}
