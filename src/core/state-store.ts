/** Runs a Lua script on a Redis. Rejects with ERR_STORE_UNAVAILABLE if there is no good answer in time. */
export type RunScript = (script: string, keys: readonly string[], args: readonly string[]) => Promise<unknown>;

/**
 * The tables of the state store, each with its own keys. `forgotten`: users whose remembered homes all nodes drop when
 * the entry changes. `staff`: second factors. `links`, `opened`, `notices`: mailboxes that staff open. `audit`: the
 * last line of each chain. `locks`: users, domains and networks that every way in refuses. `homes`: users whose home changed in the directory while they had sessions. `loads`: session
 * counts of each node, for a directory that balances by them. `reloads`: the last order to all nodes to reload. `probe`:
 * entries by which a node tries at its start whether it may write.
 */
export const stateTables = [
  'states',
  'active',
  'overrides',
  'locks',
  'homes',
  'moves',
  'batches',
  'forgotten',
  'loads',
  'staff',
  'links',
  'opened',
  'notices',
  'audit',
  'reloads',
  'probe',
] as const;

/** The name of a table of the state store. */
export type StateTable = (typeof stateTables)[number];

/** One entry of the shared state. `value` is a text whose format its reader knows; undefined once it was removed. */
export interface StateEntry {
  readonly table: StateTable;
  readonly key: string;
  readonly value: string | undefined;
  /** The version of the last change, greater than that of every earlier change of any entry. */
  readonly version: number;
}

/** Changes after a cursor, in order. */
interface StateChanges {
  /** The cursor for the next call. */
  readonly cursor: number;
  /** True if the store is behind the cursor because it lost its data: forget everything, `entries` is all there is. */
  readonly reset: boolean;
  readonly entries: readonly StateEntry[];
}

/**
 * Stores what all nodes must agree on and no restart may lose: states of backends, active hosts, overrides, moves.
 * Nodes ask for changes since a cursor, so that none is missed.
 *
 * Every call rejects with a PosternError of source `store` (ERR_STORE_UNAVAILABLE) if the store cannot be asked.
 */
export interface StateStore extends AsyncDisposable {
  /** Returns the changes after a cursor; everything for 0. */
  changesSince(cursor: number): Promise<StateChanges>;
  /**
   * Writes an entry, or removes it if `value` is undefined. With `expected`, only if the entry has that version; 0
   * means that there is no such entry.
   */
  put(table: StateTable, key: string, value: string | undefined, expected?: number): Promise<'written' | 'conflict'>;
}

/** Parses a stored text; undefined if it has another format, such as that of another version. */
export type ParseValue<T> = (text: string) => T | undefined;

/**
 * This node's replica of one table. `get` and `all` answer from memory; changes go to the store and come back from it.
 */
export interface ReplicatedTable<T> {
  get(key: string): T | undefined;
  all(): ReadonlyMap<string, T>;
  /** Writes an entry, whatever it was before. */
  set(key: string, value: T): Promise<void>;
  remove(key: string): Promise<void>;
  /**
   * Removes an entry and returns it to one caller on one node; all others get undefined. With `only`, it stays unless
   * that holds for it as it is then.
   */
  take(key: string, only?: (value: T) => boolean): Promise<T | undefined>;
  /**
   * Reads what others wrote, then writes the result of `make` unless somebody changed the entry meanwhile. `make` gets
   * the entry as it is then, and returns undefined to refuse the change.
   */
  change(key: string, make: (before: T | undefined) => T | undefined): Promise<'written' | 'refused' | 'conflict'>;
}
