import * as processes from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { noteUse } from '../tools/tested-with.ts';

/*
 * The only way in which tests, benchmarks and the lab start programs. programs.tsv says which package brings each, so
 * that a machine that lacks one is told of it, and gets it, before the first test. What is started here ends with the
 * process that started it, however that one ends.
 */

const root = fileURLToPath(new URL('..', import.meta.url));

/** A line of programs.tsv. */
export interface ListedProgram {
  /** Undefined for a package whose files are used but which starts nothing by name. */
  readonly program: string | undefined;
  /** The Debian package. */
  readonly package: string;
  /** `tests`, `bench`, `unpacked`, or a backend of the lab. */
  readonly wantedBy: readonly string[];
}

/** Every program that may be started, with its package. */
export const listedPrograms: readonly ListedProgram[] = readFileSync(new URL('programs.tsv', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [program = '', name = '', wantedBy = ''] = line.split('\t');
    return { program: program === '-' ? undefined : program, package: name, wantedBy: wantedBy.split(' ') };
  });

const names = new Set(listedPrograms.map(({ program }) => program));

/** The release of Debian whose servers are tested, in a root; undefined for those of this machine. */
export const release = process.env['LAB_RELEASE'] || undefined;

const fromRelease = new Set(
  listedPrograms
    .filter(({ wantedBy }) => release !== undefined && wantedBy.includes(release))
    .map(({ program }) => program),
);

/** How to start a program: as it is, or in the root of the release that is tested if programs.tsv takes it from there. */
function placed(program: string, args: readonly string[]): readonly [string, readonly string[]] {
  const isOfRelease = fromRelease.has(basename(program));
  const packages = listedPrograms
    .filter((listed) => listed.program === basename(program))
    .map((listed) => listed.package);
  if (isOfRelease || release === undefined) noteUse(packages, release);
  if (!isOfRelease) return [program, args];
  return [join(root, 'test/lab/lab'), ['exec', program, ...args]];
}

/** What tests have downloaded or made once, and keep for the next run. */
const testCache = '/var/cache/postern-tests/';

/** Throws if programs.tsv does not list the program: its package would be unknown. */
export function assertListed(program: string): void {
  const isOwn = [root, testCache].some((folder) => program.startsWith(folder)) || program === process.execPath;
  if (isOwn || names.has(basename(program))) return;
  throw new Error(`${program} is not in test/programs.tsv: add it there with the Debian package that brings it`);
}

function checked<Start extends (program: string, ...rest: never[]) => unknown>(start: Start): Start {
  return new Proxy(start, {
    apply(target, self, [program, args = [], ...rest]) {
      assertListed(String(program));
      return Reflect.apply(target, self, [...placed(program, args), ...rest]);
    },
  });
}

/** As in node:child_process, for programs of programs.tsv; the caller waits for the end. */
export const spawnSync = checked(processes.spawnSync);
/** As in node:child_process, for programs of programs.tsv; the caller waits for the end. */
export const execFileSync = checked(processes.execFileSync);
/** As in node:child_process, for programs of programs.tsv that are to outlive this process. */
export const spawnToStay = checked(processes.spawn);

/** The programs that must end with this process. */
const running = new Set<processes.ChildProcess>();

/**
 * As in node:child_process, for programs of programs.tsv; arguments must be given. The program leads a process group,
 * which is killed when this process ends; should that be killed itself, the kernel sends the program SIGTERM.
 */
export const spawn = new Proxy(processes.spawn, {
  apply(target, self, [program, args, options]) {
    assertListed(String(program));
    const [start, rest] = placed(program, args);
    const ending = ['--pdeathsig', 'TERM', '--', start, ...rest];
    const child: unknown = Reflect.apply(target, self, ['setpriv', ending, { ...options, detached: true }]);
    if (child instanceof processes.ChildProcess) {
      running.add(child);
      child.once('exit', () => running.delete(child));
    }
    return child;
  },
});

function signalGroup({ pid }: processes.ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has ended, but its exit event has not come yet.
  }
}

process.once('exit', () => {
  for (const child of running) signalGroup(child, 'SIGKILL');
});
// A signal ends Node without that event.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

/** Runs a program to its end. Rejects with its output if it fails. `input` is its standard input. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: {
    readonly input?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
    readonly timeoutMs?: number;
  } = {},
): Promise<string> {
  assertListed(program);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = processes.execFile(
    ...placed(program, args),
    {
      env: { ...process.env, ...options.env },
      maxBuffer: 64 << 20,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    },
    (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(Object.assign(error, { stdout, stderr }));
    },
  );
  // It may end before it has read all; its exit code decides.
  child.stdin?.on('error', () => {}).end(options.input ?? '');
  return promise;
}

/** A server program that runs until it is stopped. */
export interface RunningProgram extends AsyncDisposable {
  readonly pid: number;
  /** Kills it, as a crash would. */
  kill(): Promise<void>;
}

export interface StartOptions {
  /** Resolves if the program is ready, and rejects until then. */
  readonly isReady: () => Promise<unknown>;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The signal that ends it; SIGTERM if left out. After five seconds it is killed. */
  readonly signal?: NodeJS.Signals;
}

const readyMs = 30_000;
const endMs = 5_000;
const stepMs = 20;

/**
 * Starts a server program in the foreground and waits until it is ready. Rejects with what it said when it ends before.
 */
export async function startProgram(
  program: string,
  args: readonly string[],
  { isReady, env, cwd, signal = 'SIGTERM' }: StartOptions,
): Promise<RunningProgram> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (text: Buffer) => (said += text.toString()));
  const deadlineMs = Date.now() + readyMs;
  for (;;) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`${program} did not start: ${said}`);
    try {
      await isReady();
      break;
    } catch (error) {
      if (Date.now() > deadlineMs) {
        await stopProgram(child, 'SIGKILL');
        throw new Error(`${program} is not ready: ${said}`, { cause: error });
      }
      await pause(stepMs);
    }
  }
  return {
    pid: child.pid,
    kill: () => stopProgram(child, 'SIGKILL'),
    [Symbol.asyncDispose]: () => stopProgram(child, signal),
  };
}

/** Ends a program that was started here, with its children. It is killed if it does not end in time. */
export async function stopProgram(child: processes.ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  signalGroup(child, signal);
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), endMs);
  await gone;
  clearTimeout(timer);
  // Its children may still be at work, in a folder that its caller is about to remove.
  signalGroup(child, 'SIGKILL');
}

/** Resolves if a connection is accepted there. */
export async function connects(port: number, host = '127.0.0.1'): Promise<void> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

/** Resolves when something listens there; rejects after ten seconds. */
export async function awaitPort(port: number, host = '127.0.0.1'): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const isThere = await connects(port, host).then(
      () => true,
      () => false,
    );
    if (isThere) return;
    await pause(50);
  }
  throw new Error(`nothing listens on ${host}:${port}`);
}

/**
 * Downloads Debian packages and unpacks them into a folder, for programs whose installation would remove others. They
 * must be in programs.tsv as `unpacked`, or be installed besides.
 */
export async function unpackPackages(packages: readonly string[], folder: string): Promise<void> {
  for (const name of packages) {
    const listed = listedPrograms.some((line) => line.package === name);
    if (!listed) throw new Error(`the package ${name} is not in test/programs.tsv`);
  }
  const download = () => runProgram('apt-get', ['download', '-q', ...packages], { cwd: folder });
  // A machine on which no package was missing may have no package lists yet.
  await download().catch(async () => {
    await runProgram('apt-get', ['update', '-q']);
    await download();
  });
  for (const file of await readdir(folder)) {
    if (file.endsWith('.deb')) await runProgram('dpkg', ['-x', join(folder, file), folder]);
  }
}

/** Whether a file exists. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
