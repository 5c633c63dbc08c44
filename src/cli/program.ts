import { Command, CommanderError } from 'commander';
import { ConfigInvalid, problemLines } from '../config/problems.ts';
import { buildText, readBuild } from '../core/build.ts';
import { PosternError } from '../core/error.ts';
import { loadCommands } from './commands.ts';
import type { CommandEnvironment } from './environment.ts';
import { type ExitCode, exitCodes, exitCodesHelp, withExamples } from './options.ts';
import { addServe } from './serve.ts';

/** Runs one command line, without the program's own name; resolves with the exit code when the command is done. */
export async function runCommand(args: readonly string[], environment: CommandEnvironment): Promise<ExitCode> {
  let code: ExitCode = exitCodes.ok;
  const program = createProgram(environment);
  // A start must be fast and needs no other command.
  const others = args[0] === 'serve' ? [] : await loadCommands(args[0]);
  for (const add of [addServe, ...others]) {
    add(program, environment, (ended) => {
      code = ended;
    });
  }
  try {
    await program.parseAsync(idsLast(helpOfKnown(program, args)), { from: 'user' });
    return code;
  } catch (error) {
    return explain(error, environment);
  }
}

/**
 * Takes the word `help` away before a word that is no command: Commander says of that word alone that it is unknown,
 * but shows the whole help for `help WORD`.
 */
function helpOfKnown(program: Command, args: readonly string[]): readonly string[] {
  let command = program;
  for (const [index, arg] of args.entries()) {
    const named = (name: string | undefined) => command.commands.find((one) => one.name() === name);
    const word = args[index + 1];
    const isHelp = arg === 'help' && command.commands.length > 0;
    if (isHelp) return word === undefined || named(word) ? args : args.toSpliced(index, 1);
    const child = named(arg);
    if (child === undefined) return args;
    command = child;
  }
  return args;
}

/** Moves session ids behind `--`: one of 64 begins with a dash and would be read as an option. */
function idsLast(args: readonly string[]): readonly string[] {
  const ids = args.filter((arg) => /^-[\w-]{42}$/.test(arg));
  return ids.length === 0 ? args : [...args.filter((arg) => !ids.includes(arg)), '--', ...ids];
}

function createProgram(environment: CommandEnvironment): Command {
  const program = new Command('postern')
    .description('The front door of a webmail cluster: one sign-in, and the right mailbox server.')
    .version(buildText(readBuild()), '-V, --version', 'print version, commit and Node')
    .helpOption('-h, --help', 'show help for a command')
    .configureOutput({
      writeOut: (text) => environment.print(text),
      writeErr: (text) => environment.complain(text),
    })
    .exitOverride()
    .showHelpAfterError('(see --help)')
    .showSuggestionAfterError();
  return withExamples(program, [
    ['postern init', 'write a first configuration'],
    ['postern check -c postern.yaml --online', 'is it valid, and do its servers answer?'],
    ['postern serve -c postern.yaml', 'run'],
    ['postern lookup -c postern.yaml alice@example.org', 'which backend is alice on?'],
  ]).addHelpText('after', `\n${exitCodesHelp}`);
}

/** Prints what went wrong to standard error and returns the exit code. */
function explain(error: unknown, { complain }: CommandEnvironment): ExitCode {
  // Commander has printed the message. Help and version also end this way and are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.invalid;
  if (error instanceof ConfigInvalid) {
    complain(problemLines(error));
    return exitCodes.invalid;
  }
  if (error instanceof PosternError) {
    complain(`${error.message} (${error.code})\n`);
    // The unit tries what ends with 3 again, and not what ends with 2: an address may come later, or become free.
    return error.source === 'config' && !error.retryable ? exitCodes.invalid : exitCodes.unavailable;
  }
  if (error instanceof Error && error.name === 'AbortError') {
    complain('\nStopped; nothing was changed.\n');
    return exitCodes.no;
  }
  if (isSystemError(error)) {
    complain(`${error.message}\n`);
    return exitCodes.unavailable;
  }
  complain(`This is a bug in Postern: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exitCodes.defect;
}

/** Whether the operating system refused, for example a port in use or a directory without write permission. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
