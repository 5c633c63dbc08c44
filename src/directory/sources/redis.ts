import { readNamedFile } from '../../core/named-files.ts';
import type { LoginName } from '../../core/names.ts';
import { readMeaning, readRole, readValue } from '../answers.ts';
import { fillTemplate, readTemplate, type Template } from '../settings.ts';
import { couldNotAsk, type SourceDriver, unknownUser } from '../source.ts';

/**
 * Redis: a string per user (`key: "home:%u"`), one hash of all users (`key: homes`, `field: "%u"`), or a hash per user
 * (`key: "user:%u"`, `field: backend`), which may have the user's role as staff in another field.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const url = settings.text('url');
    const password = settings.secret('password');
    const caFile = settings.optionalText('tls_ca_file');
    const key = readTemplate(settings, 'key');
    const field = settings.has('field') ? readTemplate(settings, 'field') : undefined;
    const roleField = settings.has('role_field') ? readTemplate(settings, 'role_field') : undefined;
    const meaning = readMeaning(settings);
    if (url !== '' && !/^rediss?:\/\/[^/]*[^/@:]+/.test(url))
      settings.problem('url', 'write redis://host:port/database');
    if (roleField !== undefined && field === undefined)
      settings.problem('role_field', 'needs field: a string has no other');
    if (URL.parse(url)?.password) settings.problem('url', 'holds a password: write it as password: { file: … }');

    return async ({ label, log, connectRedis, findHome }) => {
      if (connectRedis === undefined) throw new Error('there is no client for Redis here');
      const ca = caFile === undefined ? {} : { ca: (await readNamedFile(caFile)).toString() };
      const redis = await connectRedis({ url, ...ca, ...(password === undefined ? {} : { password }) }, log);
      const read = (name: LoginName, field: Template | undefined): Promise<string | null> => {
        const filledKey = fillTemplate(key, name, asItIs);
        return field === undefined ? redis.get(filledKey) : redis.hGet(filledKey, fillTemplate(field, name, asItIs));
      };
      return {
        async ask(name) {
          const [value, role] = await Promise.all([
            read(name, field),
            roleField === undefined ? null : read(name, roleField),
          ]).catch((error: unknown) => {
            throw couldNotAsk(`${label}: ${error instanceof Error ? error.message : String(error)}`, error);
          });
          if (value === null) return unknownUser;
          const answer = readValue(value, meaning, { name, findHome });
          if (answer.kind !== 'found' || role === null || role === '') return answer;
          return { ...answer, role: readRole(role) };
        },
        async [Symbol.asyncDispose]() {
          redis.close();
        },
      };
    };
  },
};

/** A command of Redis carries each value apart: nothing needs escaping. */
function asItIs(value: string): string {
  return value;
}
