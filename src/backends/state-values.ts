import type { ParseValue } from '../core/state-store.ts';

/** States that operators may set. DOWN is found by checks and never set. */
export const operatorStates = ['READY', 'DRAIN', 'MAINT'] as const;

/** A state that an operator can set. */
export type OperatorState = (typeof operatorStates)[number];

/** A state that an operator gave to a backend or to one host. */
export interface SetState {
  readonly state: OperatorState;
  /** For DRAIN: the share of users who are not taken; all of them if undefined. */
  readonly percent?: number;
  readonly reason: string;
  readonly by: string;
  readonly sinceMs: number;
  /** When it is expected to end; nothing ends by itself. */
  readonly untilMs?: number;
  /** Texts for affected users, by language tag. */
  readonly texts: Readonly<Record<string, string>>;
}

/** Which host of a backend serves, where a primary has standbys. */
export interface ActiveHost {
  readonly host: string;
  readonly by: string;
  readonly reason: string;
  readonly sinceMs: number;
  /** The host that it was taken over from. */
  readonly from: string;
}

/** On which backend a user lives, whatever the directory says. */
export interface Override {
  readonly backend: string;
  readonly reason: string;
  readonly by: string;
  readonly sinceMs: number;
}

/** Where the directory has come to say that a user lives, who had sessions elsewhere then. */
export interface FoundHome {
  readonly backend: string;
  readonly from: string;
  readonly sinceMs: number;
  /** Because a node saw nobody served on `from`. */
  readonly fled?: true;
}

/** How many sessions a node held on each host, and when. */
export interface RingLoad {
  readonly atMs: number;
  readonly perHost: Readonly<Record<string, number>>;
}

/**
 * The steps of a move, in their order. `waiting`: until the user next signs in. `before` and `after`: a hook program
 * runs. `switched`: the user lives on the new backend. Only `waiting`, `done`, `failed` and `stopped` may stand for
 * long.
 */
const movePhases = ['waiting', 'before', 'switched', 'after', 'done', 'failed', 'stopped'] as const;

/** A step of a move. */
export type MovePhase = (typeof movePhases)[number];

/** A user's move: its last step stays here, so that it can be explained after a crash. */
export interface Move {
  readonly from: string;
  readonly to: string;
  readonly phase: MovePhase;
  readonly reason: string;
  readonly by: string;
  /** The node that carries it out. */
  readonly node: string;
  readonly startedAtMs: number;
  readonly phaseAtMs: number;
  /** Why it failed, and what is the case now. */
  readonly why?: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a stored operator state; undefined if the text has another form. */
export const parseSetState: ParseValue<SetState> = (text) => guarded(text, isSetState);

/** Reads a stored active host; undefined if the text has another form. */
export const parseActiveHost: ParseValue<ActiveHost> = (text) => guarded(text, isActiveHost);

/** Reads a stored override; undefined if the text has another form. */
export const parseOverride: ParseValue<Override> = (text) => guarded(text, isOverride);

/** Reads a stored home from the directory; undefined if the text has another form. */
export const parseFoundHome: ParseValue<FoundHome> = (text) => guarded(text, isFoundHome);

/** Reads a stored load of a computed directory; undefined if the text has another form. */
export const parseRingLoad: ParseValue<RingLoad> = (text) => guarded(text, isRingLoad);
/** When all nodes were told to forget. */
export const parseForgotten: ParseValue<number> = (text) => {
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : atMs;
};

/** Reads a stored move; undefined if the text has another form. */
export const parseMove: ParseValue<Move> = (text) => guarded(text, isMove);

function guarded<T>(text: string, is: (value: unknown) => value is T): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return is(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasTexts(value: Fields, ...names: readonly string[]): boolean {
  return names.every((name) => typeof value[name] === 'string');
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isSetState(value: unknown): value is SetState {
  if (!isFields(value) || !hasTexts(value, 'reason', 'by')) return false;
  const { state, percent, sinceMs, untilMs, texts } = value;
  return (
    operatorStates.some((known) => known === state) &&
    (percent === undefined || typeof percent === 'number') &&
    isTime(sinceMs) &&
    (untilMs === undefined || isTime(untilMs)) &&
    isFields(texts) &&
    hasTexts(texts, ...Object.keys(texts))
  );
}

function isActiveHost(value: unknown): value is ActiveHost {
  return isFields(value) && hasTexts(value, 'host', 'by', 'reason', 'from') && isTime(value['sinceMs']);
}

function isOverride(value: unknown): value is Override {
  return isFields(value) && hasTexts(value, 'backend', 'reason', 'by') && isTime(value['sinceMs']);
}

function isFoundHome(value: unknown): value is FoundHome {
  if (!isFields(value) || !hasTexts(value, 'backend', 'from')) return false;
  return isTime(value['sinceMs']) && (value['fled'] === undefined || value['fled'] === true);
}

function isRingLoad(value: unknown): value is RingLoad {
  if (!isFields(value) || !isTime(value['atMs']) || !isFields(value['perHost'])) return false;
  return Object.values(value['perHost']).every((count) => Number.isSafeInteger(count));
}

function isMove(value: unknown): value is Move {
  if (!isFields(value) || !hasTexts(value, 'from', 'to', 'reason', 'by', 'node')) return false;
  const { phase, startedAtMs, phaseAtMs, why } = value;
  return (
    movePhases.some((known) => known === phase) &&
    isTime(startedAtMs) &&
    isTime(phaseAtMs) &&
    (why === undefined || typeof why === 'string')
  );
}
