import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { isoTime } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { isObject } from '../core/objects.ts';
import { formatDuration } from '../schema/value-parsers.ts';
import { type ApiReply, cell, openApi, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  answerCode,
  configOption,
  type ExitCode,
  exitCodesHelp,
  type ListFormat,
  listFormatOption,
  withExamples,
} from './options.ts';
import { listText, table } from './output.ts';

/** `postern explain`: step by step, where a user is led and why. */
export function addExplain(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('explain')
    .summary('explain, step by step, which backend a user is routed to')
    .description(
      'Shows each source with its answer and time, then the backend, its hosts with their states, and the webmail driver, ' +
        'as a sign-in right now would see them. The command asks the running gateway, which knows what it remembers. If ' +
        'it cannot be reached (operators.socket, operators.token), or with --fresh, the command itself asks the sources and ' +
        'the store, and connects to the hosts.',
    )
    .argument('<user>', 'a user name, as typed at sign-in')
    .option('--fresh', 'ask the sources now; ignore what the gateway remembers')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async (user: string, { config, format, fresh }: { config: string; format: ListFormat; fresh?: true }) => {
      const running = fresh ? undefined : await askRunning(config, user, environment);
      const explanation = running ?? (await askSources(config, user, environment));
      if (format === 'table') environment.print(explanationText(explanation));
      else environment.print(listText(explanationList(explanation), format, environment));
      end(answerCode(explanation));
    });
  withExamples(command, [
    ['postern explain -c postern.yaml alice@example.org', 'why is alice on that backend?'],
    ['postern explain --fresh alice', 'the same, with fresh answers from all sources'],
    ['postern explain --format json alice', 'for a program'],
  ]).addHelpText('after', `\n1: unknown or may not sign in; 3: a source did not answer.\n${exitCodesHelp}`);
}

type ExplanationReply = ApiReply['body'];

/** Asks the running gateway; undefined if it cannot be reached. */
async function askRunning(
  file: string,
  user: string,
  environment: CommandEnvironment,
): Promise<ExplanationReply | undefined> {
  const { socket, token } = (await loadConfig(file, { env: environment.env })).operators;
  if (socket === undefined && token === undefined) return undefined;
  const ask = await openApi(file, environment);
  try {
    const { status, body } = await ask('GET', `/users/${encodeURIComponent(user)}/explanation`);
    return status === 200 ? body : undefined;
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return undefined;
    throw error;
  }
}

async function askSources(file: string, user: string, environment: CommandEnvironment): Promise<ExplanationReply> {
  const config = await loadConfig(file, { env: environment.env, checksDrivers: true });
  const { openExplain } = await environment.loadGateway();
  await using opened = await openExplain(config, silentLog);
  return { ...(await opened.explain(user, new AbortController().signal)) };
}

/** The sources with their answers, and the hosts with their states, as rows of one list. */
function explanationList(explanation: ExplanationReply) {
  const { user, backend, steps, hosts } = explanation;
  const about = [cell(user), cell(backend)];
  const asked = rowsIn(steps).map((step) => [
    ...about,
    'source',
    cell(step['source']),
    answerOf(step),
    { shown: cell(step['tookMs']), value: cell(step['tookMs']) },
  ]);
  const machines = rowsIn(hosts).map(({ name, state, why }) => {
    return [...about, 'host', cell(name), why === undefined ? cell(state) : `${cell(state)}: ${cell(why)}`, '-'];
  });
  const headings = ['USER', 'BACKEND', 'KIND', 'NAME', 'ANSWER', 'MILLISECONDS'];
  return { headings, rows: [...asked, ...machines], body: explanation };
}

function explanationText({
  typed,
  user,
  answer,
  why,
  steps,
  moved,
  locked,
  backend,
  driver,
  hosts,
}: ExplanationReply): string {
  const facts: [string, unknown][] = [
    ['typed', typed],
    ['user', user],
    ['answer', why === undefined ? answer : `${cell(answer)}: ${cell(why)}`],
    ['backend', backend],
    [
      'moved',
      isObject(moved) ? `by ${cell(moved['by'])}, ${timeOf(moved['sinceMs'])}: ${cell(moved['reason'])}` : undefined,
    ],
    ['locked', isObject(locked) ? lockedText(locked) : undefined],
    ['webmail', driver],
  ];
  const told = facts
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(8)}${cell(value)}\n`]))
    .join('');
  const asked = rowsIn(steps).map((step) => [
    cell(step['source']),
    cell(step['asked']),
    answerOf(step),
    `${cell(step['tookMs'])} ms`,
    ageText(step),
  ]);
  const machines = rowsIn(hosts).map(({ name, state, why: whyDown, serves, imap, webmail }) => [
    cell(name),
    whyDown === undefined ? cell(state) : `${cell(state)}: ${cell(whyDown)}`,
    serves === true ? 'yes' : 'no',
    cell(imap),
    cell(webmail),
  ]);
  return [
    told,
    ...(asked.length === 0 ? [] : [table(['SOURCE', 'ASKED', 'ANSWER', 'TIME', 'FROM'], asked)]),
    ...(machines.length === 0 ? [] : [table(['HOST', 'STATE', 'SERVES', 'IMAP', 'WEBMAIL'], machines)]),
  ].join('\n');
}

/** Such as `by ops, 2030-01-31T06:00:00.000Z, until 2030-02-07T06:00:00.000Z: sends spam`. */
function lockedText({ kind, name, by, sinceMs, untilMs, reason }: ExplanationReply): string {
  const until = untilMs === undefined ? '' : `, until ${timeOf(untilMs)}`;
  const through = kind === 'user' ? '' : `, with all of ${cell(name)}`;
  return `by ${cell(by)}, ${timeOf(sinceMs)}${until}${through}: ${cell(reason)}`;
}

function answerOf({ answer, home, user, role, why }: ExplanationReply): string {
  if (why !== undefined) return `${cell(answer)}: ${cell(why)}`;
  if (answer !== 'found') return cell(answer);
  const asRole = role === undefined ? '' : `, role ${cell(role)}`;
  if (home === undefined) return `found: ${user === undefined ? 'exists' : `alias of ${cell(user)}`}${asRole}`;
  return `found: ${cell(home)}${user === undefined ? '' : `, as ${cell(user)}`}${asRole}`;
}

function ageText({ answer, ageMs, stale }: ExplanationReply): string {
  if (answer === 'skipped') return '-';
  if (typeof ageMs !== 'number') return 'asked now';
  const age = ageMs < 1000 ? `${ageMs} ms` : formatDuration(Math.round(ageMs / 1000) * 1000);
  return `remembered for ${age}${stale === true ? ', the source does not answer' : ''}`;
}

function timeOf(ms: unknown): string {
  return typeof ms === 'number' ? isoTime(ms) : '-';
}
