import { z } from 'zod';
import { momentNamed } from '../core/clock.ts';
import { normaliseDomain } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { Secret } from '../core/secrets.ts';
import { nearest } from './did-you-mean.ts';
import {
  durationRemedy,
  formatDuration,
  formatSize,
  parseListen,
  parseNetwork,
  parsePublicUrl,
  publicUrlRemedy,
  read,
  readDuration,
  type Reading,
  readSize,
  shownValue,
  sizeRemedy,
  wrong,
} from './value-parsers.ts';

/** The remedy for a secret written in plain text. */
export const secretRemedy = 'write { file: NAME } or { env: VARIABLE }: secrets do not belong in this file';

/** A key that is written as one text. */
interface Leaf<T> {
  /** The noun in "… is not a duration". */
  readonly what: string;
  /** The remedy for a value that is no text. */
  readonly remedy: string;
  /** For the reference and for editors. */
  readonly examples?: readonly string[];
  readonly parse: (text: string) => Reading<T>;
}

/** Schema of one scalar: its name, its remedy, its examples and its parser. */
export function leaf<T>({ what, remedy, examples, parse }: Leaf<T>) {
  return z
    .string({ error: (issue) => wrongType(issue.input, what, remedy) })
    .meta({ title: what.replace(/^an? /, ''), ...defined({ examples: examples && [...examples] }) })
    .transform((text, context) => settle(parse(text), context));
}

/** A map of known keys. An unknown key is a problem of its own, with the nearest known one. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape, what = 'a map of keys') {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKeyText(key, keys)).join('\n');
      return wrongType(issue.input, what, `write its keys: ${keys.join(', ')}`);
    },
  });
}

/** Any text that is not empty. */
export function text(what: string, remedy: string) {
  const parse = (value: string) => (value.trim() === '' ? wrong(`is empty: ${remedy}`) : read(value));
  return leaf({ what, remedy, parse });
}

/** A scalar that YAML may also read as a number. */
export function leafOrNumber<T>({ what, remedy, parse }: Pick<Leaf<T>, 'what' | 'remedy' | 'parse'>) {
  return z
    .union([z.string(), z.number()], { error: (issue) => wrongType(issue.input, what, remedy) })
    .meta({ title: what.replace(/^(?:an?|the) /, '') })
    .transform((value, context) => settle(parse(String(value)), context));
}

/** Any text that is not empty, also where YAML makes a number of it: `1` is the name of a backend as much as `a`. */
export function textOrNumber(what: string, remedy: string) {
  return leafOrNumber({
    what,
    remedy,
    parse: (written) => (written === '' ? wrong(`is empty: ${remedy}`) : read(written)),
  });
}

/** One or several of the same, as a list. */
export function oneOrMore<Item extends z.ZodType>(item: Item, remedy: string) {
  return z
    .union([z.array(item), item], { error: (issue) => wrongType(issue.input, 'one or a list of them', remedy) })
    .transform((value): z.output<Item>[] => (Array.isArray(value) ? value : [value]));
}

/** How a secret is written, for the reference and for editors. */
export const secretMeta = {
  title: 'secret',
  type: 'object',
  properties: {
    file: { type: 'string', description: 'A file that holds the secret on one line, relative to this file.' },
    env: { type: 'string', description: 'The environment variable that holds the secret.' },
  },
  additionalProperties: false,
} as const;

/** A secret of a driver's settings: read from its file or environment before a driver sees it, or a text. */
export function wrappedSecret(remedy = secretRemedy) {
  return z
    .unknown()
    .transform((value, context): Secret => {
      if (value instanceof Secret) return value;
      return settle(typeof value === 'string' ? read(new Secret(value)) : wrong(`is missing: ${remedy}`), context);
    })
    .meta(secretMeta);
}

/** A number that may have a fraction. */
export function fraction(bounds: { readonly atLeast: number; readonly atMost: number }) {
  const remedy = `write a number from ${bounds.atLeast} to ${bounds.atMost}`;
  const error = (issue: { input?: unknown }) => wrongType(issue.input, 'a number in this range', remedy);
  return z.number({ error }).min(bounds.atLeast, { error }).max(bounds.atMost, { error });
}

/** A time span in milliseconds. */
export function duration(bounds: { readonly atLeastMs: number; readonly atMostMs?: number }) {
  const range = { low: bounds.atLeastMs, high: bounds.atMostMs ?? Number.POSITIVE_INFINITY, format: formatDuration };
  return leaf({
    what: 'a duration',
    remedy: durationRemedy,
    examples: ['500ms', '3s', '10 min', '12h'],
    parse: (value) => within(value, readDuration(value), range),
  });
}

/** A moment, in milliseconds since the epoch. */
export function time() {
  const remedy = 'write a time with its zone, such as 2030-01-31T06:00:00Z';
  return leaf({
    what: 'a time',
    remedy,
    examples: ['2030-01-31T06:00:00Z'],
    parse(value) {
      const ms = /T.*(?:Z|[+-]\d\d:\d\d)$/.test(value) ? momentNamed(value) : Number.NaN;
      return Number.isNaN(ms) ? wrong(`${shownValue(value)} is not a time: ${remedy}`) : read(ms);
    },
  });
}

/** A size in bytes. */
export function size(bounds: { readonly atLeast: number; readonly atMost: number }) {
  const range = { low: bounds.atLeast, high: bounds.atMost, format: formatSize };
  return leaf({
    what: 'a size',
    remedy: sizeRemedy,
    examples: ['16 KiB', '1 MiB'],
    parse: (value) => within(value, readSize(value), range),
  });
}

/** A whole number. */
export function integer(bounds: { readonly atLeast: number; readonly atMost: number }) {
  const remedy = `write a whole number from ${bounds.atLeast} to ${bounds.atMost}`;
  const error = (issue: { input?: unknown }) => wrongType(issue.input, 'a number in this range', remedy);
  return z.int({ error }).min(bounds.atLeast, { error }).max(bounds.atMost, { error });
}

/** Schema of `true` or `false`. */
export function yesOrNo() {
  return z.boolean({ error: (issue) => wrongType(issue.input, 'a yes or no', 'write true or false') });
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(words: Words, what = 'known here') {
  return z.enum(words, { error: (issue) => notOneOf(issue.input, words, what) });
}

/** The message for a value that is none of a few words. */
export function notOneOf(input: unknown, words: readonly string[], what: string): string {
  const close = typeof input === 'string' ? nearest(input, words) : undefined;
  return wrongType(input, what, close === undefined ? `write ${either(words)}` : `did you mean ${close}?`);
}

/** A list. `what` names its items, for somebody who wrote none. */
export function arrayOf<Item extends z.ZodType>(item: Item, what: string) {
  return z.array(item, {
    error: (issue) =>
      wrongType(issue.input, 'a list', `write ${what} in brackets, separated by commas, or [] for none`),
  });
}

/** `a, b or c`, for a sentence. */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A list whose schema has already demanded an item. */
export function atLeastOne<T>(items: readonly T[]): readonly [T, ...T[]] {
  const [first, ...others] = items;
  if (first === undefined) throw new TypeError('the list was checked not to be empty');
  return [first, ...others];
}

function wrongType(input: unknown, what: string, remedy: string): string {
  if (input === undefined) return `is missing: ${remedy}`;
  if (input === null) return `is empty: ${remedy}`;
  return `${shownValue(input)} is not ${what}: ${remedy}`;
}

/** The message for an unknown key. */
export function unknownKeyText(key: string, known: readonly string[]): string {
  const close = nearest(key, known);
  return close === undefined
    ? `is not a valid key here: use ${either(known)}`
    : `is not a known key: did you mean ${close}?`;
}

function within(
  written: string,
  reading: Reading<number>,
  bounds: { readonly low: number; readonly high: number; readonly format: (value: number) => string },
): Reading<number> {
  if (reading.kind === 'wrong') return reading;
  const { low, high, format } = bounds;
  if (reading.value < low) return wrong(`${shownValue(written)} is too little: write at least ${format(low)}`);
  if (reading.value > high) return wrong(`${shownValue(written)} is too much: write at most ${format(high)}`);
  return reading;
}

/** Unwraps a reading inside a zod transform; a failed one becomes an issue. */
export function settle<T>(reading: Reading<T>, context: z.core.$RefinementCtx): T {
  if (reading.kind === 'ok') return reading.value;
  context.addIssue({ code: 'custom', message: reading.why });
  return z.NEVER;
}

/** An address and a port to listen on; `example` stands in its error message. */
export function listenAddress(example: string) {
  const remedy = `write an address and a port, such as ${example}`;
  return leaf({ what: 'an address to listen on', remedy, examples: [example, '[::]:8080'], parse: parseListen });
}

/** A list of networks; `otherwise` when left out. */
export function networks(about: string, otherwise: readonly string[] = []) {
  const network = leaf({
    what: 'a network',
    remedy: 'write a network such as 10.1.2.0/24',
    examples: ['10.1.2.0/24', '2001:db8::/32'],
    parse: parseNetwork,
  });
  return arrayOf(network, 'networks such as 10.1.2.0/24')
    .prefault([...otherwise])
    .describe(about);
}

/** A URL under which people know a host: scheme and host, no path. */
export function publicUrl(example: string) {
  return leaf({ what: 'a public URL', remedy: publicUrlRemedy, examples: [example], parse: parsePublicUrl });
}

/** A mail domain, in lower case. */
export function mailDomain() {
  const remedy = 'write a domain such as example.org';
  return leaf({
    what: 'a domain',
    remedy,
    examples: ['example.org'],
    parse: (written) => {
      const name = normaliseDomain(written);
      return name === undefined ? wrong(`${shownValue(written)} is not a domain: ${remedy}`) : read(name);
    },
  });
}

/** The number of a TCP port. */
export function portNumber() {
  return integer({ atLeast: 1, atMost: 65_535 });
}
