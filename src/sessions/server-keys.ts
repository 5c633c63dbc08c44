import { unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { RegisteredKey, SessionStore } from '../core/session.ts';
import type { KeyRing } from './key-derivation.ts';
import { type KeyEntry, makeKeysFile, readKeysFile, ringOf, unusableKeys } from './keys-file.ts';

/** Options of openServerKeys. */
export interface ServerKeysOptions {
  readonly file: string;
  readonly store: Pick<SessionStore, 'registerKeys'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly randomBytes: (size: number) => Buffer;
}

/** The server keys of this node. */
export interface ServerKeys {
  current(): KeyRing;
  /** Reads the file again; rejects, and keeps the old keys, if that or the registration fails. */
  reload(): Promise<void>;
  /**
   * The verdict on a key id in a cookie that is not among the current keys. Reads the file again, at most once in five
   * seconds. `missing`: another node uses that key and this one lacks it. `none`: nobody does; the cookie is forged, or
   * its key was retired.
   */
  meet(id: string): Promise<'known' | 'missing' | 'none'>;
}

const meetAgainMs = 5_000;

/**
 * Opens the keys file and registers its keys for all nodes.
 *
 * The file is made only if no node has registered a key. If it lacks a key that another node seals with, the call rejects
 * with ERR_KEYS_UNUSABLE, and names the file to copy.
 */
export async function openServerKeys(options: ServerKeysOptions): Promise<ServerKeys> {
  const { file, store, clock, log } = options;
  let ring = await openRing(options);
  let registered: readonly RegisteredKey[] = [];
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;

  async function reload(): Promise<void> {
    const entries = await readKeysFile(file);
    if (entries === undefined) throw unusableKeys(`${file} is missing: restore it from another node`);
    registered = await register(store, file, entries);
    ring = ringOf(entries);
  }

  async function ask(id: string): Promise<void> {
    try {
      await reload();
    } catch (error) {
      // The registry may be newer than the file: it tells a key of another node from a forged cookie.
      registered = await store.registerKeys([]);
      log.error('server-keys-not-read', { file, key: id, err: error });
    }
    askedAtMs = clock.nowMs();
  }

  return {
    current: () => ring,
    reload,
    async meet(id) {
      if (ring.find(id) !== undefined) return 'known';
      if (clock.nowMs() - askedAtMs >= meetAgainMs) {
        asking ??= ask(id).finally(() => {
          asking = undefined;
        });
        await asking;
      }
      if (ring.find(id) !== undefined) return 'known';
      const holder = registered.find((key) => key.id === id);
      if (holder === undefined) return 'none';
      log.error('server-key-missing', { code: 'ERR_KEY_UNKNOWN', key: id, file, from: holder.from });
      return 'missing';
    },
  };
}

/**
 * Rejects as `openServerKeys` does if the file cannot be read or lacks a key that other nodes use. Makes and registers no
 * key.
 */
export async function checkServerKeys({ file, store }: Pick<ServerKeysOptions, 'file' | 'store'>): Promise<void> {
  const entries = await readKeysFile(file);
  const ours = entries === undefined ? [] : ringOf(entries).all;
  const registered = await store.registerKeys([]);
  if (lacked(ours, registered).length > 0) throw lacking(file, ours, registered);
}

async function openRing({ file, store, clock, randomBytes }: ServerKeysOptions): Promise<KeyRing> {
  const entries = await readKeysFile(file);
  if (entries !== undefined) {
    await register(store, file, entries);
    return ringOf(entries);
  }
  const registered = await store.registerKeys([]);
  if (registered.some((key) => key.promoted)) throw lacking(file, [], registered);
  const made = await makeKeysFile(file, { clock, randomBytes });
  try {
    await register(store, file, made);
  } catch (error) {
    // Another node was first, or the store is away: a file that no other node has must not stay.
    await unlink(file);
    throw error;
  }
  return ringOf(made);
}

async function register(
  store: ServerKeysOptions['store'],
  file: string,
  entries: readonly KeyEntry[],
): Promise<readonly RegisteredKey[]> {
  const from = `${hostname()}:${resolve(file)}`;
  const ours = ringOf(entries).all.map(({ id, fingerprint }): RegisteredKey => {
    const promoted = entries.some((entry) => entry.id === id && entry.state === 'promoted');
    return { id, fingerprint, promoted, from };
  });
  const registered = await store.registerKeys(ours);
  if (lacked(ours, registered).length > 0) throw lacking(file, ours, registered);
  return registered;
}

type OwnKey = Pick<RegisteredKey, 'id' | 'fingerprint'>;

/** The keys that other nodes seal with and this one lacks. */
function lacked(ours: readonly OwnKey[], registered: readonly RegisteredKey[]): readonly RegisteredKey[] {
  return registered.filter(
    (theirs) => theirs.promoted && !ours.some((key) => key.id === theirs.id && key.fingerprint === theirs.fingerprint),
  );
}

function lacking(file: string, ours: readonly OwnKey[], registered: readonly RegisteredKey[]): PosternError {
  const missing = lacked(ours, registered);
  const ids = missing.map((key) => key.id).join(', ');
  const sources = [...new Set(missing.map((key) => key.from))].join(' or ');
  const retire = missing.map((key) => `postern keys retire ${key.id}`).join('; ');
  return unusableKeys(
    `${file} lacks the key ${ids} that other nodes use: copy ${sources} to this node. ` +
      `If no node needs that key any more, run: ${retire}`,
  );
}
