import { createInterface as createLines } from 'node:readline';
import { createInterface, type Interface } from 'node:readline/promises';
import type { CommandEnvironment } from './cli/environment.ts';
import { exitCodes } from './cli/options.ts';
import { wantsColours } from './cli/output.ts';
import { runCommand } from './cli/program.ts';
import { takeNotifySocket } from './cli/service-notices.ts';
import { defined } from './core/objects.ts';

let conversation: Interface | undefined;

/** Rejects with an AbortError when the person ends the input or interrupts. */
function askPerson(question: string): Promise<string> {
  conversation ??= createInterface({ input: process.stdin, output: process.stdout });
  return conversation.question(question);
}

/** In raw mode the terminal hands over each key at once, Ctrl-C as well. */
function onKey(listener: (key: string) => void): () => void {
  const hear = (bytes: Buffer): void => listener(bytes.toString());
  process.stdin.setRawMode(true).on('data', hear).resume();
  return () => void process.stdin.setRawMode(false).off('data', hear).pause();
}

const complain = (text: string): void => void process.stderr.write(text);

const environment: CommandEnvironment = {
  print: (text) => void process.stdout.write(text),
  complain,
  colours: wantsColours(process.stdout.isTTY, process.env),
  ...(process.stdin.isTTY ? { ask: askPerson } : {}),
  lines: () => createLines({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY }),
  // Opened anew, a file is read from its beginning, and standard input stays where it is.
  lineCount: async () => (await import('./cli/named-arguments.ts')).countLines('/dev/stdin'),
  ...(process.stderr.isTTY ? { progress: (text) => void process.stderr.write(`\r${text}\u001b[K`) } : {}),
  ...(process.stdin.isTTY && process.stdout.isTTY ? { terminal: { rows: () => process.stdout.rows, onKey } } : {}),
  env: process.env,
  signals: process,
  ...defined({ notify: takeNotifySocket(process.env, complain) }),
  exit: (code) => process.exit(code),
  loadGateway: async () => ({ ...(await import('./gateway.ts')), ...(await import('./gateway/offline.ts')) }),
};

// `postern lookup … | head` closes the pipe early: nobody reads on, and nothing is wrong.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  const why = error.code === 'ENOSPC' ? 'the disk is full' : error.message;
  complain(`The output could not be written, so it is not whole: ${why}.\n`);
  process.exit(exitCodes.unavailable);
});

process.exitCode = await runCommand(process.argv.slice(2), environment);
conversation?.close();
