import type { Closure, ClosureKind } from '../core/placement.ts';
import type { Locale, TextKey } from './locales.ts';

const texts: Readonly<Record<ClosureKind, TextKey>> = {
  maintenance: 'closed.maintenance.text',
  drain: 'closed.drain.text',
  down: 'closed.down.text',
  moving: 'closed.moving.text',
};

const titles: Readonly<Record<ClosureKind, TextKey>> = {
  maintenance: 'closed.maintenance.title',
  drain: 'closed.drain.title',
  down: 'closed.down.title',
  moving: 'closed.moving.title',
};

/** With the zone: nobody knows which one the reader is in. */
const timeParts = {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  timeZoneName: 'short',
} as const;

/** One for each language: to make one takes longer than all else of an answer, and many come while a backend is down. */
const timeFormats = new Map<string, Intl.DateTimeFormat>();

function timeFormat(tag: string): Intl.DateTimeFormat {
  const format = timeFormats.get(tag) ?? new Intl.DateTimeFormat(tag, timeParts);
  timeFormats.set(tag, format);
  return format;
}

/** What a user reads of a closure: the operator's own words where there are some, and until when or since when. */
export function closureText(locale: Locale, closure: Closure): { readonly title: string; readonly text: string } {
  const own = ownWords(locale.tag, closure.texts);
  const time = (ms: number) => timeFormat(locale.tag).format(ms);
  const when =
    closure.untilMs === undefined
      ? locale.text('closed.since', { time: time(closure.sinceMs) })
      : locale.text('closed.until', { time: time(closure.untilMs) });
  return {
    title: locale.text(titles[closure.kind]),
    text: [own ?? locale.text(texts[closure.kind]), ...(closure.kind === 'moving' ? [] : [when])].join(' '),
  };
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
