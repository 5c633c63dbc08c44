import type { Closure } from '../core/placement.ts';
import { type Locale, timeTextOf } from './locales.ts';

/**
 * Who reads of a closure. `user`: somebody who is signed in and stays so; `visitor`: somebody who wanted to sign in;
 * `staff`: somebody who wanted to open the mailbox of another.
 */
export interface ClosureReader {
  readonly as: 'user' | 'visitor' | 'staff';
  /** The reader's own, as far as the browser told it. */
  readonly timeZone: string | undefined;
  readonly nowMs: number;
}

const forms = { user: 'text', visitor: 'signIn', staff: 'staff' } as const;

/** What one reads of a closure: the operator's own words for users where there are some, and until or since when. */
export function closureText(
  locale: Locale,
  closure: Closure,
  reader: ClosureReader,
): { readonly title: string; readonly text: string } {
  const { kind, sinceMs, untilMs, texts } = closure;
  const time = timeTextOf(locale, 'long', reader.timeZone);
  const own = reader.as === 'staff' ? undefined : ownWords(locale.tag, texts);
  const until = reader.as === 'visitor' ? 'closed.again' : 'closed.until';
  const when =
    untilMs !== undefined && endIsNamed(closure, reader.nowMs)
      ? locale.text(until, { time: time(untilMs) })
      : locale.text('closed.since', { time: time(sinceMs) });
  return {
    title: locale.text(`closed.${kind}.title`),
    text: [own ?? locale.text(`closed.${kind}.${forms[reader.as]}`), ...(kind === 'moving' ? [] : [when])].join(' '),
  };
}

/** Whether somebody said when it ends, and that is still to come: what is late has no end that is known. */
export function endIsNamed({ kind, untilMs }: Closure, nowMs: number): boolean {
  return kind !== 'moving' && untilMs !== undefined && untilMs > nowMs;
}

/** When to look again: a move is over soon, and nobody needs to ask long before the time that was named. */
export function retryAfterSeconds({ kind, untilMs }: Closure, nowMs: number): number {
  if (kind === 'moving') return 3;
  if (untilMs === undefined) return 10;
  return Math.min(Math.max(Math.ceil((untilMs - nowMs) / 1000), 10), 60);
}

/** The words in the user's language, else in its main language, else in English, else whichever there are. */
function ownWords(tag: string, words: Closure['texts']): string | undefined {
  return words[tag] ?? words[tag.split('-')[0] ?? ''] ?? words['en'] ?? Object.values(words)[0];
}
