import { mkdtemp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type RunningProgram, runProgram, type StartOptions, startProgram } from './programs.ts';

/** A release of Debian: 12 or 13. */
export type DebianRelease = 'bookworm' | 'trixie';

export interface InsideOptions {
  /** Added to the environment of the test. PATH and HOME are the root's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Who runs the program; root if left out. */
  readonly user?: string;
  /** Files and folders of this machine that the program sees: the path here, and the path in the root. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** The standard input; empty if left out. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

/**
 * A clean Debian of a test, in a folder. Programs run in it as root or as another user, with the network of this
 * machine; none of its services starts by itself. Disposal removes the folder, once nothing runs in it any more.
 */
export interface DebianRoot extends AsyncDisposable {
  readonly release: DebianRelease;
  /** The folder: `${path}/etc/passwd` is the root's. */
  readonly path: string;
  /**
   * Runs a program to its end and resolves with its output; what it has started ends with it. Rejects with stdout and
   * stderr if the program fails.
   */
  run(program: string, args: readonly string[], options?: InsideOptions): Promise<string>;
  /** Starts a server program in the foreground and waits until it is ready; `env` and `signal` as in startProgram. */
  start(
    program: string,
    args: readonly string[],
    options: StartOptions & Pick<InsideOptions, 'user' | 'mounts'>,
  ): Promise<RunningProgram>;
  /** Installs packages by name, or package files by their path in the root, without what they only recommend. */
  install(...packages: readonly string[]): Promise<void>;
}

const script = fileURLToPath(new URL('debian-root', import.meta.url));
const makeMs = 300_000;

/** A fresh copy of a release. The first one takes about a minute, which is spent once a week. */
export async function debianRoot(release: DebianRelease): Promise<DebianRoot> {
  const path = await mkdtemp(`/var/tmp/postern-${release}-`);
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true });
  try {
    await runProgram(script, ['copy', release, path], { timeoutMs: makeMs });
  } catch (error) {
    await remove();
    throw error;
  }
  return rootAt(path, release, remove);
}

/**
 * A copy of a release with these packages, which several tests use and nobody removes: they write nothing into it but
 * by `mounts`. It is made once a week. `name` is a word for the packages.
 */
export async function keptDebianRoot(
  release: DebianRelease,
  name: string,
  packages: readonly string[],
): Promise<DebianRoot> {
  const said = await runProgram(script, ['keep', release, name, ...packages], { timeoutMs: 2 * makeMs });
  return rootAt(said.trim(), release, async () => {});
}

function rootAt(path: string, release: DebianRelease, remove: () => Promise<void>): DebianRoot {
  const started: RunningProgram[] = [];
  const run: DebianRoot['run'] = (program, args, options = {}) => {
    const { input, env, timeoutMs } = options;
    return runProgram(script, [...inside(path, options), program, ...args], {
      ...(input === undefined ? {} : { input }),
      ...(env === undefined ? {} : { env }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  };
  return {
    release,
    path,
    run,
    async start(program, args, options) {
      const running = await startProgram(script, [...inside(path, options), program, ...args], options);
      started.push(running);
      return running;
    },
    async install(...packages) {
      const install = () =>
        run('apt-get', ['install', '-qqy', '--no-install-recommends', ...packages], { timeoutMs: makeMs });
      // The package lists are up to a week old: a newer version may have taken the place of one in them.
      await install().catch(async () => {
        await run('apt-get', ['update', '-qq']);
        await install();
      });
    },
    async [Symbol.asyncDispose]() {
      for (const program of started) await program[Symbol.asyncDispose]();
      await remove();
    },
  };
}

function inside(path: string, { user, mounts = {} }: Pick<InsideOptions, 'user' | 'mounts'>): readonly string[] {
  const as = user === undefined ? [] : [`--user=${user}`];
  return ['run', path, ...as, ...Object.entries(mounts).map(([from, to]) => `--mount=${from}:${to}`)];
}
