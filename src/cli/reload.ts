import type { Command } from 'commander';
import { cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type Format,
  formatOption,
  withExamples,
} from './options.ts';
import { json } from './output.ts';

type NodeRow = Readonly<Record<string, unknown>>;

interface ReloadOptions {
  readonly config: string;
  readonly format: Format;
  readonly reason: string;
  readonly all?: true;
}

/** `postern reload`: makes running gateways read their configuration again, and says what came of it. */
export function addReload(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;
  const command = program
    .command('reload')
    .summary('make this node, or all nodes, read the configuration again, and say what changed')
    .description(
      'A node takes its new configuration over as a whole or not at all. The command waits for the result: the keys that ' +
        'changed, without their values, or each problem with its place. Each node reads its own files.',
    )
    .option('--all', 'all nodes that live')
    .option('--reason <words>', 'why, for the audit', 'postern reload')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async ({ config, format, reason, all }: ReloadOptions) => {
      const ask = await openApi(config, environment);
      const reply = await ask('POST', '/reload', { reason, ...(all === undefined ? {} : { all }) });
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      const nodes = rowsIn(reply.body['nodes']);
      print(format === 'json' ? json(reply.body) : nodes.map(reloadText).join(''));
      end(reloadCode(nodes));
    });
  withExamples(command, [
    ['postern reload', 'after a change of the configuration on this machine'],
    ['postern reload --all --reason "new backend"', 'after the new files are on every machine'],
  ]).addHelpText(
    'after',
    `\n0: all use the new configuration; 2: one keeps its old one; 3: one has not answered within 30 s.\n${exitCodesHelp}`,
  );
}

function reloadCode(nodes: readonly NodeRow[]): ExitCode {
  if (nodes.some(({ answered }) => answered !== true)) return exitCodes.unavailable;
  return nodes.every(({ active }) => active === true) ? exitCodes.ok : exitCodes.invalid;
}

/** What came of it on one node, each problem on a line of its own. */
function reloadText({ name, answered, active, changed, removed, problems }: NodeRow): string {
  const node = cell(name);
  if (answered !== true) return `${node}: has not answered within 30 s; its log may say why\n`;
  const lines = wordsIn(problems).map((problem) => `  ${problem}\n`);
  if (active !== true) return `${node}: the old configuration stays in force\n${lines.join('')}`;
  const changes = wordsIn(changed);
  const gone = wordsIn(removed);
  const said = [
    changes.length === 0 ? 'nothing has changed' : `changed: ${changes.join(', ')}`,
    ...(gone.length === 0 ? [] : [`backends removed, with their sessions: ${gone.join(', ')}`]),
    ...(lines.length === 0 ? [] : ['but a part did not follow']),
  ];
  return `${node}: ${said.join('; ')}\n${lines.join('')}`;
}

function wordsIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(cell) : [];
}
