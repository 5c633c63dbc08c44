import { type CdbFile, openCdb } from './cdb-file.ts';
import { catchAllIgnored, isCatchAll, readDefaultKeys, tableKeys } from './keys.ts';
import { couldNotAsk, type SourceDriver, unknownUser } from './source.ts';
import { readMeaning, readValue } from './value.ts';
import { watchFile } from './watched-file.ts';

/**
 * A constant database (tinycdb, `postmap cdb:`) that says where each user lives; a replaced file is taken over. Keys
 * are asked for in lower case, `@domain` and `*` after the user: write them so.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const file = settings.text('file');
    const meaning = readMeaning(settings);
    const { domains, followsCatchAll } = readDefaultKeys(settings, meaning);

    return async (deps) => {
      const watched = await watchFile({ file, load: openCdb, release: (cdb: CdbFile) => cdb.close() }, deps);

      let isTold = false;

      async function get(key: string): Promise<string | undefined> {
        const cdb = watched.current;
        try {
          return await cdb.get(key);
        } catch (error) {
          // It was replaced, and closed, between two of its reads.
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
              // Nothing lists the keys of such a file: it is told when it is met, once.
              if (!isTold) deps.log.warn({ source: deps.label, file, key }, catchAllIgnored);
              isTold = true;
              return unknownUser;
            }
            if (value !== undefined) return readValue(value, meaning, { name, findHome: deps.findHome, byDefault });
          }
          return unknownUser;
        },
        [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
      };
    };
  },
};
