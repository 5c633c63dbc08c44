import { catchAllIgnored, foldTableKey, isCatchAll, readDefaultKeys, tableKeys } from './keys.ts';
import type { FindHome } from './homes.ts';
import { readMapFile } from './map-file.ts';
import { badAnswer, type SourceDriver, unknownUser } from './source.ts';
import { hostIn, readMeaning, readValue } from './value.ts';
import { watchFile } from './watched-file.ts';

/**
 * A text file that says where each user lives, kept in memory and taken over as a whole when it changes.
 *
 * Reads the text forms of Postfix and Perdition maps too, `@domain` and `*` included. A key that stands there twice
 * with different values is a bad answer for that user, never a guess.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const file = settings.text('file');
    const meaning = readMeaning(settings);
    const { domains, followsCatchAll } = readDefaultKeys(settings, meaning);

    return async (deps) => {
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
        if (key !== undefined && !followsCatchAll) deps.log.warn({ source: deps.label, file, key }, catchAllIgnored);
        if (index.homeless !== undefined) {
          const { line, value, entries } = index.homeless;
          const why = `${file}:${line}: ${JSON.stringify(value.slice(0, 100))}`;
          deps.log.warn(
            { source: deps.label, file, why, entries },
            'directory table has values that name no backend here',
          );
        }
        if (index.misplaced !== undefined) {
          const why = `${file}:${index.misplaced}`;
          deps.log.warn({ source: deps.label, file, why }, 'directory table has keys that nobody asks for');
        }
        return index;
      };
      const watched = await watchFile({ file, load }, deps);
      return {
        isLocal: true,
        // oxlint-disable-next-line require-await -- the port is asynchronous, this map is not
        async ask(name) {
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
        },
        [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
      };
    };
  },
};

/** Whether a value ends in the name or a host of a backend here: `user@` may stand before it. */
function isHome(findHome: FindHome): (value: string) => boolean {
  return (value) => {
    const host = hostIn(value.slice(value.lastIndexOf('@') + 1));
    return host !== undefined && findHome(host) !== undefined;
  };
}
