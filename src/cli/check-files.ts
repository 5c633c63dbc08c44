import { constants, type Stats } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { PosternError } from '../core/error.ts';
import { logEvents } from '../core/log-events.ts';
import { type EventName, type Log, silentLog } from '../core/log.ts';
import { thisUser } from '../core/named-files.ts';
import { readKeysFile } from '../sessions/keys-file.ts';
import type { Dialled } from './check-online.ts';
import type { CommandEnvironment } from './environment.ts';

/** Sources that are files. A problem with one of them stops `serve`. */
const fileSources: ReadonlySet<string> = new Set(['map', 'regex', 'cdb']);

/**
 * Opens the files that `serve` opens besides the configuration, as this user: server keys, the places where it writes,
 * and tables of the directory, unless `loadGateway` is undefined because the whole directory is asked anyway. Nothing
 * is made.
 */
export async function checkFiles(
  config: Config,
  loadGateway: CommandEnvironment['loadGateway'] | undefined,
): Promise<readonly Dialled[]> {
  const { sessions, audit, directory, operators } = config;
  const tables = [...directory.sources.entries()].filter(([, { type }]) => fileSources.has(type));
  const written = [
    ['audit', audit.file],
    ...(sessions.store.kind === 'embedded' ? [['sessions', sessions.store.file]] : []),
  ] as const;
  return Promise.all([
    look('keys', sessions.keysFile, async () => {
      const keys = await readKeysFile(sessions.keysFile);
      if (keys === undefined) await writableFile(sessions.keysFile);
      return keys === undefined ? 'the first node to start creates it' : '';
    }),
    ...written.map(([what = '', file = '']) => look(what, file, async () => writableFile(file))),
    ...(operators.socket === undefined ? [] : [lookAtSocket(operators.socket, operators.socketGroup)]),
    ...(loadGateway === undefined ? [] : tables.map(([position]) => lookAtTable(config, position, loadGateway))),
  ]);
}

/** Makes a log that collects warnings with their reasons. */
export function warningLog(warnings: string[]): Log {
  const warn = (event: EventName, fields: object = {}): void => {
    const { message } = logEvents[event];
    warnings.push('why' in fields ? `${message}: ${String(fields.why)}` : message);
  };
  return { ...silentLog, warn };
}

async function lookAtTable(
  config: Config,
  position: number,
  loadGateway: CommandEnvironment['loadGateway'],
): Promise<Dialled> {
  const source = config.directory.sources[position];
  if (source === undefined) throw new TypeError(`the directory has no source ${position + 1}`);
  const looked = await look(`directory ${source.type}`, fileOf(source), async () => {
    const { buildDirectory } = await loadGateway();
    const warnings: string[] = [];
    await using _ = await buildDirectory(config, warningLog(warnings), position);
    return warnings.join('; ');
  });
  return looked.note === '' || looked.result === 'failed' ? looked : { ...looked, result: 'warning' };
}

async function look(server: string, address: string, open: () => Promise<string>): Promise<Dialled> {
  const startedAt = performance.now();
  const done = (result: 'ok' | 'failed', note: string): Dialled => {
    return { server, address, result, note, ms: Math.round(performance.now() - startedAt) };
  };
  try {
    return done('ok', await open());
  } catch (error) {
    if (error instanceof PosternError) return done('failed', error.message);
    throw error;
  }
}

/** Checks the socket as `serve` does, which replaces a socket that nobody serves and makes the folder. */
function lookAtSocket(file: string, group: string | number | undefined): Promise<Dialled> {
  return look('api socket', file, async () => {
    const there = await statOf(file);
    if (there !== undefined && !there.isSocket()) throw unusableFile(`${file} exists and is not a socket: ${another}`);
    if (Buffer.byteLength(file) > longestSocket)
      throw unusableFile(
        `${file} is longer than ${longestSocket} bytes, the limit for the path of a socket: ${another}`,
      );
    if (group !== undefined) await givableGroup(group);
    return writableFolder(dirname(file));
  });
}

/** Resolves if there is this group and this user may give the socket to it. */
async function givableGroup(group: string | number): Promise<void> {
  const { groupNumber, mayGiveTo, notGiven } = await import('../admin/system-groups.ts');
  if (!mayGiveTo(await groupNumber(group))) throw notGiven(group, new Error('not a member'));
}

/** Resolves if this user may write or create the file. */
async function writableFile(file: string): Promise<string> {
  const there = await statOf(file);
  if (there?.isFile() === false) throw unusableFile(`${file} is not a regular file: ${another}`);
  return there === undefined ? writableFolder(dirname(file)) : mayWrite(file);
}

/** Resolves if this user may create files in the folder, and the folder itself if it is missing. */
async function writableFolder(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    const above = await statOf(path);
    if (above === undefined && path !== dirname(path)) continue;
    if (above?.isDirectory() === false) throw unusableFile(`${path} is not a folder: ${another}`);
    if (madeByKernel.has((await statfs(path)).type))
      throw unusableFile(`nothing can be created in ${path}: ${another}`);
    return mayWrite(path);
  }
}

async function mayWrite(path: string): Promise<string> {
  try {
    await access(path, constants.W_OK);
    return '';
  } catch (cause) {
    throw unusableFile(
      `the user ${thisUser()} cannot write to ${path}: if the gateway runs as that user, run: chown ${thisUser()} ${path}, or ${another}; else run the command with sudo`,
      cause,
    );
  }
}

function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined);
}

const another = 'choose another path in the configuration';
/** The 108 bytes of Linux, without the final zero. */
const longestSocket = 107;
/** /proc and /sys, whose folders look writable to root (statfs(2)). */
const madeByKernel: ReadonlySet<number> = new Set([0x9fa0, 0x62656572]);

function unusableFile(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
}

function fileOf(source: object): string {
  return 'file' in source && typeof source.file === 'string' ? source.file : '';
}
