import { setImmediate as nextTurn } from 'node:timers/promises';
import { openNamedFile } from '../../core/named-files.ts';
import type { LoginName } from '../../core/names.ts';
import { encodingProblems, whyUtf16 } from '../../core/text.ts';
import { defineSource, file, sourceSettings } from '../settings.ts';
import { badAnswer, type FindHome, type SourceAnswer, unknownUser } from '../source.ts';
import {
  checkTable,
  domainKeysOf,
  foldTableKey,
  hostIn,
  isCatchAll,
  readValue,
  tableKeys,
  tableSettings,
} from '../table-entries.ts';
import { MapIndex, type MapRules, nextLogicalLine } from './map-index.ts';
import { watchFile } from './watched-file.ts';

/**
 * A text file that says where each user lives, kept in memory and taken over as a whole when it changes.
 *
 * It reads the text forms of Postfix and Perdition maps too, `@domain` and `*` included. A key that is there twice with
 * different values is a bad answer for that user, never a guess.
 */
export const driver = defineSource({
  about: 'A text file of `user: backend` lines, or a Postfix or Perdition table. It is read again when it changes.',
  settings: sourceSettings({
    file: file('The file; a changed file is taken over as a whole when it no longer changes.'),
    ...tableSettings(),
  }).superRefine(checkTable),
  async create(settings, deps) {
    const { file, answers: meaning, catch_all: followsCatchAll } = settings;
    const domains = domainKeysOf(settings);

    const rules = {
      foldKey: (key: string) => foldTableKey(key, deps.parseBareName, domains),
      isValue: (value: string) => meaning === 'user' || meaning === 'transport' || !value.includes(' '),
      ...(meaning === 'backend' || meaning === 'perdition' ? { isHome: isHome(deps.findHome) } : {}),
      isCatchAll: (value: string) => isCatchAll(value, meaning),
      keepsColon: meaning === 'transport',
    };
    const load = async (name: string, signal: AbortSignal) => {
      const index = await readMapFile(name, rules, signal);
      const key = index.catchAll;
      if (key !== undefined && !followsCatchAll)
        deps.log.warn('directory-catch-all-ignored', { source: deps.label, file, key });
      if (index.homeless !== undefined) {
        const { line, value, entries } = index.homeless;
        const why = `${file}:${line}: ${JSON.stringify(value.slice(0, 100))}`;
        deps.log.warn('directory-unknown-backends', { source: deps.label, file, why, entries });
      }
      if (index.misplaced !== undefined) {
        const why = `${file}:${index.misplaced}`;
        deps.log.warn('directory-unused-keys', { source: deps.label, file, why });
      }
      return index;
    };
    const watched = await watchFile({ file, load }, deps);
    const answerFor = (name: LoginName): SourceAnswer => {
      for (const { key, byDefault } of tableKeys(name, deps.defaultDomain, domains)) {
        const entry = watched.current.get(key);
        if (entry?.kind === 'value' && byDefault && !followsCatchAll && isCatchAll(entry.value, meaning)) {
          return unknownUser;
        }
        if (entry?.kind === 'value')
          return readValue(entry.value, meaning, { name, findHome: deps.findHome, byDefault });
        if (entry?.kind === 'ambiguous') throw badAnswer(`${file} has this user twice, with different values`);
      }
      return unknownUser;
    };
    return {
      isLocal: true,
      ask: (name) => Promise.resolve(name).then(answerFor),
      [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
    };
  },
});

/** Makes the check whether a value ends in the name or a host of a backend here; `user@` may stand before it. */
function isHome(findHome: FindHome): (value: string) => boolean {
  return (value) => {
    const host = hostIn(value.slice(value.lastIndexOf('@') + 1));
    return host !== undefined && findHome(host) !== undefined;
  };
}

const maxMapBytes = 2 ** 31 - 1;
const sliceBytes = 128 * 1024;
const maxProblems = 10;

/**
 * Reads a text map: one `key: value`, `key value` (Postfix) or `key:value` (Perdition) per line. map-index.ts has the
 * details.
 *
 * The text stays as it is, outside the JavaScript heap, with an index of four bytes per slot: a million users cost
 * their file and 8 MiB. It is read in slices, so that requests go on meanwhile. Rejects with the places (at most ten)
 * of lines that are malformed or not UTF-8, and if there is no entry. Comments may be anything.
 */
export async function readMapFile(file: string, rules: MapRules, signal: AbortSignal): Promise<MapIndex> {
  const bytes = await readMapBytes(file, signal);
  const utf16 = whyUtf16(bytes);
  if (utf16 !== undefined) throw new Error(`${file}: ${utf16}`);
  const { lines, unreadable } = await scanLines(bytes, signal);
  if (unreadable.length > 0) throw new Error(unreadable.map((problem) => `${file}:${problem}`).join('\n'));
  const index = new MapIndex(bytes, lines, rules);
  const problems: string[] = [];
  let sliceEnd = 0;
  for (let at = 0, line = 1; at < bytes.length && problems.length < maxProblems; ) {
    const entry = nextLogicalLine(bytes, at);
    const why = entry.kind === 'entry' ? index.add({ from: at, line, ...entry }) : entry.why;
    if (why !== undefined) problems.push(`${file}:${line}: ${why}`);
    line += entry.lines;
    at = entry.end;
    if (at >= sliceEnd) {
      sliceEnd = at + sliceBytes;
      await nextTurn(undefined, { signal });
    }
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  if (index.entries === 0) throw new Error(`${file}: there is no entry in this file`);
  return index;
}

async function readMapBytes(file: string, signal: AbortSignal): Promise<Buffer> {
  await using handle = await openNamedFile(file);
  const { size } = await handle.stat();
  if (size > maxMapBytes) throw new Error(`${file}: larger than 2 GiB; use a cdb source`);
  const bytes = Buffer.allocUnsafeSlow(size);
  for (let at = 0; at < size; ) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(bytes, at, Math.min(1 << 20, size - at), at);
    if (bytesRead === 0) throw new Error(`${file}: became shorter while it was read`);
    at += bytesRead;
  }
  // A byte order mark does not belong to the first key.
  return bytes.subarray(bytes.subarray(0, 3).toString() === '\ufeff' ? 3 : 0);
}

/** Counts the lines, and finds the first ones that are not UTF-8 text. */
async function scanLines(
  bytes: Buffer,
  signal: AbortSignal,
): Promise<{ readonly lines: number; readonly unreadable: readonly string[] }> {
  let lines = 1;
  const unreadable: string[] = [];
  for (let from = 0; from < bytes.length && unreadable.length < maxProblems; ) {
    // The end of a line is never in the middle of a character.
    const lineEnd = bytes.indexOf(10, from + sliceBytes);
    const slice = bytes.subarray(from, lineEnd === -1 ? bytes.length : lineEnd + 1);
    unreadable.push(...encodingProblems(slice, lines).map(({ line, why }) => `${line}: ${why}`));
    for (let at = 0; at < slice.length; at += 1) {
      if (slice[at] === 10) lines += 1;
      else if (slice[at] === 13 && isLoneReturn(slice, at)) {
        unreadable.push(`${lines}: ends in CR alone: convert the file with tr '\\r' '\\n'`);
        break;
      }
    }
    from += slice.length;
    await nextTurn(undefined, { signal });
  }
  return { lines, unreadable: unreadable.slice(0, maxProblems) };
}

/** Whether a CR stands within a line, outside comments. */
function isLoneReturn(bytes: Buffer, at: number): boolean {
  if (at + 1 >= bytes.length || bytes[at + 1] === 10) return false;
  return !bytes.subarray(bytes.lastIndexOf(10, at) + 1, at).includes(35);
}
