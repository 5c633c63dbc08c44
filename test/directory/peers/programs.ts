import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs a program to its end; rejects with what it said when it fails. `input` is its standard input. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Promise<string> {
  const running = run(program, args, {
    env: { ...process.env, ...options.env },
    maxBuffer: 64 << 20,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  // It may be gone before it has read all: its exit code tells.
  running.child.stdin?.on('error', () => {}).end(options.input ?? '');
  return (await running).stdout;
}

/** A server program that runs until it is stopped. */
export interface RunningProgram extends AsyncDisposable {
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** Starts a server program in the foreground and waits until `isReady` resolves without a rejection. */
export async function startProgram(
  program: string,
  args: readonly string[],
  options: {
    readonly isReady: () => Promise<unknown>;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
    readonly signal?: NodeJS.Signals;
  },
): Promise<RunningProgram> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let said = '';
  child.stdout.on('data', (text: Buffer) => (said += text.toString()));
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const ended = once(child, 'exit');
  child.on('error', (error) => (said += error.message));
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await ended;
  };
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`${program} did not start: ${said}`);
    try {
      await options.isReady();
      break;
    } catch (error) {
      if (Date.now() > deadlineMs) {
        await stop('SIGKILL');
        throw new Error(`${program} is not ready: ${said}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return { kill: () => stop('SIGKILL'), [Symbol.asyncDispose]: () => stop(options.signal ?? 'SIGTERM') };
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
