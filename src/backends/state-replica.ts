import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { ReplicatedTable, ParseValue, StateEntry, StateStore, StateTable } from '../core/state-store.ts';
import {
  type ActiveHost,
  type FoundHome,
  type Lock,
  type Move,
  type Override,
  parseActiveHost,
  parseFoundHome,
  parseLock,
  parseMove,
  parseOverride,
  parseSetState,
  type SetState,
} from './state-values.ts';

/** This node's replica of the state that all nodes share. */
export interface StateReplica extends AsyncDisposable {
  /** Operator states, keyed `backend:NAME` or `host:NAME`. */
  readonly states: ReplicatedTable<SetState>;
  readonly active: ReplicatedTable<ActiveHost>;
  readonly overrides: ReplicatedTable<Override>;
  /** Locks, keyed `user:NAME`, `domain:NAME` or `network:CIDR`. */
  readonly locks: ReplicatedTable<Lock>;
  /** New homes of users whose directory answer changed while they had sessions. */
  readonly homes: ReplicatedTable<FoundHome>;
  readonly moves: ReplicatedTable<Move>;
  /** Adds a further table, for its only user. Call it before `open`. */
  table<T>(name: StateTable, parse: ParseValue<T>): ReplicatedTable<T>;
  /** Reads the state, then polls for changes. Resolves even if the store is away. */
  open(): Promise<void>;
  /** Whether the store answered the last poll. */
  isFollowed(): boolean;
  /** The version of the last change that was read; undefined before the store has answered for the first time. */
  version(): number | undefined;
  /** Reads changes now. Rejects if the store cannot be asked. */
  refresh(): Promise<void>;
  /** Calls `listener` after each change of any table, until the returned function is called. */
  watch(listener: (changed: readonly StateEntry[]) => void): () => void;
}

interface StateReplicaOptions {
  readonly store: StateStore;
  readonly log: Log;
  /** Milliseconds between polls for changes by other nodes. */
  readonly pollMs?: number;
}

/** Two polls a second keep every node within a second of every other. */
const pollDefaultMs = 500;

/** Makes a replica that follows the store's changes. While the store is away the replica keeps its state. */
export function createStateReplica(deps: StateReplicaOptions): StateReplica {
  return new StoreReplica(deps);
}

class StoreReplica implements StateReplica {
  readonly #deps: StateReplicaOptions;
  readonly #listeners = new Set<(changed: readonly StateEntry[]) => void>();
  readonly #tables: Pick<Table<unknown>, 'forget' | 'adopt'>[] = [];
  readonly states: ReplicatedTable<SetState>;
  readonly active: ReplicatedTable<ActiveHost>;
  readonly overrides: ReplicatedTable<Override>;
  readonly locks: ReplicatedTable<Lock>;
  readonly homes: ReplicatedTable<FoundHome>;
  readonly moves: ReplicatedTable<Move>;
  #cursor = 0;
  #hasRead = false;
  #away = false;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #following: Promise<void> | undefined;

  constructor(deps: StateReplicaOptions) {
    this.#deps = deps;
    this.states = this.table('states', parseSetState);
    this.active = this.table('active', parseActiveHost);
    this.overrides = this.table('overrides', parseOverride);
    this.locks = this.table('locks', parseLock);
    this.homes = this.table('homes', parseFoundHome);
    this.moves = this.table('moves', parseMove);
  }

  table<T>(name: StateTable, parse: ParseValue<T>): ReplicatedTable<T> {
    const table = new Table(name, parse, this.#deps.store, () => this.refresh());
    this.#tables.push(table);
    return table;
  }

  async open(): Promise<void> {
    await this.#poll();
    this.#pollLater();
  }

  /** Runs one read at a time. Callers during a read share the next one, which sees what the first may have missed. */
  refresh(): Promise<void> {
    if (this.#reading === undefined) return this.#begin();
    this.#following ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#following = undefined;
        // Another read may have begun meanwhile, after all of these callers had come.
        return this.#reading ?? this.#begin();
      });
    return this.#following;
  }

  isFollowed(): boolean {
    return !this.#away;
  }

  version(): number | undefined {
    return this.#hasRead ? this.#cursor : undefined;
  }

  watch(listener: (changed: readonly StateEntry[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#listeners.clear();
    await this.#reading?.catch(() => {});
    await this.#deps.store[Symbol.asyncDispose]();
  }

  async #read(): Promise<void> {
    const changes = await this.#deps.store.changesSince(this.#cursor);
    if (changes.reset) {
      this.#deps.log.error('state-lost', { cursor: this.#cursor, found: changes.cursor });
      for (const table of this.#tables) table.forget();
    }
    this.#cursor = changes.cursor;
    this.#hasRead = true;
    for (const entry of changes.entries) for (const table of this.#tables) table.adopt(entry);
    if (changes.reset || changes.entries.length > 0) for (const listener of this.#listeners) listener(changes.entries);
  }

  #begin(): Promise<void> {
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #poll(): Promise<void> {
    try {
      await this.refresh();
      if (this.#away) this.#deps.log.info('state-store-up');
      this.#away = false;
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      if (!this.#away) this.#deps.log.warn('state-store-down', { err: error });
      this.#away = true;
    }
  }

  #pollLater(): void {
    this.#timer = setTimeout(
      () => void this.#poll().finally(() => this.#timer && this.#pollLater()),
      this.#deps.pollMs ?? pollDefaultMs,
    ).unref();
  }
}

/** One table of the replica. */
class Table<T> implements ReplicatedTable<T> {
  readonly #name: StateTable;
  readonly #parse: ParseValue<T>;
  readonly #store: Pick<StateStore, 'put'>;
  readonly #refresh: () => Promise<void>;
  readonly #values = new Map<string, T>();
  readonly #versions = new Map<string, number>();

  constructor(name: StateTable, parse: ParseValue<T>, store: Pick<StateStore, 'put'>, refresh: () => Promise<void>) {
    this.#name = name;
    this.#parse = parse;
    this.#store = store;
    this.#refresh = refresh;
  }

  /** Forgets all entries, because the store has lost them. */
  forget(): void {
    this.#values.clear();
    this.#versions.clear();
  }

  /** Applies an entry that was read from the store, if it belongs to this table. */
  adopt(entry: StateEntry): void {
    if (entry.table !== this.#name) return;
    const value = entry.value === undefined ? undefined : this.#parse(entry.value);
    if (value === undefined) this.#values.delete(entry.key);
    else this.#values.set(entry.key, value);
    if (entry.value === undefined) this.#versions.delete(entry.key);
    else this.#versions.set(entry.key, entry.version);
  }

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  all(): ReadonlyMap<string, T> {
    return this.#values;
  }

  async set(key: string, value: T): Promise<void> {
    await this.#put(key, value);
  }

  async remove(key: string): Promise<void> {
    await this.#put(key, undefined);
  }

  async take(key: string, only: (value: T) => boolean = () => true): Promise<T | undefined> {
    await this.#refresh();
    const [before, version] = [this.#values.get(key), this.#versions.get(key)];
    if (before === undefined || version === undefined || !only(before)) return undefined;
    return (await this.#put(key, undefined, version)) === 'written' ? before : undefined;
  }

  async change(
    key: string,
    make: (before: T | undefined) => T | undefined,
  ): Promise<'written' | 'conflict' | 'refused'> {
    // The decision must include what another node wrote a moment ago.
    await this.#refresh();
    const after = make(this.#values.get(key));
    return after === undefined ? 'refused' : this.#put(key, after, this.#versions.get(key) ?? 0);
  }

  async #put(key: string, value: T | undefined, expected?: number) {
    const text = value === undefined ? undefined : JSON.stringify(value);
    const outcome = await this.#store.put(this.#name, key, text, expected);
    await this.#refresh();
    return outcome;
  }
}
