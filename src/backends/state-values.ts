import { isObject, parseJson } from '../core/objects.ts';
import type { ParseValue } from '../core/state-store.ts';

/** States that operators may set. Only checks find DOWN. */
export const operatorStates = ['READY', 'DRAIN', 'MAINT'] as const;

/** A state that an operator can set. */
export type OperatorState = (typeof operatorStates)[number];

/** A state that an operator gave a backend or a host. */
export interface SetState {
  readonly state: OperatorState;
  /** For DRAIN: percentage of users who are not taken; all of them if undefined. */
  readonly percent?: number;
  readonly reason: string;
  readonly by: string;
  readonly sinceMs: number;
  /** When it is expected to end. It does not end by itself. */
  readonly untilMs?: number;
  /** Texts for affected users, by language tag. */
  readonly texts: Readonly<Record<string, string>>;
}

/** The host that serves, of a backend whose primary has standbys. */
export interface ActiveHost {
  readonly host: string;
  readonly by: string;
  readonly reason: string;
  readonly sinceMs: number;
  /** The host that served before. */
  readonly from: string;
}

/** An operator's home for one user, before the directory's. */
export interface Override {
  readonly backend: string;
  readonly reason: string;
  readonly by: string;
  readonly sinceMs: number;
}

/** A lock of a user, a domain or a network: every way in refuses whom it covers until it is lifted. */
export interface Lock {
  /** For operators. Those who are refused read `texts`. */
  readonly reason: string;
  readonly by: string;
  readonly sinceMs: number;
  /** When it lifts itself; undefined if somebody has to lift it. */
  readonly untilMs?: number;
  /** What those who are refused read, by language tag; the page has a text of its own without. */
  readonly texts: Readonly<Record<string, string>>;
}

/** A new home of a user who had sessions elsewhere when the directory changed. */
export interface FoundHome {
  readonly backend: string;
  readonly from: string;
  readonly sinceMs: number;
  /** Set if a node saw that `from` served nobody. */
  readonly fled?: true;
}

/** Sessions that a node held on each host, with the time of the count. */
export interface NodeLoad {
  readonly atMs: number;
  readonly perHost: Readonly<Record<string, number>>;
}

/**
 * The phases of a move, in order. `waiting`: until the user next signs in. `before` and `after`: a hook program runs.
 * `switched`: the user lives on the new backend. Only `waiting`, `done`, `failed` and `stopped` last.
 */
export const movePhases = ['waiting', 'before', 'switched', 'after', 'done', 'failed', 'stopped'] as const;

/** A phase of a move. */
export type MovePhase = (typeof movePhases)[number];

/** A user's move with its last phase, so that it can be explained after a crash. */
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
  /** Why it failed, and where the user lives now. */
  readonly why?: string;
}

/** Reads a stored operator state; undefined if the text has another form. */
export const parseSetState: ParseValue<SetState> = (text) => parseAs(text, isSetState);

/** Reads a stored active host; undefined if the text has another form. */
export const parseActiveHost: ParseValue<ActiveHost> = (text) => parseAs(text, isActiveHost);

/** Reads a stored override; undefined if the text has another form. */
export const parseOverride: ParseValue<Override> = (text) => parseAs(text, isOverride);

/** Reads a stored lock; undefined if the text has another form. */
export const parseLock: ParseValue<Lock> = (text) => parseAs(text, isLock);

/** Reads a stored home from the directory; undefined if the text has another form. */
export const parseFoundHome: ParseValue<FoundHome> = (text) => parseAs(text, isFoundHome);

/** Reads a stored load of a computed directory; undefined if the text has another form. */
export const parseNodeLoad: ParseValue<NodeLoad> = (text) => parseAs(text, isNodeLoad);

/** An order to all nodes to read their configuration again. */
export interface ReloadOrder {
  readonly id: string;
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
  /** The nodes that were there when it was given. */
  readonly nodes: readonly string[];
}

/** Reads a stored order to reload; undefined if the text has another form. */
export const parseReloadOrder: ParseValue<ReloadOrder> = (text) => parseAs(text, isReloadOrder);

/** Reads when all nodes were told to forget; undefined if the text is not a time. */
export const parseForgotten: ParseValue<number> = (text) => {
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : atMs;
};

/** Reads a stored move; undefined if the text has another form. */
export const parseMove: ParseValue<Move> = (text) => parseAs(text, isMove);

function parseAs<T>(text: string, is: (value: unknown) => value is T): T | undefined {
  const value = parseJson(text);
  return is(value) ? value : undefined;
}

function hasTexts(value: Readonly<Record<string, unknown>>, ...names: readonly string[]): boolean {
  return names.every((name) => typeof value[name] === 'string');
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isSetState(value: unknown): value is SetState {
  if (!isObject(value) || !hasTexts(value, 'reason', 'by')) return false;
  const { state, percent } = value;
  return (
    operatorStates.some((known) => known === state) &&
    (percent === undefined || typeof percent === 'number') &&
    hasTimesAndWords(value)
  );
}

function isLock(value: unknown): value is Lock {
  return isObject(value) && hasTexts(value, 'reason', 'by') && hasTimesAndWords(value);
}

/** Whether `sinceMs`, perhaps `untilMs`, and `texts` by language are as they should be. */
function hasTimesAndWords({ sinceMs, untilMs, texts }: Readonly<Record<string, unknown>>): boolean {
  return (
    isTime(sinceMs) &&
    (untilMs === undefined || isTime(untilMs)) &&
    isObject(texts) &&
    hasTexts(texts, ...Object.keys(texts))
  );
}

function isReloadOrder(value: unknown): value is ReloadOrder {
  if (!isObject(value) || !hasTexts(value, 'id', 'by', 'reason') || !isTime(value['atMs'])) return false;
  const { nodes } = value;
  return Array.isArray(nodes) && nodes.every((name) => typeof name === 'string');
}

function isActiveHost(value: unknown): value is ActiveHost {
  return isObject(value) && hasTexts(value, 'host', 'by', 'reason', 'from') && isTime(value['sinceMs']);
}

function isOverride(value: unknown): value is Override {
  return isObject(value) && hasTexts(value, 'backend', 'reason', 'by') && isTime(value['sinceMs']);
}

function isFoundHome(value: unknown): value is FoundHome {
  if (!isObject(value) || !hasTexts(value, 'backend', 'from')) return false;
  return isTime(value['sinceMs']) && (value['fled'] === undefined || value['fled'] === true);
}

function isNodeLoad(value: unknown): value is NodeLoad {
  if (!isObject(value) || !isTime(value['atMs']) || !isObject(value['perHost'])) return false;
  return Object.values(value['perHost']).every((count) => Number.isSafeInteger(count));
}

function isMove(value: unknown): value is Move {
  if (!isObject(value) || !hasTexts(value, 'from', 'to', 'reason', 'by', 'node')) return false;
  const { phase, startedAtMs, phaseAtMs, why } = value;
  return (
    movePhases.some((known) => known === phase) &&
    isTime(startedAtMs) &&
    isTime(phaseAtMs) &&
    (why === undefined || typeof why === 'string')
  );
}
