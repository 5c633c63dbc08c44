import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, type Option } from 'commander';
import { loadCommands } from '../src/cli/commands.ts';
import { commandsUnder } from '../src/cli/completion.ts';
import type { CommandEnvironment } from '../src/cli/environment.ts';
import { exitCodesHelp } from '../src/cli/options.ts';
import { addServe } from '../src/cli/serve.ts';
import { configSchema, referenceMarkdown } from './config-reference.ts';

/*
 * Makes the manual: postern(1), a page for each command from the commands themselves, and postern.yaml(5) from the schema
 * of the configuration. `node tools/man-pages.ts FOLDER` writes man1 and man5 there.
 */

/** Version and date in the pages' heads. */
interface ManualEdition {
  readonly version: string;
  /** As YYYY-MM-DD. */
  readonly date: string;
}

/** The pages by their names under the folder, such as `man1/postern.1`. */
export async function manualPages(edition: ManualEdition): Promise<ReadonlyMap<string, string>> {
  const program = await describedProgram();
  const pages = new Map([['man1/postern.1', overviewPage(program, edition)]]);
  for (const command of program.commands) {
    pages.set(`man1/postern-${command.name()}.1`, commandPage(command, edition));
  }
  return pages.set('man5/postern.yaml.5', configurationPage(referenceMarkdown(await configSchema()), edition));
}

function never(): never {
  throw new Error('the manual runs no command');
}

/** The commands, none of which is run. */
async function describedProgram(): Promise<Command> {
  const environment: CommandEnvironment = {
    print: never,
    complain: never,
    lines: never,
    env: {},
    signals: { on: never, off: never },
    exit: never,
    loadGateway: never,
  };
  const about = 'The front door of a webmail cluster: one sign-in, and the right mailbox server.';
  const program = new Command('postern').description(about);
  for (const add of [addServe, ...(await loadCommands())]) add(program, environment, never);
  return program;
}

function overviewPage(program: Command, edition: ManualEdition): string {
  const commands = program.commands.map((command) =>
    tagged(`\\fBpostern-${roff(command.name())}\\fR(1)`, roff(capital(command.summary()))),
  );
  return page('postern', 1, edition, 'front door of a webmail cluster', [
    ['SYNOPSIS', '.B postern\n.I command\n.RI [ options ]'],
    ['DESCRIPTION', roff(program.description())],
    ['COMMANDS', commands.join('\n')],
    ['EXIT STATUS', roff(exitCodesHelp.replace('Exit codes: ', ''))],
    ['ENVIRONMENT', tagged('\\fBPOSTERN_CONFIG\\fR', 'The configuration file, where no \\fB\\-c\\fR names one.')],
    ['FILES', tagged('\\fI/etc/postern/postern.yaml\\fR', 'The configuration of the service.')],
    ['SEE ALSO', '.BR postern.yaml (5)'],
  ]);
}

function commandPage(command: Command, edition: ManualEdition): string {
  const name = `postern ${command.name()}`;
  const all = commandsUnder(command, name);
  const described = all.filter(([, each]) => each.commands.length === 0);
  const synopsis = described.map(([path, each]) => `${boldWords(path)} ${roff(each.usage())}`).join('\n.br\n');
  const isGroup = command.commands.length > 0;
  const sections: (readonly [string, string])[] = [['SYNOPSIS', synopsis]];
  for (const [path, each] of described) {
    const text = [roff(each.description() || `${capital(each.summary())}.`), ...each.options.map(optionText)];
    sections.push([isGroup ? path.toUpperCase() : 'DESCRIPTION', text.join('\n')]);
  }
  const examples = [...new Set(all.flatMap(([, each]) => examplesOf(each)))];
  if (examples.length > 0) sections.push(['EXAMPLES', examples.join('\n')]);
  sections.push(['EXIT STATUS', roff(exitCodesHelp.replace('Exit codes: ', ''))]);
  sections.push(['SEE ALSO', '.BR postern (1),\n.BR postern.yaml (5)']);
  return page(`postern-${command.name()}`, 1, edition, command.summary(), sections);
}

function optionText(option: Option): string {
  const [flags = '', value] = option.flags.split(/ (?=[<[])/);
  const title = `\\fB${roff(flags)}\\fR${value === undefined ? '' : ` \\fI${roff(value.replace(/[<>]/g, ''))}\\fR`}`;
  const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
  const initial = String(option.defaultValue ?? '');
  const otherwise = initial === '' ? '' : ` Default: ${initial}.`;
  return tagged(title, roff(`${capital(option.description)}${choices}.${otherwise}`));
}

/** The examples that stand at the end of a command's help, each with its purpose. */
function examplesOf(command: Command): readonly string[] {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const [, examples = ''] = help.split('\nExamples:\n');
  return examples.split('\n').flatMap((line) => {
    const [, typed, what] = /^ {2}(\S.*?) {2,}(\S.*)$/.exec(line) ?? [];
    return typed === undefined || what === undefined
      ? []
      : [tagged(`\\fB${roff(typed)}\\fR`, roff(`${capital(what)}.`.replace(/([.?!])\.$/, '$1')))];
  });
}

/** The reference of the configuration, whose Markdown has headings, tables, paragraphs and examples only. */
function configurationPage(markdown: string, edition: ManualEdition): string {
  const [, ...sections] = markdown.split(/^## /m);
  return page('postern.yaml', 5, edition, 'configuration of the gateway', [
    [
      'DESCRIPTION',
      roff(
        'One YAML file, /etc/postern/postern.yaml for the service. Unknown keys are errors. Paths are relative to the ' +
          'file that names them. Durations have a unit: 500ms, 3s, 10 min, 12h, 1d; sizes too: 16 KiB, 1 MiB. A secret ' +
          'is { file: NAME } or { env: VARIABLE }, and never stands in the file itself.',
      ),
    ],
    ...sections.map((text): readonly [string, string] => {
      const [key = '', ...lines] = text.split('\n');
      return [key.toUpperCase(), markdownRoff(lines)];
    }),
    ['SEE ALSO', '.BR postern-check (1)'],
  ]);
}

function markdownRoff(lines: readonly string[]): string {
  const out: string[] = [];
  let isExample = false;
  for (const line of lines) {
    if (line.startsWith('```')) {
      out.push(isExample ? '.EE' : '.PP\n.EX');
      isExample = !isExample;
    } else if (isExample) out.push(roff(line));
    else if (/^\| (?:key|---)/.test(line) || line === '') continue;
    else if (line.startsWith('| ')) out.push(rowText(line));
    else out.push(`.PP\n${inline(line)}`);
  }
  return out.join('\n').replace(/^\.PP\n/, '');
}

function rowText(line: string): string {
  const [key = '', type = '', otherwise = '', about = ''] = line
    .replace(/^\| | \|$/g, '')
    .split(/ (?<!\\)\| /)
    .map((cell) => inline(cell.trim()));
  const isGiven = otherwise !== '' && otherwise !== '–';
  const fallback = otherwise === 'required' ? otherwise : `default ${otherwise}`;
  const facts = isGiven ? [type, fallback].filter((fact) => fact !== '').join('; ') : type;
  return tagged(key, [facts, about].filter((text) => text !== '').join('\n.br\n'));
}

/** Text with code, links and bold words. */
function inline(text: string): string {
  return roff(text.replaceAll('\\|', '|').replace(/\[([^\]]+)\]\([^)]*\)/g, '$1'))
    .replace(/`([^`]+)`/g, '\\fB$1\\fR')
    .replace(/\*\*([^*]+)\*\*/g, '\\fB$1\\fR');
}

function page(
  name: string,
  section: number,
  { version, date }: ManualEdition,
  summary: string,
  sections: readonly (readonly [title: string, text: string])[],
): string {
  const head = `.TH "${roff(name.toUpperCase())}" ${section} "${date}" "postern ${version}"`;
  const parts = [['NAME', `${roff(name)} \\- ${roff(summary)}`] as const, ...sections];
  return [head, ...parts.map(([title, text]) => `.SH ${roff(title)}\n${text}`), ''].join('\n');
}

function tagged(title: string, text: string): string {
  return `.TP\n${title}\n${text}`;
}

function boldWords(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Escapes a text, so that no line of it is a request and each dash can be copied. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&')
    .replace(/\n+/g, '\n.br\n');
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('name the folder for man1 and man5: node tools/man-pages.ts FOLDER');
  const packed: { readonly version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  const epoch = process.env['SOURCE_DATE_EPOCH'];
  const date = (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000)).toISOString().slice(0, 10);
  for (const section of ['man1', 'man5']) mkdirSync(join(folder, section), { recursive: true });
  for (const [name, text] of await manualPages({ version: packed.version, date }))
    writeFileSync(join(folder, name), text);
}
