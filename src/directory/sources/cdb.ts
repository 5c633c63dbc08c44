import { openNamedFile } from '../../core/named-files.ts';
import { defineSource, file, sourceSettings } from '../settings.ts';
import { couldNotAsk, unknownUser } from '../source.ts';
import { checkTable, domainKeysOf, isCatchAll, readValue, tableKeys, tableSettings } from '../table-entries.ts';
import { watchFile } from './watched-file.ts';

/**
 * A constant database (tinycdb, `postmap cdb:`) that says where each user lives; a replaced file is taken over. Keys
 * must be in lower case; they are looked up in that form, `@domain` and `*` after the user.
 */
export const driver = defineSource({
  about: 'A constant database file.',
  settings: sourceSettings({
    file: file('The file; a replaced file is taken over.'),
    ...tableSettings(),
  }).superRefine(checkTable),
  async create(settings, deps) {
    const { file, answers: meaning, catch_all: followsCatchAll } = settings;
    const domains = domainKeysOf(settings);

    const watched = await watchFile({ file, load: openCdb, release: (cdb: CdbFile) => cdb.close() }, deps);

    let hasWarned = false;

    async function get(key: string): Promise<string | undefined> {
      const cdb = watched.current;
      try {
        return await cdb.get(key);
      } catch (error) {
        // The file was replaced, and closed, between two of its reads.
        if (watched.current !== cdb) return get(key);
        throw couldNotAsk(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
      }
    }

    return {
      isLocal: true,
      async ask(name) {
        for (const { key, byDefault } of tableKeys(name, deps.defaultDomain, domains)) {
          const value = await get(key);
          if (value !== undefined && byDefault && !followsCatchAll && isCatchAll(value, meaning)) {
            // Keys of such a file cannot be listed at the start: the first lookup that meets the catch-all warns.
            if (!hasWarned) deps.log.warn('directory-catch-all-ignored', { source: deps.label, file, key });
            hasWarned = true;
            return unknownUser;
          }
          if (value !== undefined) return readValue(value, meaning, { name, findHome: deps.findHome, byDefault });
        }
        return unknownUser;
      },
      [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
    };
  },
});

/** An open constant database. */
interface CdbFile {
  /** The first value of a key; undefined if there is none. Rejects if the file cannot be read or contradicts itself. */
  get(key: string): Promise<string | undefined>;
  close(): Promise<void>;
}

const headerBytes = 2048;
const slotBytes = 8;
const maxValueBytes = 64 * 1024;

/**
 * Opens a constant database: 256 hash tables behind their records, all numbers 32 bits, little endian
 * (cr.yp.to/cdb/cdb.txt). Only the 2 KiB of its head are kept in memory; a lookup takes three or four small reads.
 * Keys and values may carry a final NUL, as Postfix writes them on some systems.
 */
export async function openCdb(file: string): Promise<CdbFile> {
  const handle = await openNamedFile(file);
  try {
    const { size } = await handle.stat();
    const read = async (at: number, length: number): Promise<Buffer> => {
      if (at + length > size) throw new Error(`${file}: is cut off or no constant database`);
      const bytes = Buffer.alloc(length);
      const { bytesRead } = await handle.read(bytes, 0, length, at);
      if (bytesRead < length) throw new Error(`${file}: became shorter while it was read`);
      return bytes;
    };
    const header = await read(0, headerBytes);
    for (let at = 0; at < headerBytes; at += slotBytes) {
      const tableEnd = header.readUInt32LE(at) + header.readUInt32LE(at + 4) * slotBytes;
      if (header.readUInt32LE(at) < headerBytes || tableEnd > size) throw new Error(`${file}: is no constant database`);
    }
    return {
      get: async (key) =>
        (await findRecord(read, header, Buffer.from(key))) ?? findRecord(read, header, Buffer.from(`${key}\0`)),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function findRecord(
  read: (at: number, length: number) => Promise<Buffer>,
  header: Buffer,
  key: Buffer,
): Promise<string | undefined> {
  const hash = cdbHash(key);
  const entry = (hash & 255) * slotBytes;
  const table = header.readUInt32LE(entry);
  const slots = header.readUInt32LE(entry + 4);
  for (let probe = 0; probe < slots; probe += 1) {
    const slot = await read(table + (((hash >>> 8) + probe) % slots) * slotBytes, slotBytes);
    const at = slot.readUInt32LE(4);
    if (at === 0) return undefined;
    if (slot.readUInt32LE(0) !== hash) continue;
    const lengths = await read(at, 8);
    if (lengths.readUInt32LE(0) !== key.length) continue;
    const valueLength = lengths.readUInt32LE(4);
    if (!key.equals(await read(at + 8, key.length))) continue;
    const value = await read(at + 8 + key.length, Math.min(valueLength, maxValueBytes));
    return value.toString('utf8').replace(/\0$/, '');
  }
  return undefined;
}

function cdbHash(key: Buffer): number {
  let hash = 5381;
  for (const byte of key) hash = (Math.imul(hash, 33) ^ byte) >>> 0;
  return hash;
}
