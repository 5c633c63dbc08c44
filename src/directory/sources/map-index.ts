import { isBlank, joinValue, newline, nextLogicalLine } from './map-lines.ts';

/** A map's answer for a key. `ambiguous`: it is there more than once, with different values. */
type MapEntry = { readonly kind: 'value'; readonly value: string } | { readonly kind: 'ambiguous' } | undefined;

/** An index of a map file: lookups read one line of the file. */
export interface MapIndex {
  readonly entries: number;
  /** The first key `@domain` or `*` whose value is an alias for any name. */
  readonly catchAll: string | undefined;
  /** The first line whose key no name can be, and why: the file is a table of another kind. */
  readonly misplaced: string | undefined;
  /** The first line whose value is no home, and how many there are. */
  readonly homeless: { readonly line: number; readonly value: string; readonly entries: number } | undefined;
  /** Takes an entry; returns what is wrong with it. */
  add(entry: MapLine): string | undefined;
  /** The entry of a key in its one spelling. */
  get(key: string): MapEntry;
}

/** An entry of the text: where it begins and ends, its first line, and whether it goes on over several. */
interface MapLine {
  readonly from: number;
  readonly end: number;
  readonly line: number;
  readonly goesOn: boolean;
}

/** Rules for reading the lines of a map. */
export interface MapRules {
  /** One spelling of a key that is not plain ASCII, or undefined if it cannot be a key. */
  readonly foldKey: (key: string) => string | undefined;
  /** Whether a value can be one at all: asked where it goes over several lines, which is mostly a slip. */
  readonly isValue: (value: string) => boolean;
  /** Whether a colon behind white space belongs to the value, as in Postfix's `domain :`. Left out: it does not. */
  readonly keepsColon?: boolean;
  /** Whether a value is the home of a user here. Left out where values are none. */
  readonly isHome?: (value: string) => boolean;
  /** Whether the value of `@domain` or `*` is an alias for any name. */
  readonly isCatchAll?: (value: string) => boolean;
}

const colon = 58;
const carriageReturn = 13;
const hash = 35;
const asterisk = 42;
const atSign = 64;
const maxKeyBytes = 1024;
const maxHomes = 1000;

/**
 * Finds keys in the bytes of a text map: an open-addressing hash table of offsets over the text itself. ASCII keys are
 * compared without case; the few others are folded and kept in a table of their own.
 */
export function createMapIndex(bytes: Buffer, maxEntries: number, rules: MapRules): MapIndex {
  // Offsets are kept plus one: 0 is a free slot. At most half of the slots are taken.
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(maxEntries * 2 + 2)));
  const mask = slots.length - 1;
  const oddKeys = new Map<string, number>();
  const ambiguous = new Set<number>();
  const wanted = Buffer.alloc(maxKeyBytes);
  const keepsColon = rules.keepsColon === true;
  let entries = 0;
  let catchAll: string | undefined;
  let misplaced: string | undefined;
  let homeless: MapIndex['homeless'];
  // The text of values that are homes: a table has few.
  const homes = new Set<string>();

  /** The slot that holds the key, or the free one where it belongs. */
  function slotOf(key: Buffer, from: number, to: number): number {
    for (let slot = hashOf(key, from, to) & mask; ; slot = (slot + 1) & mask) {
      const offset = (slots[slot] ?? 0) - 1;
      if (offset === -1 || isSameKey(bytes, offset, key.subarray(from, to))) return slot;
    }
  }

  function valueAt(from: number): string {
    const { end } = nextLogicalLine(bytes, from);
    return joinValue(bytes.toString('utf8', valueStart(bytes, from, keepsColon), end));
  }

  /** Where the entry of an ASCII key is. */
  function plainPlace(key: string): number | undefined {
    if (key.length > maxKeyBytes || !/^[\0-\x7f]*$/.test(key)) return undefined;
    const offset = (slots[slotOf(wanted, 0, wanted.write(key, 'latin1'))] ?? 0) - 1;
    return offset === -1 ? undefined : offset;
  }

  function addAgain(before: number, from: number): void {
    if (valueAt(before) !== valueAt(from)) ambiguous.add(before);
  }

  function noteHome({ from, end, line }: MapLine): void {
    const { isHome } = rules;
    if (isHome === undefined) return;
    const text = bytes.toString('latin1', valueStart(bytes, from, keepsColon), end);
    if (homes.has(text)) return;
    const value = valueAt(from);
    if (!isHome(value)) homeless = { line, value, ...homeless, entries: (homeless?.entries ?? 0) + 1 };
    else if (homes.size < maxHomes) homes.add(text);
  }

  function addOddKey(from: number, to: number): string | undefined {
    const key = bytes.toString('utf8', from, to);
    const folded = rules.foldKey(key);
    if (folded === undefined) return `${JSON.stringify(key)} cannot be a user, @domain or *`;
    const before = oddKeys.get(folded);
    if (before !== undefined) addAgain(before, from);
    else oddKeys.set(folded, from);
    return undefined;
  }

  return {
    get entries() {
      return entries;
    },
    get catchAll() {
      return catchAll;
    },
    get misplaced() {
      return misplaced;
    },
    get homeless() {
      return homeless;
    },
    add(entry) {
      const { from, line, goesOn } = entry;
      const to = keyEnd(bytes, from);
      if (to === from) return 'there is no key before the colon';
      if (to - from > maxKeyBytes) return `the key is longer than ${maxKeyBytes} bytes`;
      if (!hasValue(bytes[valueStart(bytes, from, keepsColon)]) && valueAt(from) === '')
        return 'there is a key without a value';
      if (goesOn && !rules.isValue(valueAt(from))) return 'goes on over several lines, and is no value so';
      entries += 1;
      noteHome(entry);
      if (catchAll === undefined && (bytes[from] === atSign || bytes[from] === asterisk)) {
        if (rules.isCatchAll?.(valueAt(from)) === true) catchAll = bytes.toString('utf8', from, to);
      }
      if (misplaced === undefined && strangeStarts.has(bytes[from] ?? 0)) {
        const why = whyMisplaced(bytes.toString('utf8', from, to));
        if (why !== undefined) misplaced = `${line}: ${why}`;
      }
      if (bytes.subarray(from, to).some((byte) => byte > 127)) return addOddKey(from, to);
      const slot = slotOf(bytes, from, to);
      const before = (slots[slot] ?? 0) - 1;
      if (before === -1) slots[slot] = from + 1;
      else addAgain(before, from);
      return undefined;
    },
    get(key) {
      const plain = plainPlace(key);
      // A folded key may be ASCII: a domain that stands there in its own letters.
      const odd = oddKeys.get(key);
      const place = plain ?? odd;
      if (place === undefined) return undefined;
      const value = valueAt(place);
      const isAmbiguous = ambiguous.has(place) || (odd !== undefined && (ambiguous.has(odd) || valueAt(odd) !== value));
      return isAmbiguous ? { kind: 'ambiguous' } : { kind: 'value', value };
    },
  };
}

/** With what patterns, networks, quoted keys and foreign comments begin. */
const strangeStarts: ReadonlySet<number> = new Set(Buffer.from('/!["{;0123456789'));

/** Why a key of a Postfix table is never met by the name of a user; undefined for others. */
function whyMisplaced(key: string): string | undefined {
  if (/^(?:\/\/|;)/.test(key)) return 'comments begin with #';
  if (/^!?\//.test(key)) return 'a pattern is no name, and meets none here: write type: regex';
  if (/^\[|^\d{1,3}(?:\.\d{1,3}){3}(?:\/\d+)?$/.test(key))
    return 'an address or network is no name: this is a table of clients (cidr_table(5), access(5)), not of users';
  return /^\{?"/.test(key) ? 'a key in quotes is met by no name: write it without' : undefined;
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
  return !isLineEnd(first) && first !== hash;
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === undefined || byte === newline || byte === carriageReturn;
}

function isSameKey(bytes: Buffer, offset: number, key: Buffer): boolean {
  for (let at = 0; at < key.length; at += 1) if (fold(bytes[offset + at]) !== fold(key[at])) return false;
  const next = bytes[offset + key.length];
  return isBlank(next) || isLineEnd(next) || next === colon;
}

/** FNV-1a over the ASCII lower case of the bytes. */
function hashOf(bytes: Buffer, from: number, to: number): number {
  let sum = 0x811c9dc5;
  for (let at = from; at < to; at += 1) sum = Math.imul(sum ^ fold(bytes[at]), 0x01000193);
  return (sum ^ (sum >>> 15)) >>> 0;
}

function fold(byte: number | undefined): number {
  if (byte === undefined) return -1;
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
