import type { Command } from 'commander';
import { formatDuration } from '../config/quantities.ts';
import { loadConfig } from '../config/load.ts';
import { silentLog } from '../core/log.ts';
import { driverChecks } from '../driver-checks.ts';
import type { ExplainedStep, UserExplanation } from '../explain.ts';
import { exitCodes, exitCodesHelp, type ExitCode } from './exit-codes.ts';
import { configOption, type Format, formatOption, withExamples } from './options.ts';
import type { Surroundings } from './surroundings.ts';
import { json, table } from './table.ts';

/** `postern explain`: step by step, where a user is led and why. */
export function addExplain(program: Command, surroundings: Surroundings, end: (code: ExitCode) => void): void {
  const command = program
    .command('explain')
    .summary('say step by step why a user lives where')
    .description(
      'Asks the directory as a sign-in would and shows each source with its answer and time, then the backend, its hosts ' +
        'with their states, and the webmail driver. A move, and states that operators set, are read from the store; the ' +
        'hosts of the backend are dialled.',
    )
    .argument('<user>', 'a user name, as a person would type it')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async (user: string, { config: file, format }: { config: string; format: Format }) => {
      const config = await loadConfig(file, { env: surroundings.env, checks: driverChecks });
      const { openExplain } = await surroundings.loadGateway();
      await using opened = await openExplain(config, silentLog);
      const explanation = await opened.explain(user, new AbortController().signal);
      surroundings.print(format === 'json' ? json(explanation) : asText(explanation));
      end(codeOf(explanation));
    });
  withExamples(command, [
    ['postern explain -c postern.yaml alice@example.org', 'why is she led to that server?'],
    ['postern explain --format json alice', 'the same for a program'],
  ]).addHelpText('after', `\n1: unknown or may not sign in; 3: could not be asked for.\n${exitCodesHelp}`);
}

function asText(explanation: UserExplanation): string {
  const { typed, user, answer, why, steps, moved, backend, driver, hosts = [] } = explanation;
  const facts: [string, string | undefined][] = [
    ['typed', typed],
    ['user', user],
    ['answer', why === undefined ? answer : `${answer}: ${why}`],
    ['backend', backend],
    [
      'moved',
      moved === undefined ? undefined : `by ${moved.by}, ${new Date(moved.sinceMs).toISOString()}: ${moved.reason}`,
    ],
    ['webmail', driver],
  ];
  const told = facts.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(8)}${value}\n`])).join('');
  const asked = table(
    ['SOURCE', 'ASKED', 'ANSWER', 'TIME', 'FROM'],
    steps.map((step) => [step.source, step.asked, answerOf(step), `${step.tookMs} ms`, originOf(step)]),
  );
  const dialled = table(
    ['HOST', 'STATE', 'SERVES', 'IMAP', 'WEBMAIL'],
    hosts.map(({ name, state, why, serves, imap, webmail }) => [
      name,
      why === undefined ? state : `${state}: ${why}`,
      serves ? 'yes' : 'no',
      imap,
      webmail,
    ]),
  );
  return [told, ...(steps.length === 0 ? [] : [asked]), ...(hosts.length === 0 ? [] : [dialled])].join('\n');
}

function answerOf({ answer, home, user, why }: ExplainedStep): string {
  if (why !== undefined) return `${answer}: ${why}`;
  if (answer !== 'found') return answer;
  if (home === undefined) return user === undefined ? 'found: exists' : `found: alias of ${user}`;
  return user === undefined ? `found: ${home}` : `found: ${home}, as ${user}`;
}

function originOf({ answer, ageMs, stale }: ExplainedStep): string {
  if (answer === 'skipped') return '-';
  if (ageMs === undefined) return 'asked now';
  return `remembered for ${formatDuration(ageMs)}${stale === true ? ', the source is away' : ''}`;
}

function codeOf({ answer }: UserExplanation): ExitCode {
  if (answer === 'could-not-ask') return exitCodes.unavailable;
  return answer === 'found' ? exitCodes.ok : exitCodes.no;
}
