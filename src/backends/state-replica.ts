import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { ReplicatedTable, ParseValue, StateEntry, StateStore, StateTable } from '../core/state-store.ts';
import {
  type ActiveHost,
  type FoundHome,
  type Move,
  type Override,
  parseActiveHost,
  parseFoundHome,
  parseMove,
  parseOverride,
  parseSetState,
  type SetState,
} from './state-values.ts';

/** This node's copy of the state that all nodes share. */
export interface StateReplica extends AsyncDisposable {
  /** Operator states, keyed `backend:NAME` or `host:NAME`. */
  readonly states: ReplicatedTable<SetState>;
  readonly active: ReplicatedTable<ActiveHost>;
  readonly overrides: ReplicatedTable<Override>;
  /** New homes of users whose directory answer changed while they had sessions. */
  readonly homes: ReplicatedTable<FoundHome>;
  readonly moves: ReplicatedTable<Move>;
  /** A further table, for its one user: to be asked for before `open`. */
  table<T>(name: StateTable, parse: ParseValue<T>): ReplicatedTable<T>;
  /** Reads what there is, then looks for changes again and again. Resolves also when the store is away. */
  open(): Promise<void>;
  /** Looks for changes now. Rejects when the store cannot be asked. */
  refresh(): Promise<void>;
  /** Calls `listener` after each change of any table, until the returned function is called. */
  watch(listener: (changed: readonly StateEntry[]) => void): () => void;
}

interface StateReplicaOptions {
  readonly store: StateStore;
  readonly log: Log;
  /** How often others' changes are looked for. */
  readonly pollMs?: number;
}

/** Four looks a second would still be cheap; two keep every node within a second of every other. */
const pollDefaultMs = 500;

/** Keeps a copy of the state in memory and follows the store's changes. While the store is away the copy stands. */
export function createStateReplica({ store, log, pollMs = pollDefaultMs }: StateReplicaOptions): StateReplica {
  const listeners = new Set<(changed: readonly StateEntry[]) => void>();
  let cursor = 0;
  let away = false;
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let following: Promise<void> | undefined;

  const states = createTable('states', parseSetState);
  const active = createTable('active', parseActiveHost);
  const overrides = createTable('overrides', parseOverride);
  const homes = createTable('homes', parseFoundHome);
  const moves = createTable('moves', parseMove);
  const tables: Pick<ReturnType<typeof createTable>, 'forget' | 'take'>[] = [states, active, overrides, homes, moves];

  function createTable<T>(table: StateTable, parse: ParseValue<T>) {
    const values = new Map<string, T>();
    const versions = new Map<string, number>();
    async function put(key: string, value: T | undefined, expected?: number) {
      const text = value === undefined ? undefined : JSON.stringify(value);
      const outcome = await store.put(table, key, text, expected);
      await refresh();
      return outcome;
    }
    return {
      forget(): void {
        values.clear();
        versions.clear();
      },
      take(entry: StateEntry): void {
        if (entry.table !== table) return;
        const value = entry.value === undefined ? undefined : parse(entry.value);
        if (value === undefined) values.delete(entry.key);
        else values.set(entry.key, value);
        if (entry.value === undefined) versions.delete(entry.key);
        else versions.set(entry.key, entry.version);
      },
      mirrored: {
        get: (key: string) => values.get(key),
        all: () => values,
        async set(key: string, value: T) {
          await put(key, value);
        },
        async remove(key: string) {
          await put(key, undefined);
        },
        async take(key: string) {
          await refresh();
          const [before, version] = [values.get(key), versions.get(key)];
          if (before === undefined || version === undefined) return undefined;
          return (await put(key, undefined, version)) === 'written' ? before : undefined;
        },
        async change(key: string, make: (before: T | undefined) => T | undefined) {
          // What another node wrote a moment ago must not be refused, or decided on, as if it had not been.
          await refresh();
          const after = make(values.get(key));
          return after === undefined ? ('refused' as const) : put(key, after, versions.get(key) ?? 0);
        },
      } satisfies ReplicatedTable<T>,
    };
  }

  async function read(): Promise<void> {
    const changes = await store.changesSince(cursor);
    if (changes.reset) {
      log.error('state-lost', { cursor, found: changes.cursor });
      for (const table of tables) table.forget();
    }
    cursor = changes.cursor;
    for (const entry of changes.entries) for (const table of tables) table.take(entry);
    if (changes.reset || changes.entries.length > 0) for (const listener of listeners) listener(changes.entries);
  }

  function begin(): Promise<void> {
    reading = read().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  /** One reading at a time; all who come during one share the next, which sees what the first may have missed. */
  function refresh(): Promise<void> {
    if (reading === undefined) return begin();
    following ??= reading
      .catch(() => {})
      .then(() => {
        following = undefined;
        // Another may have begun in between: after all who wait for this one had come.
        return reading ?? begin();
      });
    return following;
  }

  async function look(): Promise<void> {
    try {
      await refresh();
      if (away) log.info('state-store-up');
      away = false;
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      if (!away) log.warn('state-store-down', { err: error });
      away = true;
    }
  }

  function lookLater(): void {
    timer = setTimeout(() => void look().finally(() => timer && lookLater()), pollMs).unref();
  }

  return {
    states: states.mirrored,
    active: active.mirrored,
    overrides: overrides.mirrored,
    homes: homes.mirrored,
    moves: moves.mirrored,
    table(name, parse) {
      const table = createTable(name, parse);
      tables.push(table);
      return table.mirrored;
    },
    refresh,
    async open() {
      await look();
      lookLater();
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      timer = undefined;
      listeners.clear();
      await reading?.catch(() => {});
      await store[Symbol.asyncDispose]();
    },
  };
}
