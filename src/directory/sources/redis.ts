import type { LoginName } from '../../core/names.ts';
import { defined } from '../../core/objects.ts';
import { leaf, wrappedSecret } from '../../schema/scalars.ts';
import { read, type Reading, wrong } from '../../schema/value-parsers.ts';
import { readRole } from '../answers.ts';
import {
  defineSource,
  fillTemplate,
  nameTemplate,
  readAuthorities,
  sourceSettings,
  type Template,
  tlsAuthorities,
} from '../settings.ts';
import { couldNotAsk, unknownUser } from '../source.ts';
import { answers, meanings, readValue } from '../table-entries.ts';

const redisSourceRemedy = 'write redis://host:port/database';

/**
 * Redis: a string per user (`key: "home:%u"`), one hash of all users (`key: homes`, `field: "%u"`), or a hash per user
 * (`key: "user:%u"`, `field: backend`), which may have the user's role as staff in another field.
 */
export const driver = defineSource({
  about: 'A key or hash in Redis.',
  settings: sourceSettings({
    url: leaf({
      what: 'a URL of Redis',
      remedy: redisSourceRemedy,
      examples: ['redis://redis.internal:6379/0'],
      parse: readRedisSource,
    }).describe('`redis://host:port/database`, `rediss://` for TLS. It may name an ACL user, but no password.'),
    password: wrappedSecret().optional().describe('The password.'),
    tls_ca_file: tlsAuthorities(),
    key: nameTemplate('a key').describe('The key, with `%u`, `%n`, `%d`.'),
    field: nameTemplate('a field').optional().describe('The field of a hash, with `%u`, `%n`, `%d`.'),
    role_field: nameTemplate('a field')
      .optional()
      .describe('The field of the same hash with the role of a member of staff.'),
    answers: answers(meanings).prefault('backend'),
  }).superRefine(({ field, role_field }, context) => {
    if (role_field !== undefined && field === undefined)
      context.addIssue({ code: 'custom', path: ['role_field'], message: 'needs field: a string has no fields' });
  }),
  async create(settings, { label, log, connectRedis, findHome }) {
    const { url, password, key, field, role_field: roleField, answers: meaning } = settings;

    if (connectRedis === undefined) throw new Error('there is no client for Redis here');
    const pem = await readAuthorities(settings.tls_ca_file);
    const redis = await connectRedis({ url, ...defined({ ca: pem, password }) }, log);
    const read = (name: LoginName, field: Template | undefined): Promise<string | null> => {
      const filledKey = fillTemplate(key, name, unescaped);
      return field === undefined ? redis.get(filledKey) : redis.hGet(filledKey, fillTemplate(field, name, unescaped));
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
  },
});

function readRedisSource(written: string): Reading<string> {
  if (!/^rediss?:\/\/[^/]*[^/@:]+/.test(written)) return wrong(`is not a URL of Redis: ${redisSourceRemedy}`);
  return URL.parse(written)?.password ? wrong('holds a password: write it as password: { file: … }') : read(written);
}

/** A command of Redis carries each value separately, so that values need no escaping. */
function unescaped(value: string): string {
  return value;
}
