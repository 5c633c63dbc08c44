import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { createLoginNameParser } from '../core/names.ts';
import { compareDirectories, type Comparison, type HomeChange } from '../directory/compare.ts';
import { operatorName } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { whyUnread } from './named-arguments.ts';
import { totalOf, usersFrom } from './lookup.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type ListFormat,
  listFormatOption,
  withExamples,
} from './options.ts';
import { createProgress, listText } from './output.ts';

type WrittenSource = Config['directory']['sources'][number];

/** `postern directory`: what operators ask and tell the directory as a whole. */
export function addDirectory(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const directory = program
    .command('directory')
    .summary('compare directories, preview other weights, refresh a user’s home')
    .description('Shows which users a changed directory would move, and makes all nodes ask the directory again.');
  for (const add of [addDirectoryCompare, addDirectoryPreview, addDirectoryDrop]) add(directory, environment, end);
}

/** `postern directory drop`: makes every node ask the sources again for a user. */
function addDirectoryDrop(directory: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = directory
    .command('drop')
    .summary('make all nodes look up a user again')
    .description(
      'Tells all nodes, through their shared store, to forget what they remember about a user and all aliases of the ' +
        'user. Within a second the next lookup asks the sources again; if the home has changed, open sessions follow.',
    )
    .argument('<user...>', 'user names, as typed at sign-in')
    .addOption(configOption())
    .action(async (users: string[], { config: file }: { config: string }) => {
      const config = await loadConfig(file, { env: environment.env });
      const parse = createLoginNameParser(config.directory.nameRules);
      const names: string[] = [];
      for (const typed of users) {
        const parsed = parse(typed);
        if (parsed.kind === 'malformed') {
          environment.complain(`${JSON.stringify(typed)} is not a valid user name: ${parsed.why}.\n`);
          return end(exitCodes.invalid);
        }
        names.push(parsed.name);
      }
      const { forgetHomeEverywhere } = await environment.loadGateway();
      for (const name of names) {
        await forgetHomeEverywhere(config, name, `${operatorName()} (command)`, silentLog);
        environment.print(`All nodes will look up ${name} again.\n`);
      }
      end(exitCodes.ok);
    });
  withExamples(command, [
    ['postern directory drop alice@example.org', 'her home has just changed in LDAP'],
    ['postern directory drop alice bob', 'their backend is up again: take them home'],
  ]).addHelpText('after', `\n3: the store did not answer.\n${exitCodesHelp}`);
}

/** `postern directory compare`: who would live elsewhere if another configuration were in force. */
function addDirectoryCompare(directory: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = directory
    .command('compare')
    .summary('list the users whom another configuration would move')
    .description(
      'Looks up the same users in the directories of two configurations, and lists those whose home differs, each ' +
        'with the old and the new home. Changes nothing.',
    )
    .argument('<old>', 'the current configuration')
    .argument('<new>', 'the new configuration')
    .argument('[user...]', 'user names; with - or none, standard input is read, one name per line')
    .addOption(listFormatOption())
    .action(async (before: string, after: string, users: string[], { format }: { format: ListFormat }) => {
      const unread = await whyUnread(before, after);
      if (unread !== undefined) {
        environment.complain(unread);
        return end(exitCodes.invalid);
      }
      const load = (file: string) => loadConfig(file, { env: environment.env, checksDrivers: true });
      const configs = { before: await load(before), after: await load(after) };
      end(await printComparison(configs, users, format, environment));
    });
  withExamples(command, [
    ['postern directory compare postern.yaml new.yaml - < users.txt', 'all users: who would move?'],
    ['postern directory compare postern.yaml new.yaml alice bob', 'only these two'],
  ]).addHelpText('after', comparisonCodesHelp);
}

/** For `--help` of what compares. */
const comparisonCodesHelp = `
0: nobody would move; 1: somebody would; 3: a source did not answer for some users.
${exitCodesHelp}`;

/** Asks both directories for the users and prints who would live elsewhere. */
async function printComparison(
  { before, after }: { readonly before: Config; readonly after: Config },
  users: readonly string[],
  format: ListFormat,
  environment: CommandEnvironment,
): Promise<ExitCode> {
  if (users.length === 0 && environment.ask !== undefined) {
    environment.complain('Name users, or give them on standard input, one per line: - < users.txt\n');
    return exitCodes.invalid;
  }
  const { buildDirectory } = await environment.loadGateway();
  await using directories = new AsyncDisposableStack();
  const open = async (config: Config) => ({
    directory: directories.use(await buildDirectory(config, silentLog)),
    parseName: createLoginNameParser(config.directory.nameRules),
  });
  const changes: HomeChange[] = [];
  const words = users.length === 0 ? ['-'] : users;
  const progress = createProgress(environment, systemClock, { total: await totalOf(words, environment) });
  const comparison = await compareDirectories(
    { before: await open(before), after: await open(after) },
    usersFrom(words, environment.lines),
    { onChange: (change) => void changes.push(change), onProgress: (count) => progress.count(count) },
    new AbortController().signal,
  );
  progress.end();
  changes.sort((a, b) => (a.user < b.user ? -1 : 1));
  if (format === 'table') environment.print(`${changes.map(changeLine).join('')}${comparisonSums(comparison)}`);
  else environment.print(listText(comparisonList(comparison, changes), format, environment));
  // A spreadsheet has no place for sums.
  if (format === 'csv') environment.complain(comparisonSums(comparison));
  if (comparison.unsure > 0) return exitCodes.unavailable;
  return comparison.moved > 0 ? exitCodes.no : exitCodes.ok;
}

function comparisonList({ flows, ...counts }: Comparison, changes: readonly HomeChange[]) {
  const rows = changes.map(({ user, from, to }) => [user, from, to]);
  return { headings: ['USER', 'FROM', 'TO'], rows, body: { ...counts, flows: Object.fromEntries(flows), changes } };
}

/** A user who would move, between tabs. */
function changeLine({ user, from, to }: HomeChange): string {
  return `${user}\t${from}\t${to}\n`;
}

/** What the users add up to: it is read last, and so stands last. */
function comparisonSums({ users, moved, unsure, flows }: Comparison): string {
  const sums = [...flows].sort(([, a], [, b]) => b - a).map(([flow, count]) => `  ${flow}: ${count}\n`);
  const share = users === 0 ? '' : ` (${((moved * 100) / users).toFixed(1)} %)`;
  const doubt = unsure === 0 ? '' : `Not known for ${unsure}: a source did not answer.\n`;
  return `${moved} of ${users} users would move${share}.\n${sums.join('')}${doubt}`;
}

type WeightsByBackend = ReadonlyMap<string, number>;

/** `postern directory preview`: who would move if the weights of the `hash` source were others. */
function addDirectoryPreview(directory: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = directory
    .command('preview')
    .summary('list the users whom other weights of a hash source would move')
    .description(
      'Compares the directory with itself under other weights of its hash source. Other weights stay as they are; 0 takes ' +
        'a backend out. To add a backend, write it into a second configuration and use compare.',
    )
    .argument('[user...]', 'user names; with - or none, standard input is read, one name per line')
    .addOption(
      new Option('--weight <backend=weight>', 'a new weight, such as a=2; repeatable')
        .argParser(readWeight)
        .makeOptionMandatory(),
    )
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async (users: string[], options: { weight: WeightsByBackend; config: string; format: ListFormat }) => {
      const before = await loadConfig(options.config, { env: environment.env, checksDrivers: true });
      const problem = problemWith(before, options.weight);
      if (problem !== undefined) {
        environment.complain(problem);
        return end(exitCodes.invalid);
      }
      const configs = { before, after: withWeights(before, options.weight) };
      end(await printComparison(configs, users, options.format, environment));
    });
  withExamples(command, [
    ['postern directory preview --weight c=2 - < users.txt', 'c gets twice its share: who moves to it?'],
    ['postern directory preview --weight a=0 - < users.txt', 'a gets no users: where do they go?'],
  ]).addHelpText('after', comparisonCodesHelp);
}

function readWeight(text: string, before: WeightsByBackend = new Map()): WeightsByBackend {
  const [, backend, digits] = /^([\w.-]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (backend === undefined) throw new InvalidArgumentError('write BACKEND=WEIGHT, such as a=2.');
  return new Map([...before, [backend, Number(digits)]]);
}

function problemWith({ file, directory, backends }: Config, weights: WeightsByBackend): string | undefined {
  if (!directory.sources.some(({ type }) => type === 'hash')) return `${file} has no hash source: use compare.\n`;
  const known = new Set<string>(backends.keys());
  const unknown = [...weights.keys()].find((name) => !known.has(name));
  return unknown === undefined ? undefined : `There is no backend ${unknown} in ${file}.\n`;
}

/** The configuration with other weights in its hash sources. */
function withWeights(config: Config, weights: WeightsByBackend): Config {
  const { sources } = config.directory;
  const reweighed = (source: WrittenSource): WrittenSource =>
    source.type === 'hash' ? { ...source, weights: newWeights(config, source, weights) } : source;
  const [first, ...others] = sources;
  return { ...config, directory: { ...config.directory, sources: [reweighed(first), ...others.map(reweighed)] } };
}

/** Without weights of its own a hash gives every backend 1. */
function newWeights({ backends }: Config, { weights: written }: WrittenSource, weights: WeightsByBackend): object {
  const usual = Object.fromEntries([...backends.keys()].map((name) => [name, 1]));
  return { ...(typeof written === 'object' && written !== null ? written : usual), ...Object.fromEntries(weights) };
}
