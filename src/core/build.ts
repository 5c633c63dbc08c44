import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isObject, parseJson } from './objects.ts';

/** The program that runs: version and commit of Postern, and version of Node. */
export interface Build {
  readonly version: string;
  /** The whole hash of the commit, or `unknown`. */
  readonly commit: string;
  readonly node: string;
}

const unknown = 'unknown';
const program = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Reads which program this is from its folder. The commit is the one that a checkout stands on; elsewhere it is in the
 * file `commit`, which is written when a package is made.
 */
export function readBuild(folder: string = program): Build {
  const text = readIfThere(join(folder, 'package.json'));
  const about = text === undefined ? undefined : parseJson(text);
  const { version } = isObject(about) ? about : {};
  return {
    version: typeof version === 'string' ? version : unknown,
    commit: checkedOut(join(folder, '.git')) ?? hashIn(readIfThere(join(folder, 'commit')) ?? '') ?? unknown,
    node: process.versions.node,
  };
}

/** One line for people: version, short commit, Node. */
export function buildText({ version, commit, node }: Build): string {
  const short = commit === unknown ? commit : commit.slice(0, 12);
  return `${version} (commit ${short}, Node ${node})`;
}

/** The commit that a checkout stands on; undefined if this is none. `git` may be missing, so its files are read. */
function checkedOut(dotGit: string): string | undefined {
  const folder = gitFolder(dotGit);
  const head = readIfThere(join(folder, 'HEAD'));
  if (head === undefined) return undefined;
  const name = /^ref: (refs\/[^\s]+)\s*$/.exec(head)?.[1];
  if (name === undefined) return hashIn(head);
  // A worktree has a HEAD of its own; its branches are in the common folder.
  const common = below(folder, readIfThere(join(folder, 'commondir'))?.trim() ?? '');
  const loose = readIfThere(join(folder, name)) ?? readIfThere(join(common, name));
  if (loose !== undefined) return hashIn(loose);
  const packed = readIfThere(join(common, 'packed-refs'))?.split('\n') ?? [];
  return hashIn(packed.find((line) => line.endsWith(` ${name}`))?.split(' ')[0] ?? '');
}

/** In a worktree or a submodule `.git` is a file that names the folder. */
function gitFolder(dotGit: string): string {
  const named = /^gitdir: (.+)$/m.exec(readIfThere(dotGit) ?? '')?.[1];
  return named === undefined ? dotGit : below(join(dotGit, '..'), named);
}

function below(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

function hashIn(text: string): string | undefined {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.exec(text.trim())?.[0];
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Missing, a folder, or not for this user: then it says nothing.
    return undefined;
  }
}
