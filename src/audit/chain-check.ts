import type { Anchor } from './anchors.ts';
import type { WrittenLine } from './line.ts';

/** The text of a finding about a line whose key is not in the keys file. */
export const unknownKeyFinding = 'is signed under a key that the keys file does not have';

/** Follows one chain through the files and finds the first thing wrong with it. */
export interface ChainCheck {
  readonly chain: string;
  /** Takes the next genuine line of this chain in the order of the files; `order` counts over all texts. */
  take(line: WrittenLine, place: FilePlace, order: number): void;
  /** Removes from `strays` the first text that fits and stands where a line of this chain is missing. */
  explain(strays: Stray[], fits: (stray: Stray) => boolean): void;
  /** Returns the first finding; undefined if the chain is intact. */
  finding(): OrderedFinding | undefined;
  /** Returns remarks that do not point to tampering. */
  notes(): readonly string[];
}

/** Missing lines, between two lines of the chain or after the last one. */
interface Gap {
  readonly from: number;
  readonly to: number;
  readonly afterOrder: number;
  readonly beforeOrder: number;
  /** The place of the line after the gap; undefined at the end of the chain. */
  readonly place: FilePlace | undefined;
  cameLater: boolean;
  replacement: Stray | undefined;
}

/**
 * Makes the check of one chain. It expects the chain's first line, or if older files were removed on purpose, takes the
 * first line that is there for the first.
 */
export function createChainCheck(chain: string, anchor: Anchor | undefined, olderRemoved: boolean): ChainCheck {
  let next = 1;
  let lastMac: string | undefined;
  let lastOrder = 0;
  let lastPlace: FilePlace | undefined;
  let gap: Gap | undefined;
  let other: OrderedFinding | undefined;
  let beginsAt = 1;

  function note(order: number, finding: Omit<Finding, 'chain'>): void {
    other ??= { order, finding: { chain, ...finding } };
  }

  function open(from: number, to: number, beforeOrder: number, place: FilePlace | undefined): void {
    gap ??= { from, to, afterOrder: lastOrder, beforeOrder, place, cameLater: false, replacement: undefined };
  }

  /** Call it after the last line: only then does a gap at the end show. */
  function closed(): Gap | undefined {
    if (anchor !== undefined && anchor.sequence >= next) {
      open(next, anchor.sequence, Number.POSITIVE_INFINITY, undefined);
    }
    return gap;
  }

  return {
    chain,
    take({ said: { sequence }, previous, mac }, place, order) {
      if (sequence < next) {
        if (gap !== undefined && sequence >= gap.from && sequence <= gap.to) gap.cameLater = true;
        else note(order, { damage: 'appended', sequence, place, explanation: 'is a copy of a line before it' });
        return;
      }
      const isFirst = lastPlace === undefined;
      if (isFirst && olderRemoved && sequence > 1) beginsAt = sequence;
      else if (sequence > next) open(next, sequence - 1, order, place);
      else if (previous !== lastMac) {
        note(order, { damage: 'edited', sequence, place, explanation: 'does not follow the line before it' });
      }
      if (sequence === anchor?.sequence && mac !== anchor.mac) {
        note(order, {
          damage: 'edited',
          sequence,
          place,
          explanation: 'is not the line that was anchored',
        });
      }
      next = sequence + 1;
      lastMac = mac;
      lastOrder = order;
      lastPlace = place;
    },
    explain(strays, fits) {
      const open = closed();
      if (open === undefined || open.cameLater || open.replacement !== undefined) return;
      const index = strays.findIndex(
        (stray) => stray.order > open.afterOrder && stray.order < open.beforeOrder && fits(stray),
      );
      if (index !== -1) [open.replacement] = strays.splice(index, 1);
    },
    finding() {
      const missing = closed();
      if (missing === undefined || (other !== undefined && other.order < missing.beforeOrder)) return other;
      const order = missing.replacement?.order ?? missing.beforeOrder;
      return { order, finding: { chain, ...describeGap(missing, lastPlace) } };
    },
    notes() {
      const notes: string[] = [];
      if (beginsAt > 1)
        notes.push(`chain ${chain} begins at line ${beginsAt}: earlier lines were in files that have been removed`);
      if (anchor === undefined)
        notes.push(`chain ${chain} has no anchor in the store: nothing shows whether its end is missing`);
      return notes;
    },
  };
}

function describeGap(gap: Gap, last: FilePlace | undefined): Omit<Finding, 'chain'> {
  const { from, to, replacement, place } = gap;
  const missing = from === to ? `line ${from}` : `lines ${from} to ${to}`;
  if (place !== undefined && gap.cameLater) {
    const explanation = `stands before ${missing} of its chain`;
    return { damage: 'reordered', sequence: to + 1, place, explanation };
  }
  if (replacement !== undefined) {
    const kind =
      replacement.why === 'unknown-key'
        ? ({ damage: replacement.why, explanation: unknownKeyFinding } as const)
        : ({ damage: 'edited', explanation: 'differs from what was written' } as const);
    return { ...kind, sequence: from, place: replacement.place };
  }
  if (place !== undefined) {
    return { damage: 'deleted', sequence: from, place, explanation: `should follow ${missing}, which is missing` };
  }
  if (last === undefined) return { damage: 'truncated', sequence: 1, explanation: `all lines up to ${to} are missing` };
  return { damage: 'truncated', sequence: from, place: last, explanation: `was followed by ${missing}` };
}

/** The place of a line. */
interface FilePlace {
  readonly file: string;
  /** Line number in the file, from 1. */
  readonly number: number;
}

/** A line of a file as text, without its line end. */
export interface PlacedText extends FilePlace {
  readonly text: string;
}

/**
 * The kind of tampering or loss that a check found. `unknown-key`: the key of the line is gone, or somebody made it up.
 * `reordered`: an earlier line stands after a later one. `appended`: a line by somebody without the key, or a copy.
 */
type Damage = 'edited' | 'deleted' | 'reordered' | 'truncated' | 'appended' | 'unknown-key';

/**
 * The first bad line of a chain, or of the texts that belong to none. `place` is undefined if a whole chain is gone.
 */
export interface Finding {
  readonly damage: Damage;
  readonly chain?: string;
  /** Number of the line in its chain. */
  readonly sequence?: number;
  readonly place?: FilePlace;
  readonly explanation: string;
}

/** A finding with its position among the texts of all files, counted from the oldest. */
export interface OrderedFinding {
  readonly order: number;
  readonly finding: Finding;
}

/** A text that is not a genuine line; its own claims cannot be trusted. */
export interface Stray {
  readonly order: number;
  readonly place: FilePlace;
  readonly chain: string | undefined;
  readonly why: 'false' | 'unknown-key' | 'torn';
}
