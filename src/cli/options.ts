import { momentNamed } from '../core/clock.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Output formats of `--format`. */
export type Format = 'table' | 'json';

const standardFile = '/etc/postern/postern.yaml';

/** `-c FILE`, the same in every command. */
export function configOption(): Option {
  return new Option('-c, --config <file>', 'configuration file').env('POSTERN_CONFIG').default(standardFile);
}

/** Output formats of lists, which spreadsheets take, too. */
export type ListFormat = Format | 'csv';

/** `--format table|csv|json`: for people, for spreadsheets, or for programs. */
export function listFormatOption(): Option {
  return new Option('--format <format>', 'output format').choices(['table', 'csv', 'json']).default('table');
}

/** `--format table|json`: for people, or for programs. */
export function formatOption(): Option {
  return new Option('--format <format>', 'output format').choices(['table', 'json']).default('table');
}

/** An option whose value is a whole number, at least 1. */
export function wholeNumber(flags: string, what: string): Option {
  return new Option(flags, what).argParser((text: string) => {
    if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('Write a whole number, at least 1.');
    return Number(text);
  });
}

const reasonFlags = '--reason <words>';
const reasonText = 'why, for the audit';

/** `--reason WORDS`: no change without one, since it goes into the audit. */
export function reasonOption(): Option {
  return new Option(reasonFlags, reasonText).makeOptionMandatory();
}

/** `--reason WORDS` for commands that need it only in some of their forms. */
export function reasonWhereNeeded(): Option {
  return new Option(reasonFlags, reasonText);
}

/** `--text LANGUAGE=WORDS`, once per language, for those whom a change concerns. */
export function textsOption(what: string): Option {
  return new Option('--text <language=words>', what).argParser(textsSoFar);
}

function textsSoFar(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** The values of `--text` by language; one without a language is English. */
export function textsByLanguage(given: readonly string[] = []): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      return at === -1 ? ['en', text] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** The time that a text names, in milliseconds since the epoch: so many days or hours from now, or itself. NaN if it names none. */
export function timeFrom(text: string, nowMs: number): number {
  const [, count, unit] = /^(\d{1,5})\s*([dh])$/.exec(text) ?? [];
  if (count !== undefined) return nowMs + Number(count) * (unit === 'd' ? 24 : 1) * 60 * 60 * 1000;
  return momentNamed(text);
}

/** Appends examples to a command's help, each with its purpose. */
export function withExamples(command: Command, examples: readonly (readonly [line: string, what: string])[]): Command {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(width)}  ${what}`);
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

/** Exit codes. Scripts rely on them, so they do not change. */
export const exitCodes = {
  /** Done; found; nothing is wrong. */
  ok: 0,
  /** The answer is no: unknown user, a server that fails its check. */
  no: 1,
  /** The command line or the configuration is wrong: nothing was tried. */
  invalid: 2,
  /** A server could not be asked, so there is no answer. */
  unavailable: 3,
  /** A defect of Postern itself. */
  defect: 70,
} as const;

/** One of the documented exit codes. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Returns the exit code of a command that asked the directory. */
export function answerCode({ answer }: { readonly answer?: unknown }): ExitCode {
  if (answer === 'could-not-ask') return exitCodes.unavailable;
  return answer === 'found' ? exitCodes.ok : exitCodes.no;
}

/** Text about exit codes for `--help`. */
export const exitCodesHelp =
  'Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 a server did not answer, 70 a bug in Postern.';
