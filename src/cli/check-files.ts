import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { PosternError } from '../core/error.ts';
import { silentLog } from '../core/log.ts';
import { readKeysFile } from '../sessions/keys-file.ts';
import type { Dialled } from './online.ts';
import type { Surroundings } from './surroundings.ts';

/** Sources that are files: whatever is wrong with one of them stops `serve`. */
const fileSources: ReadonlySet<string> = new Set(['map', 'regex', 'cdb']);

/**
 * Opens the files that `serve` opens besides the configuration, as this user: server keys, the places where it writes,
 * and tables of the directory, unless `loadGateway` is undefined because the whole directory is asked anyway. Nothing is
 * made. Each answer is `ok` or `failed`.
 */
export async function checkFiles(
  config: Config,
  loadGateway: Surroundings['loadGateway'] | undefined,
): Promise<readonly Dialled[]> {
  const { sessions, audit, directory, operators } = config;
  const tables = directory.sources.filter(({ type }) => fileSources.has(type));
  const written = [
    ['audit', audit.file],
    ...(sessions.store.kind === 'embedded' ? [['sessions', sessions.store.file]] : []),
    ...(operators.socket === undefined ? [] : [['api socket', operators.socket]]),
  ] as const;
  return Promise.all([
    look('keys', sessions.keysFile, async () => {
      const keys = await readKeysFile(sessions.keysFile);
      if (keys === undefined) await writable(sessions.keysFile);
      return keys === undefined ? 'the first node that starts makes it' : '';
    }),
    ...written.map(([what = '', file = '']) => look(what, file, async () => writable(file))),
    ...(loadGateway === undefined ? [] : tables.map((source) => lookAtTable(config, source, loadGateway))),
  ]);
}

function lookAtTable(
  config: Config,
  source: Config['directory']['sources'][number],
  loadGateway: Surroundings['loadGateway'],
): Promise<Dialled> {
  return look(`directory ${source.type}`, fileOf(source), async () => {
    const { buildDirectory } = await loadGateway();
    await using _ = await buildDirectory(
      { ...config, directory: { ...config.directory, sources: [source] } },
      silentLog,
    );
    return '';
  });
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

/** Resolves when this user may write the file, or make it. */
async function writable(file: string): Promise<string> {
  for (let path = file; ; path = dirname(path)) {
    const there = await stat(path).catch(() => undefined);
    if (there === undefined && path !== dirname(path)) continue;
    try {
      await access(path, constants.W_OK);
      return '';
    } catch (cause) {
      const message = `${path} cannot be written by this user: change its owner, or let the configuration name another place`;
      throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
    }
  }
}

function fileOf(source: object): string {
  return 'file' in source && typeof source.file === 'string' ? source.file : '';
}
