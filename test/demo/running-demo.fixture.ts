import assert from 'node:assert/strict';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { runProgram, spawn } from '../programs.ts';

const program = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));
const checkout = fileURLToPath(new URL('../..', import.meta.url));
const readyWithinMs = 60_000;

/** A demo as the person before its terminal has it. */
export interface RunningDemo extends AsyncDisposable {
  readonly origin: string;
  readonly consoleOrigin: string;
  readonly pid: number;
  /** Its standard output so far. */
  readonly output: () => string;
  /** The lines for a second terminal, in their order, as they were printed. */
  readonly lines: readonly string[];
  /** The printed line with these words. */
  line(words: string): string;
  /** Pastes a line into a second terminal: a shell in the folder of the checkout. Resolves with its output. */
  paste(line: string): Promise<string>;
  /** Sam's code, and the one to take if that is used, as they stand in the terminal now. */
  codes(): readonly string[];
  /** Presses Ctrl-C: every process of the terminal gets the signal. Resolves with exit code and signal. */
  interrupt(): Promise<unknown[]>;
}

/** Starts the demo with these arguments, and waits for its first screen and Sam's first code. */
export async function startDemo(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningDemo> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let output = '';
  let problems = '';
  child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()));
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (/^Sam's code: /m.test(output)) resolve();
    });
  });
  const failed = exited.then(() => Promise.reject(new Error(`The demo ended. ${problems}`)));
  const tooLate = AbortSignal.timeout(readyWithinMs);
  const late = once(tooLate, 'abort').then(() => Promise.reject(new Error(`Not ready in time. ${output}${problems}`)));
  await Promise.race([ready, failed, late]);
  failed.catch(() => undefined);
  late.catch(() => undefined);

  const pid = child.pid ?? assert.fail('a running demo has a process id');
  const [, origin = ''] = /^ready (\S+)$/m.exec(output) ?? [];
  const [, consoleOrigin = ''] = /^ {2}(http:\/\/support\.\S+)$/m.exec(output) ?? [];
  const lines = [...output.matchAll(/^ {2}# .+\n {2}(.+)$/gm)].map(([, line = '']) => line);
  const interrupt = async (): Promise<unknown[]> => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGINT');
    return exited;
  };
  return {
    origin,
    consoleOrigin,
    pid,
    output: () => output,
    lines,
    line: (words) => lines.find((line) => line.includes(words)) ?? assert.fail(`no line has ${words}: ${output}`),
    paste: (line) => runProgram('sh', ['-c', line], { cwd: checkout }),
    codes: () =>
      output
        .match(/^Sam's code: .*$/gm)
        ?.at(-1)
        ?.match(/\d{6}/g) ?? [],
    interrupt,
    [Symbol.asyncDispose]: async () => void (await interrupt()),
  };
}
