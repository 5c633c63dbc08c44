import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { createLoginNameParser } from '../core/names.ts';
import { compareDirectories, type Comparison, type HomeChange } from '../directory/compare.ts';
import { driverChecks } from '../gateway/driver-checks.ts';
import { type ExitCode, exitCodes, exitCodesHelp } from './exit-codes.ts';
import { type Format, formatOption, withExamples } from './options.ts';
import { createProgress } from './progress.ts';
import type { Surroundings } from './surroundings.ts';
import { json } from './table.ts';
import { usersFrom } from './users.ts';

/** `postern directory compare`: who would live elsewhere if another configuration were in force. */
export function addDirectoryCompare(
  directory: Command,
  surroundings: Surroundings,
  end: (code: ExitCode) => void,
): void {
  const command = directory
    .command('compare')
    .summary('say who would live elsewhere under another configuration')
    .description(
      'Asks the directories of two configurations for the same users: how many and which ones would live elsewhere, each ' +
        'with the old and the new home. Nothing is changed.',
    )
    .argument('<old>', 'the configuration that is in force')
    .argument('<new>', 'the one that would be')
    .argument('[user...]', 'user names; - or none reads them from standard input, one per line')
    .addOption(formatOption())
    .action(async (before: string, after: string, users: string[], { format }: { format: Format }) => {
      const load = (file: string) => loadConfig(file, { env: surroundings.env, checks: driverChecks });
      const configs = { before: await load(before), after: await load(after) };
      end(await compare(configs, users, format, surroundings));
    });
  withExamples(command, [
    ['postern directory compare postern.yaml new.yaml - < users.txt', 'everybody: who would live elsewhere?'],
    ['postern directory compare postern.yaml new.yaml alice bob', 'these two only'],
  ]).addHelpText('after', comparisonCodesHelp);
}

/** For `--help` of what compares. */
export const comparisonCodesHelp = `
0: nobody would live elsewhere; 1: somebody would; 3: of somebody it could not be said.
${exitCodesHelp}`;

/** Asks both directories for the users and prints who would live elsewhere. */
export async function compare(
  { before, after }: { readonly before: Config; readonly after: Config },
  users: readonly string[],
  format: Format,
  surroundings: Surroundings,
): Promise<ExitCode> {
  if (users.length === 0 && surroundings.ask !== undefined) {
    surroundings.complain('Name users, or give them on standard input, one per line: - < users.txt\n');
    return exitCodes.invalid;
  }
  const { buildDirectory } = await surroundings.loadGateway();
  await using directories = new AsyncDisposableStack();
  const open = async (config: Config) => ({
    directory: directories.use(await buildDirectory(config, silentLog)),
    parseName: createLoginNameParser(config.directory.nameRules),
  });
  const changes: HomeChange[] = [];
  const progress = createProgress(surroundings, systemClock);
  const comparison = await compareDirectories(
    { before: await open(before), after: await open(after) },
    usersFrom(users.length === 0 ? ['-'] : users, surroundings.lines),
    { onChange: (change) => void changes.push(change), onProgress: (count) => progress.count(count) },
    new AbortController().signal,
  );
  progress.end();
  changes.sort((a, b) => (a.user < b.user ? -1 : 1));
  surroundings.print(format === 'json' ? asJson(comparison, changes) : asText(comparison, changes));
  if (comparison.unsure > 0) return exitCodes.unavailable;
  return comparison.moved > 0 ? exitCodes.no : exitCodes.ok;
}

function asJson({ flows, ...counts }: Comparison, changes: readonly HomeChange[]): string {
  return json({ ...counts, flows: Object.fromEntries(flows), changes });
}

/** Users first, one per line between tabs; what they add up to is read last, and so stands last. */
function asText({ users, moved, unsure, flows }: Comparison, changes: readonly HomeChange[]): string {
  const lines = changes.map(({ user, from, to }) => `${user}\t${from}\t${to}\n`);
  const sums = [...flows].sort(([, a], [, b]) => b - a).map(([flow, count]) => `  ${flow}: ${count}\n`);
  const share = users === 0 ? '' : ` (${((moved * 100) / users).toFixed(1)} %)`;
  const doubt = unsure === 0 ? '' : `Of ${unsure} it could not be said: a source could not be asked.\n`;
  return `${lines.join('')}${moved} of ${users} users would live elsewhere${share}.\n${sums.join('')}${doubt}`;
}
