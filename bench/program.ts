import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** A program of the benchmark that runs until it is disposed of. */
export interface Program extends AsyncDisposable {
  readonly pid: number;
}

export interface ProgramOptions {
  /** The port of 127.0.0.1 on which it answers when it is ready. */
  readonly port: number;
  /** Further variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

const startMs = 15_000;
const endMs = 5_000;
const stepMs = 20;

/** A benchmark that fails must not leave them behind. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// A signal ends Node without that event.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** Starts a program and waits until it takes connections. Rejects with what it said when it ends before. */
export async function startProgram(
  command: string,
  args: readonly string[],
  { port, env }: ProgramOptions,
): Promise<Program> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const said: string[] = [];
  child.stdout.on('data', (text) => said.push(String(text)));
  child.stderr.on('data', (text) => said.push(String(text)));
  const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
  running.add(child);
  child.once('exit', () => running.delete(child));

  const deadline = Date.now() + startMs;
  while (!(await Promise.race([answers(port), failed]))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`${command} does not answer on port ${port}:\n${said.join('')}`);
    }
    await pause(stepMs);
  }
  const { pid } = child;
  if (pid === undefined) throw new TypeError('a program that answers has a process');
  return {
    pid,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), endMs);
      await gone;
      clearTimeout(kill);
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
