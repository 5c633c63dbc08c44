import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { silentLog } from '../core/log.ts';
import { createLoginNameParser } from '../core/login-name.ts';
import { driverChecks } from '../driver-checks.ts';
import { exitCodes, exitCodesHelp, type ExitCode } from './exit-codes.ts';
import { configOption, type Format, formatOption, withExamples } from './options.ts';
import type { OpenDirectory, Surroundings } from './surroundings.ts';
import { json, table } from './table.ts';

/** One user as `lookup` shows it. `source` is the one that decided, by its place and type. */
interface Found {
  readonly typed: string;
  readonly answer: 'found' | 'unknown' | 'refused' | 'malformed' | 'could-not-ask';
  readonly backend?: string;
  readonly source?: string;
  readonly user?: string;
  readonly why?: string;
}

/** `postern lookup`: where users live, as the gateway would find it out at their sign-in. */
export function addLookup(program: Command, surroundings: Surroundings, end: (code: ExitCode) => void): void {
  const command = program
    .command('lookup')
    .summary('say on which backend a user lives')
    .description(
      'Asks the directory as a sign-in would: the name is normalised, aliases are followed, sources are asked in their order.',
    )
    .argument('<user...>', 'user names, as a person would type them')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async (users: string[], { config: file, format }: { config: string; format: Format }) => {
      const config = await loadConfig(file, { env: surroundings.env, checks: driverChecks });
      const { buildDirectory } = await surroundings.loadGateway();
      await using directory = await buildDirectory(config, silentLog);
      const parse = createLoginNameParser(config.directory.nameRules);
      const found: Found[] = [];
      for (const user of users) found.push(await lookUp(user, parse, directory));
      surroundings.print(format === 'json' ? json(found) : asTable(found));
      end(codeOf(found));
    });
  withExamples(command, [
    ['postern lookup -c postern.yaml alice@example.org', 'her backend, the source that knew, her canonical name'],
    ['postern lookup --format json alice bob', 'the same for a script'],
  ]).addHelpText(
    'after',
    `\n0: all were found; 1: one is unknown or may not sign in; 3: one could not be asked for.\n${exitCodesHelp}`,
  );
}

async function lookUp(
  typed: string,
  parse: ReturnType<typeof createLoginNameParser>,
  directory: OpenDirectory,
): Promise<Found> {
  const parsed = parse(typed);
  if (parsed.kind === 'malformed') return { typed, answer: 'malformed', why: parsed.why };
  const { steps, outcome } = await directory.explain(parsed.name, new AbortController().signal);
  const last = steps.findLast((step) => step.outcome.kind === outcome.kind)?.source;
  const source = last === undefined ? {} : { source: last };
  if (outcome.kind === 'found') {
    return { typed, answer: 'found', backend: outcome.backend, ...source, user: outcome.user };
  }
  if (outcome.kind === 'unknown-user') return { typed, answer: 'unknown', user: parsed.name };
  const answer = outcome.kind === 'refused' ? 'refused' : 'could-not-ask';
  return {
    typed,
    answer,
    ...source,
    user: parsed.name,
    why: outcome.kind === 'refused' ? outcome.reason : outcome.why,
  };
}

function asTable(found: readonly Found[]): string {
  return table(
    ['USER', 'BACKEND', 'SOURCE', 'CANONICAL USER', 'ANSWER'],
    found.map(({ typed, backend, source, user, answer, why }) => [
      typed,
      backend ?? '-',
      source ?? '-',
      user ?? '-',
      why === undefined ? answer : `${answer}: ${why}`,
    ]),
  );
}

function codeOf(found: readonly Found[]): ExitCode {
  if (found.some(({ answer }) => answer === 'could-not-ask')) return exitCodes.unavailable;
  return found.every(({ answer }) => answer === 'found') ? exitCodes.ok : exitCodes.no;
}
