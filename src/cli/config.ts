import { type Command, Option } from 'commander';
import { yamlText } from '../config/yaml-file.ts';
import { isObject } from '../core/objects.ts';
import { openApi, refusalCode } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { configOption, type ExitCode, exitCodes, exitCodesHelp, withExamples } from './options.ts';
import { json, printable } from './output.ts';

interface ShowOptions {
  readonly config: string;
  readonly format: 'yaml' | 'json';
  readonly nonDefault?: true;
}

/** `postern config`: the configuration that the running gateway uses. */
export function addConfig(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;
  const config = program.command('config').summary('show the configuration in force');
  const show = config
    .command('show')
    .summary('the configuration that the running gateway uses, with all defaults')
    .description(
      'Shows what the gateway read at its start or its last reload, not what the files say since then. Secrets are shown as ' +
        'the name of their file or variable. The backends of included files stand with the others.',
    )
    .argument('[key]', 'one section or value, such as login or login.deadline')
    .option('-n, --non-default', 'only what the files say, without the defaults')
    .addOption(configOption())
    .addOption(new Option('--format <format>', 'output format').choices(['yaml', 'json']).default('yaml'))
    .action(async (key: string | undefined, { config: file, format, nonDefault }: ShowOptions) => {
      const ask = await openApi(file, environment);
      const reply = await ask('GET', '/config');
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      const settings = reply.body[nonDefault === true ? 'written' : 'in_force'];
      const value = key === undefined || !isObject(settings) ? settings : settingAt(settings, key);
      if (value === undefined) {
        complain(`Nothing is set at ${printable(key ?? '')}; docs/configuration.md lists all keys.\n`);
        return end(exitCodes.no);
      }
      print(format === 'json' ? json(value) : yamlText(value).split('\n').map(printable).join('\n'));
      end(exitCodes.ok);
    });
  withExamples(show, [
    ['postern config show', 'everything, with all defaults'],
    ['postern config show -n', 'what the files say'],
    ['postern config show login.deadline', 'one value'],
  ]).addHelpText('after', `\n1: nothing is set at this key.\n${exitCodesHelp}`);
}

/** The value at a key such as `login.deadline` or `backends.a`; undefined if nothing stands there. */
function settingAt(settings: Readonly<Record<string, unknown>>, key: string): unknown {
  let value: unknown = settings;
  let rest = key;
  // A key may hold dots itself, as the names of staff do: the longest that is there counts.
  while (rest !== '' && isObject(value)) {
    const map = value;
    const name = Object.keys(map)
      .filter((one) => rest === one || rest.startsWith(`${one}.`))
      .sort((a, b) => b.length - a.length)[0];
    if (name === undefined) return undefined;
    value = map[name];
    rest = rest.slice(name.length + 1);
  }
  return rest === '' ? value : undefined;
}
