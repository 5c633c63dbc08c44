/** Runs a Lua script on a Redis. Rejects with ERR_STORE_UNAVAILABLE if there is no good answer in time. */
export type RunScript = (script: string, keys: readonly string[], args: readonly string[]) => Promise<unknown>;

/**
 * The kinds of things that operators, staff and nodes decide, each with keys of its own. `forgotten`: users whose
 * remembered homes all nodes drop when the entry changes; `staff`: second factors; `links`, `opened`, `notices`: of
 * mailboxes that staff open; `audit`: the last line of each chain; `homes`: of users whose answer of the directory
 * changed while they had sessions; `loads`: how many sessions each node holds, where a directory balances by them;
 * `probe`: of nodes that try at their start whether they may write.
 */
export const stateTables = [
  'states',
  'active',
  'overrides',
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
  'probe',
] as const;

/** The name of a table of the state store. */
export type StateTable = (typeof stateTables)[number];

/** One entry of the shared state. `value` is a text whose form its reader knows; undefined once it was removed. */
export interface StateEntry {
  readonly table: StateTable;
  readonly key: string;
  readonly value: string | undefined;
  /** The version of the last change, greater than that of every earlier change of any entry. */
  readonly version: number;
}

/** Changes after a cursor, in their order. */
interface StateChanges {
  /** Where to go on from. */
  readonly cursor: number;
  /**
   * The store knows less than the cursor says, since it lost what it had: forget everything, `entries` is all there is.
   */
  readonly reset: boolean;
  readonly entries: readonly StateEntry[];
}

/**
 * Where lives what all nodes must agree on and no restart may forget: states of backends, which host is active,
 * overrides, moves. Nodes ask for changes since a cursor, so that nobody can miss one.
 *
 * Every call rejects with a PosternError of source `store` (ERR_STORE_UNAVAILABLE) when the store cannot be asked.
 */
export interface StateStore extends AsyncDisposable {
  /** 0 asks for everything. */
  changesSince(cursor: number): Promise<StateChanges>;
  /**
   * Writes an entry, or removes it where there is no value. With `expected`, only if the entry has that version;
   * 0 stands for one that does not exist.
   */
  put(table: StateTable, key: string, value: string | undefined, expected?: number): Promise<'written' | 'conflict'>;
}

/** Reads a stored text; undefined for a text of another form, such as one of another version. */
export type ParseValue<T> = (text: string) => T | undefined;

/**
 * One table as this node knows it: `get` and `all` answer from memory, changes go to the store and come back from it.
 */
export interface ReplicatedTable<T> {
  get(key: string): T | undefined;
  all(): ReadonlyMap<string, T>;
  /** Whatever the entry was before. */
  set(key: string, value: T): Promise<void>;
  remove(key: string): Promise<void>;
  /** Removes an entry and answers what it was: to one caller on one node, and nothing to all others. */
  take(key: string): Promise<T | undefined>;
  /**
   * Reads what others wrote, then writes only if nobody changed the entry meanwhile. `make` gets what is known then,
   * and may say no by returning nothing.
   */
  change(key: string, make: (before: T | undefined) => T | undefined): Promise<'written' | 'refused' | 'conflict'>;
}
