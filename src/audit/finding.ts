/** Where to look. */
export interface Place {
  readonly file: string;
  /** Of the text in the file, from 1. */
  readonly number: number;
}

/** A text of a file, without its end. */
export interface PlacedText extends Place {
  readonly text: string;
}

/**
 * What was done to an audit. `unknown-key`: its key is gone, or whoever appended it made one up. `reordered`: an
 * earlier line stands behind a later one. `appended`: by somebody without the key, or a copy.
 */
type Damage = 'edited' | 'deleted' | 'reordered' | 'truncated' | 'appended' | 'unknown-key';

/** The first bad line of a chain, or of texts that belong to none. No place: a whole chain is gone. */
export interface Finding {
  readonly damage: Damage;
  readonly chain?: string;
  /** Which line of the chain. */
  readonly sequence?: number;
  readonly place?: Place;
  readonly explanation: string;
}

/** A finding among the texts of all files, counted from the oldest one. */
export interface OrderedFinding {
  readonly order: number;
  readonly finding: Finding;
}

/** A text that is no genuine line: what it says of itself is not to be believed. */
export interface Stray {
  readonly order: number;
  readonly place: Place;
  readonly chain: string | undefined;
  readonly why: 'false' | 'unknown-key' | 'torn';
}
