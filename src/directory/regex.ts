import { matchPatterns, readPatternFile } from './regex-file.ts';
import { type SourceDriver, unknownUser } from './source.ts';
import { readMeaning, readValue } from './value.ts';
import { watchFile } from './watched-file.ts';

/**
 * A file of patterns over the whole login name; the first that matches says where the user lives. Taken over as a
 * whole when it changes. Patterns know nobody one by one: what they answer counts as a default.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const file = settings.text('file');
    const format = settings.choice('format', ['postfix', 'perdition'], 'postfix');
    const meaning = readMeaning(settings, format === 'perdition' ? 'perdition' : 'backend');

    return async (deps) => {
      const watched = await watchFile({ file, load: (file) => readPatternFile(file, format) }, deps);
      return {
        isLocal: true,
        // oxlint-disable-next-line require-await -- the port is asynchronous, matching is not
        async ask(name) {
          const value = matchPatterns(watched.current, name);
          return value === undefined
            ? unknownUser
            : readValue(value, meaning, { name, findHome: deps.findHome, byDefault: true });
        },
        [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
      };
    };
  },
};
