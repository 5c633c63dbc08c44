import { randomBytes as systemRandomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, systemClock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import {
  codeOf,
  giveToFolderOwner,
  isMissing,
  makeFolder,
  openNamedFile,
  thisUser,
  whyUnreadable,
} from '../core/named-files.ts';
import { exposureOf } from '../core/secret-files.ts';
import { createKeyRing, createServerKey, type KeyRing } from './key-derivation.ts';

/** One key in the file. */
export interface KeyEntry {
  readonly id: string;
  /** `promoted`: seals and signs. `open`: only opens what was sealed with it. */
  readonly state: 'promoted' | 'open';
  /** When it got this state, in ms since the epoch: a key demoted less than the absolute timeout ago is still needed. */
  readonly sinceMs: number;
  /** 32 bytes. */
  readonly secret: Buffer;
}

/** A retired key: it still verifies the audit written under it, but opens no session. */
interface RetiredKey {
  readonly id: string;
  readonly sinceMs: number;
  /** The subkey `audit` of the retired key. */
  readonly auditKey: Buffer;
}

interface KeysFile {
  readonly keys: readonly KeyEntry[];
  readonly retired: readonly RetiredKey[];
}

/** Sources of randomness and time for a new key. */
export interface KeyMaking {
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
}

const systemMaking: KeyMaking = { clock: systemClock, randomBytes: systemRandomBytes };
const secretBytes = 32;
const keyLine = /^([0-9a-f]{8}) (promoted|open|retired) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Za-z0-9+/]{43}=)$/;
const header = `# Server keys of Postern: the same file on every node, readable by its owner only.
# Whoever has it and a user's cookie can open that user's session. Change it with: postern keys add|promote|retire
# A retired key opens nothing: what stands here verifies the audit that was written under it.
`;

/** The error of a keys file that the gateway cannot use. */
export function unusableKeys(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_KEYS_UNUSABLE', message, { source: 'config', retryable: false, cause });
}

/**
 * Reads the keys of a file, or undefined if there is no such file.
 * Rejects with ERR_KEYS_UNUSABLE if others may change or read the file (see `exposureOf`), or if a line is not a key.
 */
export async function readKeysFile(file: string): Promise<readonly KeyEntry[] | undefined> {
  return (await readWhole(file))?.keys;
}

/**
 * The keys that verify the audit, by id: also those of retired server keys. Empty if there is no such file; rejects as
 * `readKeysFile` does.
 */
export async function readAuditKeys(file: string): Promise<ReadonlyMap<string, Buffer>> {
  const { keys, retired } = (await readWhole(file)) ?? { keys: [], retired: [] };
  const living = keys.map((entry): [string, Buffer] => [entry.id, auditSubkeyOf(entry)]);
  return new Map([...retired.map(({ id, auditKey }): [string, Buffer] => [id, auditKey]), ...living]);
}

function auditSubkeyOf({ id, secret }: KeyEntry): Buffer {
  return createServerKey(id, secret).subkey('audit').export();
}

async function readWhole(file: string): Promise<KeysFile | undefined> {
  let text: string;
  try {
    await using handle = await openNamedFile(file);
    const exposure = exposureOf(file, await handle.stat());
    if (exposure !== undefined) throw unusableKeys(exposure);
    text = await handle.readFile('utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (error instanceof PosternError) throw error;
    throw unusableKeys(whyUnreadable(file, error), error);
  }
  return parseKeys(file, text);
}

function parseKeys(file: string, text: string): KeysFile {
  const keys: KeyEntry[] = [];
  const retired: RetiredKey[] = [];
  const seen = new Set<string>();
  for (const [index, content] of text.split('\n').entries()) {
    if (content.trim() === '' || content.startsWith('#')) continue;
    const [, id, state, since, secret] = keyLine.exec(content.trimEnd()) ?? [];
    if (id === undefined || since === undefined || secret === undefined) {
      throw unusableKeys(`${file}:${index + 1} is not a key; copy the file again from a node that works`);
    }
    if (seen.has(id)) throw unusableKeys(`${file}:${index + 1} repeats the key ${id}`);
    seen.add(id);
    const sinceMs = Date.parse(since);
    const bytes = Buffer.from(secret, 'base64');
    if (state === 'promoted' || state === 'open') keys.push({ id, state, sinceMs, secret: bytes });
    else retired.push({ id, sinceMs, auditKey: bytes });
  }
  const promoted = keys.filter((entry) => entry.state === 'promoted').length;
  const again = 'copy the file again from a node that works';
  if (keys.length === 0)
    throw unusableKeys(
      `${file} contains no key: ${again}, or remove it if no node has run yet: the first one creates it`,
    );
  if (promoted !== 1) throw unusableKeys(`${file} must promote exactly one key, and promotes ${promoted}: ${again}`);
  return { keys, retired };
}

/** The ring of the keys in a file. */
export function ringOf(entries: readonly KeyEntry[]): KeyRing {
  const promoted = entries.find((entry) => entry.state === 'promoted');
  return createKeyRing(
    entries.map((entry) => createServerKey(entry.id, entry.secret)),
    promoted?.id ?? '',
  );
}

/** Makes the file, and its folder if that is missing, with one promoted key. Rejects if the file exists. */
export async function makeKeysFile(file: string, making: KeyMaking = systemMaking): Promise<readonly KeyEntry[]> {
  const entries: readonly KeyEntry[] = [makeKey('promoted', making)];
  const handle = await openNew(file);
  try {
    giveToFolderOwner(file, handle.fd);
    await handle.writeFile(keysFileText({ keys: entries, retired: [] }));
    await handle.sync();
  } finally {
    await handle.close();
  }
  return entries;
}

async function openNew(file: string): Promise<FileHandle> {
  try {
    makeFolder(dirname(file));
    return await open(file, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST')
      throw unusableKeys(`${file} exists, and is not written over: name another file, or remove it if no node uses it`);
    const remedy = `let the user ${thisUser()} write there, or choose another path in sessions.keys_file`;
    throw unusableKeys(`${file} cannot be made (${codeOf(error) ?? String(error)}): ${remedy}`, error);
  }
}

/** Adds a fresh key that does not seal yet, and returns its id. Copy the file to all nodes before it is promoted. */
export async function addKey(file: string, making: KeyMaking = systemMaking): Promise<string> {
  const added = makeKey('open', making);
  const { keys, retired } = await existing(file);
  await replaceKeysFile(file, { keys: [...keys, added], retired });
  return added.id;
}

/** Makes another key of the file the one that seals. */
export async function promoteKey(file: string, id: string, clock: Clock = systemClock): Promise<void> {
  const { keys, retired } = await existing(file);
  if (!keys.some((entry) => entry.id === id)) throw noSuchKey(file, id, keys);
  const sinceMs = clock.nowMs();
  const next = keys.map((entry): KeyEntry => {
    const state = entry.id === id ? 'promoted' : 'open';
    return state === entry.state ? entry : { ...entry, state, sinceMs };
  });
  await replaceKeysFile(file, { keys: next, retired });
}

/**
 * Takes a key out of the file: what it sealed can no longer be opened. Its subkey for the audit stays, and verifies what
 * was written under it. The promoted key cannot be retired. `SessionStore.retireKey` removes its registration.
 */
export async function retireKey(file: string, id: string, clock: Clock = systemClock): Promise<void> {
  const { keys, retired } = await existing(file);
  const leaving = keys.find((entry) => entry.id === id);
  if (leaving === undefined) throw noSuchKey(file, id, keys);
  if (leaving.state === 'promoted')
    throw unusableKeys(`the key ${id} is the promoted one: promote another before you retire it`);
  await replaceKeysFile(file, {
    keys: keys.filter((entry) => entry !== leaving),
    retired: [...retired, { id, sinceMs: clock.nowMs(), auditKey: auditSubkeyOf(leaving) }],
  });
}

function noSuchKey(file: string, id: string, entries: readonly KeyEntry[]): PosternError {
  return unusableKeys(`${file} has no key ${id}; it has ${entries.map((entry) => entry.id).join(', ')}`);
}

async function existing(file: string): Promise<KeysFile> {
  const whole = await readWhole(file);
  if (whole === undefined) {
    throw unusableKeys(`${file} does not exist: the first node to start creates it, further nodes need a copy`);
  }
  return whole;
}

function makeKey(state: KeyEntry['state'], { clock, randomBytes }: KeyMaking): KeyEntry {
  return { id: randomBytes(4).toString('hex'), state, sinceMs: clock.nowMs(), secret: randomBytes(secretBytes) };
}

function keysFileText({ keys, retired }: KeysFile): string {
  const lines = [
    ...keys,
    ...retired.map(({ auditKey: secret, ...rest }) => ({ ...rest, state: 'retired', secret })),
  ].map(({ id, state, sinceMs, secret }) =>
    [id, state, new Date(sinceMs).toISOString(), secret.toString('base64')].join(' '),
  );
  return `${header}${lines.join('\n')}\n`;
}

/** Replaces the file as a whole: readers see the old content or the new. */
async function replaceKeysFile(file: string, content: KeysFile): Promise<void> {
  await access(dirname(file), constants.W_OK).catch((error: unknown) => {
    const remedy = 'change the file where it comes from (a secret of the container platform), and mount it again';
    throw unusableKeys(`${file} lies in a folder that this user may not write: ${remedy}`, error);
  });
  const before = await stat(file);
  const fresh = `${file}.new`;
  await unlink(fresh).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  const handle = await open(fresh, 'wx', 0o600);
  try {
    // An operator runs the command as root; the gateway must still be able to read its keys afterwards.
    await handle.chown(before.uid, before.gid);
    await handle.writeFile(keysFileText(content));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
