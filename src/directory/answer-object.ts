import type { Settings } from './settings.ts';
import { badAnswer, type SourceAnswer } from './source.ts';
import { readHost } from './value.ts';

/** Under which names an answer of several values has the home, another name of the user, a refusal, and a staff role. */
export interface AnswerKeys {
  readonly backend: string;
  readonly user: string;
  readonly refusal: string;
  readonly role: string;
}

const withoutReason = 'This account may not sign in.';

/** Reads `backend_key`, `user_key`, `refuse_key` and `role_key` (or `…_column`). */
export function readAnswerKeys(settings: Settings, what: 'key' | 'column'): AnswerKeys {
  return {
    backend: settings.text(`backend_${what}`, 'backend'),
    user: settings.text(`user_${what}`, 'user'),
    refusal: settings.text(`refuse_${what}`, 'refuse'),
    role: settings.text(`role_${what}`, 'role'),
  };
}

/**
 * Makes an answer of an object or a row. A refusal wins: its value is the reason, or yes or no in the ways of SQL,
 * LDAP and Dovecot's `nologin`. Without a home it says that the user exists, or is another. Throws {@link badAnswer}
 * when a value is not a text.
 */
export function readAnswerObject(answer: Readonly<Record<string, unknown>>, keys: AnswerKeys): SourceAnswer {
  const valueOf = (key: string): unknown => (Object.hasOwn(answer, key) ? answer[key] : undefined);
  const text = (key: string): string | undefined => {
    const value = valueOf(key) ?? '';
    if (typeof value !== 'string') throw badAnswer(`${key} of the answer is not a text`);
    return value === '' ? undefined : value;
  };
  const refusal = valueOf(keys.refusal);
  const reason =
    refusal === true || refusal === 1 ? 'y' : refusal === false || refusal === 0 ? 'n' : text(keys.refusal);
  if (reason !== undefined && !/^(?:no?|false|0)$/i.test(reason)) {
    return { kind: 'refused', reason: /^(?:y|yes|true|1)$/i.test(reason) ? withoutReason : reason };
  }
  const home = text(keys.backend);
  const user = text(keys.user);
  const role = text(keys.role);
  return {
    kind: 'found',
    ...(home === undefined ? {} : { home: readHost(home) }),
    ...(user === undefined ? {} : { user }),
    ...(role === undefined ? {} : { role: readRole(role) }),
  };
}

/** The name of a role as staff; throws {@link badAnswer} for what can be none. */
export function readRole(text: string): string {
  if (/^[^\p{C}]{1,64}$/u.test(text)) return text;
  throw badAnswer('a role is longer than 64 characters or holds control characters');
}
