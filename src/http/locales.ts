import { readdirSync, readFileSync } from 'node:fs';
import english from '../../views/locales/en.json' with { type: 'json' };
import { BoundedMap } from '../core/bounded-map.ts';

/** The name of a text; views/locales/en.json has them all. */
export type TextKey = keyof typeof english;

/** One language of the pages. */
export interface Locale {
  /** A BCP 47 tag, the name of the catalogue's file. */
  readonly tag: string;
  /** The language's name for itself. */
  readonly label: string;
  /** A text with `{name}` replaced by the value of that name; plain text, which the caller escapes in HTML. */
  readonly text: (key: TextKey, values?: Readonly<Record<string, string>>) => string;
}

/** The languages of the gateway's pages. */
export interface Locales {
  readonly all: readonly Locale[];
  /** The first choice that there is: `asked` by the picker, then Accept-Language, then the operator's default. */
  choose(asked: unknown, acceptLanguage: string | undefined): Locale;
}

/** The catalogues of the gateway's pages. */
export const localesFolder = new URL('../../views/locales/', import.meta.url);

/**
 * Reads every catalogue of a folder: a language is added by adding a file. A missing text is shown in English. Throws
 * when a file is not a flat object of texts.
 */
export function readLocales(folder: URL, defaultTag: string): Locales {
  const all = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) =>
      createLocale(name.slice(0, -'.json'.length), JSON.parse(readFileSync(new URL(name, folder), 'utf8'))),
    );
  const fallback = localeTagged(all, defaultTag) ?? createLocale('en', english);
  return {
    all,
    choose(asked, acceptLanguage) {
      const wanted = typeof asked === 'string' ? localeTagged(all, asked) : undefined;
      return wanted ?? firstOf(all, preferences(acceptLanguage ?? '')) ?? fallback;
    },
  };
}

/** Creating a formatter takes longer than the rest of a page. Browsers name some hundred zones; the texts are few. */
const timeFormats = new BoundedMap<string, Intl.DateTimeFormat>(200);

/**
 * Writes times as readers of a language do; where they differ over which number is the day, the month is a word.
 * Without the reader's own time zone they are in UTC, and say so.
 */
export function timeTextOf(
  { tag }: Locale,
  dateStyle: 'full' | 'long' | 'medium',
  timeZone: string | undefined,
): (ms: number) => string {
  const name = `${tag} ${dateStyle} ${timeZone ?? ''}`;
  let format = timeFormats.get(name);
  if (format === undefined) {
    format = new Intl.DateTimeFormat(tag, { dateStyle, timeStyle: 'short', timeZone: timeZone ?? 'UTC' });
    timeFormats.set(name, format);
  }
  const known = format;
  return (ms) => (timeZone === undefined ? `${known.format(ms)} UTC` : known.format(ms));
}

/**
 * The languages of an Accept-Language field, the most wanted first, without those that are not wanted (RFC 9110,
 * 12.5.4).
 */
export function preferences(field: string): string[] {
  return field
    .slice(0, 500)
    .split(',')
    .map((part) => {
      const [, tag, weight] =
        /^\s*([a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?\s*$/i.exec(part) ?? [];
      return { tag: tag ?? '', weight: Number(weight ?? 1) };
    })
    .filter(({ tag, weight }) => tag !== '' && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ tag }) => tag);
}

function firstOf(all: readonly Locale[], tags: readonly string[]): Locale | undefined {
  for (const tag of tags) {
    const locale = localeTagged(all, tag);
    if (locale !== undefined) return locale;
  }
  return undefined;
}

/** The catalogue of this very tag, else of its language: `de-AT` is served by `de`. */
function localeTagged(all: readonly Locale[], tag: string): Locale | undefined {
  const wanted = tag.toLowerCase();
  const language = wanted.split('-')[0];
  return all.find((locale) => locale.tag.toLowerCase() === wanted) ?? all.find((locale) => locale.tag === language);
}

function createLocale(tag: string, catalogue: unknown): Locale {
  const texts = new Map<string, string>();
  for (const [key, text] of Object.entries(Object(catalogue))) {
    if (typeof text !== 'string') throw new TypeError(`views/locales/${tag}.json: ${key} is not a text`);
    texts.set(key, text);
  }
  const raw = (key: TextKey) => texts.get(key) ?? english[key];
  return {
    tag,
    label: raw('language'),
    text: (key, values = {}) => raw(key).replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole),
  };
}
