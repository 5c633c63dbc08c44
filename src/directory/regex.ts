import { type LoginName, splitLoginName } from '../core/names.ts';
import { catchAllIgnored, isCatchAll } from './keys.ts';
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
    const followsCatchAll = settings.flag('catch_all', false);
    if (followsCatchAll && meaning !== 'user') settings.problem('catch_all', 'needs answers: user');

    return async (deps) => {
      const watched = await watchFile({ file, load: (file) => readPatternFile(file, format) }, deps);
      let isTold = false;
      /** Whether a name that nobody has, in the same domain, would be answered with the same. */
      const isOfAll = (value: string, name: LoginName): boolean =>
        matchPatterns(watched.current, `postern-nobody-0@${splitLoginName(name).domain}`) === value;
      return {
        isLocal: true,
        // oxlint-disable-next-line require-await -- the port is asynchronous, matching is not
        async ask(name) {
          const value = matchPatterns(watched.current, name);
          if (value !== undefined && !followsCatchAll && isCatchAll(value, meaning) && isOfAll(value, name)) {
            if (!isTold) deps.log.warn({ source: deps.label, file }, catchAllIgnored);
            isTold = true;
            return unknownUser;
          }
          return value === undefined
            ? unknownUser
            : readValue(value, meaning, { name, findHome: deps.findHome, byDefault: true });
        },
        [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
      };
    };
  },
};
