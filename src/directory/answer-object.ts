import type { Settings } from './settings.ts';
import { badAnswer, type SourceAnswer } from './source.ts';
import { readHost } from './value.ts';

/** Under which names an answer of several values has the home, another name of the user, and why it is refused. */
export interface AnswerKeys {
  readonly backend: string;
  readonly user: string;
  readonly refusal: string;
}

/** Reads `backend_key`, `user_key` and `refuse_key` (or `…_column`). */
export function readAnswerKeys(settings: Settings, what: 'key' | 'column'): AnswerKeys {
  return {
    backend: settings.text(`backend_${what}`, 'backend'),
    user: settings.text(`user_${what}`, 'user'),
    refusal: settings.text(`refuse_${what}`, 'refuse'),
  };
}

/**
 * Makes an answer of an object or a row. A refusal wins. Without the backend's key it says that the user exists, or is
 * another; with the key but without a value it is a bad answer, and so is a value that is not a text.
 */
export function readAnswerObject(answer: Readonly<Record<string, unknown>>, keys: AnswerKeys): SourceAnswer {
  const text = (key: string): string | undefined => {
    const value = Object.hasOwn(answer, key) ? answer[key] : undefined;
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') throw badAnswer(`${key} of the answer is not a text`);
    return value;
  };
  const refusal = text(keys.refusal);
  if (refusal !== undefined) return { kind: 'refused', reason: refusal };
  const home = text(keys.backend);
  const user = text(keys.user);
  if (home === undefined && Object.hasOwn(answer, keys.backend))
    throw badAnswer(`${keys.backend} of the answer is empty`);
  return {
    kind: 'found',
    ...(home === undefined ? {} : { home: readHost(home) }),
    ...(user === undefined ? {} : { user }),
  };
}
