import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Config, SourceConfig } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { driverChecks } from '../gateway/driver-checks.ts';
import { compare, comparisonCodesHelp } from './directory-compare.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { configOption, type Format, formatOption, withExamples } from './options.ts';
import type { Surroundings } from './surroundings.ts';

type Weights = ReadonlyMap<string, number>;

/** `postern directory preview`: who would move if the weights of the `hash` source were others. */
export function addDirectoryPreview(
  directory: Command,
  surroundings: Surroundings,
  end: (code: ExitCode) => void,
): void {
  const command = directory
    .command('preview')
    .summary('say who would move under other weights of a hash')
    .description(
      'Compares the directory with itself under other weights of its hash source. Weights that are not given stay; 0 takes ' +
        'a backend out. For a backend that is not in the configuration yet, write it there and use compare.',
    )
    .argument('[user...]', 'user names; - or none reads them from standard input, one per line')
    .addOption(
      new Option('--weight <backend=weight>', 'another weight, such as a=2; may be given again')
        .argParser(readWeight)
        .makeOptionMandatory(),
    )
    .addOption(configOption())
    .addOption(formatOption())
    .action(async (users: string[], options: { weight: Weights; config: string; format: Format }) => {
      const before = await loadConfig(options.config, { env: surroundings.env, checks: driverChecks });
      const problem = problemWith(before, options.weight);
      if (problem !== undefined) {
        surroundings.complain(problem);
        return end(exitCodes.invalid);
      }
      const configs = { before, after: withWeights(before, options.weight) };
      end(await compare(configs, users, options.format, surroundings));
    });
  withExamples(command, [
    ['postern directory preview --weight c=2 - < users.txt', 'c gets twice its share: who moves there?'],
    ['postern directory preview --weight a=0 - < users.txt', 'a is to be emptied: where would its users go?'],
  ]).addHelpText('after', comparisonCodesHelp);
}

function readWeight(text: string, before: Weights = new Map()): Weights {
  const [, backend, digits] = /^([\w.-]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (backend === undefined) throw new InvalidArgumentError('write BACKEND=WEIGHT, such as a=2.');
  return new Map([...before, [backend, Number(digits)]]);
}

function problemWith({ file, directory, backends }: Config, weights: Weights): string | undefined {
  if (!directory.sources.some(({ type }) => type === 'hash')) return `${file} has no hash source: use compare.\n`;
  const known = new Set<string>(backends.keys());
  const unknown = [...weights.keys()].find((name) => !known.has(name));
  return unknown === undefined ? undefined : `There is no backend ${unknown} in ${file}.\n`;
}

/** The configuration with other weights in its hash sources. */
function withWeights(config: Config, weights: Weights): Config {
  const { sources } = config.directory;
  const reweighed = (source: SourceConfig): SourceConfig =>
    source.type === 'hash' ? { ...source, weights: newWeights(config, source, weights) } : source;
  const [first, ...others] = sources;
  return { ...config, directory: { ...config.directory, sources: [reweighed(first), ...others.map(reweighed)] } };
}

/** Without weights of its own a hash gives every backend 1. */
function newWeights({ backends }: Config, { weights: written }: SourceConfig, weights: Weights): object {
  const usual = Object.fromEntries([...backends.keys()].map((name) => [name, 1]));
  return { ...(typeof written === 'object' && written !== null ? written : usual), ...Object.fromEntries(weights) };
}
