/** A map's answer for a key. `ambiguous`: the key is there more than once, with different values. */
type MapEntry = { readonly kind: 'value'; readonly value: string } | { readonly kind: 'ambiguous' } | undefined;

/** An entry of the text: where it begins and ends, its first line, and whether it goes on over several. */
interface MapLine {
  readonly from: number;
  readonly end: number;
  readonly line: number;
  readonly goesOn: boolean;
}

/** Rules for reading the lines of a map. */
export interface MapRules {
  /** The one spelling of a key that is not plain ASCII; undefined if it cannot be a key. */
  readonly foldKey: (key: string) => string | undefined;
  /** Whether a value over several lines can be meant: mostly it is a slip. */
  readonly isValue: (value: string) => boolean;
  /** Whether a colon behind white space belongs to the value, as in Postfix's `domain :`. If undefined, it does not. */
  readonly keepsColon?: boolean;
  /** Whether a value is the home of a user here. Undefined if values are not homes. */
  readonly isHome?: (value: string) => boolean;
  /** Whether the value of `@domain` or `*` is an alias for any name. */
  readonly isCatchAll?: (value: string) => boolean;
}

/** The first line whose value is not a home, and the number of such lines. */
interface HomelessEntries {
  readonly line: number;
  readonly value: string;
  readonly entries: number;
}

const tab = 9;
const lineFeed = 10;
const carriageReturn = 13;
const space = 32;
const numberSign = 35;
const asterisk = 42;
const colon = 58;
const atSign = 64;
const backslash = 92;
const maxMapKeyBytes = 1024;
const maxHomes = 1000;

/**
 * Finds keys in the bytes of a text map: an open-addressing hash table of offsets over the text itself, so that a
 * lookup reads one line of the file. ASCII keys are compared without case; the few others are folded and kept in a
 * table of their own.
 */
export class MapIndex {
  readonly #bytes: Buffer;
  readonly #rules: MapRules;
  readonly #keepsColon: boolean;
  /** Offsets plus one: 0 is a free slot. At most half of the slots are taken. */
  readonly #slots: Uint32Array;
  readonly #oddKeys = new Map<string, number>();
  readonly #ambiguous = new Set<number>();
  /** Room for the key of a lookup. */
  readonly #wanted = Buffer.alloc(maxMapKeyBytes);
  /** Texts of values that are homes: a table has few. */
  readonly #homes = new Set<string>();
  #entries = 0;
  #catchAll: string | undefined;
  #misplaced: string | undefined;
  #homeless: HomelessEntries | undefined;

  constructor(bytes: Buffer, maxEntries: number, rules: MapRules) {
    this.#bytes = bytes;
    this.#rules = rules;
    this.#keepsColon = rules.keepsColon === true;
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(maxEntries * 2 + 2)));
  }

  get entries(): number {
    return this.#entries;
  }

  /** The first key `@domain` or `*` whose value is an alias for any name. */
  get catchAll(): string | undefined {
    return this.#catchAll;
  }

  /** The first line whose key cannot be a name, and why: the file is a table of another kind. */
  get misplaced(): string | undefined {
    return this.#misplaced;
  }

  /** The entries whose values are no homes; undefined if there are none. */
  get homeless(): HomelessEntries | undefined {
    return this.#homeless;
  }

  /** Takes an entry; returns what is wrong with it, or undefined. */
  add(entry: MapLine): string | undefined {
    const { from, goesOn } = entry;
    const bytes = this.#bytes;
    const to = keyEnd(bytes, from);
    if (to === from) return 'there is no key before the colon';
    if (to - from > maxMapKeyBytes) return `the key is longer than ${maxMapKeyBytes} bytes`;
    if (!hasValue(bytes[valueStart(bytes, from, this.#keepsColon)]) && this.#valueAt(from) === '')
      return 'there is a key without a value';
    if (goesOn && !this.#rules.isValue(this.#valueAt(from)))
      return 'continues over several lines, which no value may do';
    this.#entries += 1;
    this.#noteHome(entry);
    this.#noteStart(entry, to);
    if (bytes.subarray(from, to).some((byte) => byte > 127)) return this.#addOddKey(from, to);
    const slot = this.#slotOf(bytes, from, to);
    const before = (this.#slots[slot] ?? 0) - 1;
    if (before === -1) this.#slots[slot] = from + 1;
    else this.#addAgain(before, from);
    return undefined;
  }

  /** The entry of a key in its one spelling. */
  get(key: string): MapEntry {
    // A folded key may be ASCII, too: the file may write the domain in its own letters.
    const odd = this.#oddKeys.get(key);
    const place = this.#plainPlace(key) ?? odd;
    if (place === undefined) return undefined;
    const value = this.#valueAt(place);
    const isAmbiguous =
      this.#ambiguous.has(place) || (odd !== undefined && (this.#ambiguous.has(odd) || this.#valueAt(odd) !== value));
    return isAmbiguous ? { kind: 'ambiguous' } : { kind: 'value', value };
  }

  /** The slot that holds the key, or the free one where it belongs. */
  #slotOf(key: Buffer, from: number, to: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = keyHash(key, from, to) & mask; ; slot = (slot + 1) & mask) {
      const offset = (this.#slots[slot] ?? 0) - 1;
      if (offset === -1 || isSameKey(this.#bytes, offset, key.subarray(from, to))) return slot;
    }
  }

  #valueAt(from: number): string {
    const { end } = nextLogicalLine(this.#bytes, from);
    return joinValue(this.#bytes.toString('utf8', valueStart(this.#bytes, from, this.#keepsColon), end));
  }

  /** Where the entry of an ASCII key begins. */
  #plainPlace(key: string): number | undefined {
    if (key.length > maxMapKeyBytes || !/^[\0-\x7f]*$/.test(key)) return undefined;
    const slot = this.#slotOf(this.#wanted, 0, this.#wanted.write(key, 'latin1'));
    const offset = (this.#slots[slot] ?? 0) - 1;
    return offset === -1 ? undefined : offset;
  }

  #addAgain(before: number, from: number): void {
    if (this.#valueAt(before) !== this.#valueAt(from)) this.#ambiguous.add(before);
  }

  #addOddKey(from: number, to: number): string | undefined {
    const key = this.#bytes.toString('utf8', from, to);
    const folded = this.#rules.foldKey(key);
    if (folded === undefined) return `${JSON.stringify(key)} cannot be a user, @domain or *`;
    const before = this.#oddKeys.get(folded);
    if (before !== undefined) this.#addAgain(before, from);
    else this.#oddKeys.set(folded, from);
    return undefined;
  }

  #noteHome({ from, end, line }: MapLine): void {
    const { isHome } = this.#rules;
    if (isHome === undefined) return;
    const text = this.#bytes.toString('latin1', valueStart(this.#bytes, from, this.#keepsColon), end);
    if (this.#homes.has(text)) return;
    const value = this.#valueAt(from);
    if (isHome(value)) {
      if (this.#homes.size < maxHomes) this.#homes.add(text);
    } else this.#homeless = { line, value, ...this.#homeless, entries: (this.#homeless?.entries ?? 0) + 1 };
  }

  /** Notes a catch-all, or a key that cannot be a name, by its first character. */
  #noteStart({ from, line }: MapLine, to: number): void {
    const first = this.#bytes[from];
    if (this.#catchAll === undefined && (first === atSign || first === asterisk)) {
      if (this.#rules.isCatchAll?.(this.#valueAt(from)) === true)
        this.#catchAll = this.#bytes.toString('utf8', from, to);
    }
    if (this.#misplaced === undefined && strangeStarts.has(first ?? 0)) {
      const why = whyMisplaced(this.#bytes.toString('utf8', from, to));
      if (why !== undefined) this.#misplaced = `${line}: ${why}`;
    }
  }
}

/** First characters of patterns, networks, quoted keys and foreign comments. */
const strangeStarts: ReadonlySet<number> = new Set(Buffer.from('/!["{;0123456789'));

/** Why the name of a user never meets a key of a Postfix table; undefined if it can. */
function whyMisplaced(key: string): string | undefined {
  if (/^(?:\/\/|;)/.test(key)) return 'comments begin with #';
  if (/^!?\//.test(key)) return 'a pattern matches no name here: write type: regex';
  if (/^\[|^\d{1,3}(?:\.\d{1,3}){3}(?:\/\d+)?$/.test(key))
    return 'an address or network is not a name: this is a table of clients (cidr_table(5), access(5)), not of users';
  return /^\{?"/.test(key) ? 'a key in quotes matches no name: write it without' : undefined;
}

function keyEnd(bytes: Buffer, from: number): number {
  let at = from;
  while (!isBlank(bytes[at]) && !isLineEnd(bytes[at]) && bytes[at] !== colon) at += 1;
  return at;
}

function valueStart(bytes: Buffer, from: number, keepsColon: boolean): number {
  const key = keyEnd(bytes, from);
  let at = key;
  while (isBlank(bytes[at])) at += 1;
  // `key : value` has a colon of its own; `key :value` and `key :`, also with blanks or a comment behind, have Postfix's
  // transport without a name.
  if (bytes[at] === colon && !(keepsColon && at > key && !isOwnColon(bytes, at))) at += 1;
  while (isBlank(bytes[at])) at += 1;
  return at;
}

/** Whether white space and a value follow a colon. */
function isOwnColon(bytes: Buffer, colonAt: number): boolean {
  let at = colonAt + 1;
  while (isBlank(bytes[at])) at += 1;
  return at > colonAt + 1 && hasValue(bytes[at]);
}

function hasValue(first: number | undefined): boolean {
  return !isLineEnd(first) && first !== numberSign;
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === undefined || byte === lineFeed || byte === carriageReturn;
}

function isSameKey(bytes: Buffer, offset: number, key: Buffer): boolean {
  for (let at = 0; at < key.length; at += 1) if (fold(bytes[offset + at]) !== fold(key[at])) return false;
  const next = bytes[offset + key.length];
  return isBlank(next) || isLineEnd(next) || next === colon;
}

/** FNV-1a over the ASCII lower case of the bytes. */
function keyHash(bytes: Buffer, from: number, to: number): number {
  let sum = 0x811c9dc5;
  for (let at = from; at < to; at += 1) sum = Math.imul(sum ^ fold(bytes[at]), 0x01000193);
  return (sum ^ (sum >>> 15)) >>> 0;
}

function fold(byte: number | undefined): number {
  if (byte === undefined) return -1;
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

/** Some lines of a text map that belong together. `lines` counts those of the file. */
type LogicalLine =
  | { readonly kind: 'entry'; readonly end: number; readonly lines: number; readonly goesOn: boolean }
  /** An empty line or a comment, or, with `why`, a line that is wrong. */
  | { readonly kind: 'no-entry'; readonly end: number; readonly lines: number; readonly why?: string };

/**
 * Finds the logical line that begins at `from`, which must be the beginning of a line.
 *
 * As in Postfix (postmap(1)), empty lines and lines whose first visible character is `#` are skipped, also in the midst
 * of an entry, and a line that begins with white space continues the entry before. As in Perdition, a final backslash
 * continues the line. An entry includes the comments that follow it.
 */
export function nextLogicalLine(bytes: Buffer, from: number): LogicalLine {
  if (isSkipped(bytes, from)) return { kind: 'no-entry', end: endOfLine(bytes, from), lines: 1 };
  if (isBlank(bytes[from])) {
    const why = 'begins with white space, but there is no entry above to continue';
    return { kind: 'no-entry', end: endOfLine(bytes, from), lines: 1, why };
  }
  let goesOn = false;
  let end = from;
  for (let lines = 0; ; ) {
    const line = end;
    end = endOfLine(bytes, line);
    lines += 1;
    const isContent = !isSkipped(bytes, line);
    if (isContent && line !== from) goesOn = true;
    const isJoined = isContent && bytes[end - (bytes[end - 2] === carriageReturn ? 3 : 2)] === backslash;
    if (end >= bytes.length || !(isJoined || isBlank(bytes[end]) || isSkipped(bytes, end))) {
      return { kind: 'entry', end, lines, goesOn };
    }
  }
}

/** The value in the text of a logical line behind its key: without comments, continuations joined by one space. */
function joinValue(text: string): string {
  const parts = text.split('\n').map((line) => {
    const comment = line.search(/(?:^|[ \t])#/);
    return (comment === -1 ? line : line.slice(0, comment)).trim().replace(/\s*\\$/, '');
  });
  return parts.filter((part) => part !== '').join(' ');
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}

/** Whether an empty line or a comment begins here. */
function isSkipped(bytes: Buffer, from: number): boolean {
  let at = from;
  while (isBlank(bytes[at])) at += 1;
  const first = bytes[at];
  return first === undefined || first === lineFeed || first === carriageReturn || first === numberSign;
}

function endOfLine(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(lineFeed, from);
  return at === -1 ? bytes.length : at + 1;
}
