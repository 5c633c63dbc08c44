import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { readVouched, vouchFor, type VouchingKeys } from '../core/sealing.ts';
import type { StateEntry, StateStore, StateTable } from '../core/state-store.ts';

/** The server keys, as far as the state uses them. */
export interface StateKeys {
  current(): VouchingKeys;
  /** The verdict on a key that is not current; `missing`: other nodes use it, and this machine lacks it. */
  meet(id: string): Promise<'known' | 'missing' | 'none'>;
}

/** Options of the state store that signs its entries. */
interface VouchedStateStoreOptions {
  /** The store of the entries, which others may be able to write to. */
  readonly store: StateStore;
  readonly keys: StateKeys;
  readonly clock: Clock;
  readonly log: Log;
}

/** A state store whose entries count only as a holder of a server key wrote them. */
export interface VouchedStateStore extends StateStore {
  /** Vouches by the promoted key for what stands under another one. Costs nothing while the same key is promoted. */
  renew(): Promise<void>;
}

const entryKind = 'state entry';
const alarmEveryMs = 60_000;
const missingKeyRetryMs = 5_000;

/**
 * Vouches for each entry with its table and key. An entry that was changed, moved, or written without a server key
 * counts as none, which an alarm says once a minute for each table, and can be written over like one that does not
 * exist.
 *
 * Rejects with ERR_KEY_UNKNOWN while an entry stands under a key that others use and this machine lacks: that is no
 * reason to take it for none.
 */
export function createVouchedStateStore({ store, keys, clock, log }: VouchedStateStoreOptions): VouchedStateStore {
  /** The versions of entries that count as none. */
  const unsound = new Map<string, number>();
  const toldAtMs = new Map<StateTable, number>();
  let lackedAtMs = Number.NEGATIVE_INFINITY;
  let renewedUnder: string | undefined;

  async function textOf({ table, key }: StateEntry, stored: string): Promise<string | undefined> {
    let read = readVouched(keys.current(), entryKind, [table, key], stored);
    if (read.kind === 'foreign-key') {
      const isLacked = clock.nowMs() - lackedAtMs < missingKeyRetryMs || (await keys.meet(read.keyId)) === 'missing';
      if (isLacked) throw lacking(read.keyId);
      read = readVouched(keys.current(), entryKind, [table, key], stored);
    }
    return read.kind === 'genuine' ? read.text : undefined;
  }

  function lacking(keyId: string): PosternError {
    if (clock.nowMs() - lackedAtMs >= missingKeyRetryMs) lackedAtMs = clock.nowMs();
    const message = `the state has an entry under the server key ${keyId}, which this machine lacks: copy the keys file of a node that has it`;
    return new PosternError('ERR_KEY_UNKNOWN', message, { source: 'store', retryable: true });
  }

  function tell(forged: readonly StateEntry[]): void {
    const nowMs = clock.nowMs();
    for (const [table, [first, ...others] = []] of Map.groupBy(forged, (entry) => entry.table)) {
      if (nowMs - (toldAtMs.get(table) ?? Number.NEGATIVE_INFINITY) < alarmEveryMs) continue;
      toldAtMs.set(table, nowMs);
      log.error('state-entries-forged', { code: 'ERR_ENTRY_FORGED', table, key: first?.key, others: others.length });
    }
  }

  return {
    async changesSince(cursor) {
      const changes = await store.changesSince(cursor);
      const entries: StateEntry[] = [];
      const forged: StateEntry[] = [];
      for (const entry of changes.entries) {
        // Written by whoever tries a Redis, also without keys, and read by nobody.
        if (entry.table === 'probe') continue;
        const value = entry.value === undefined ? undefined : await textOf(entry, entry.value);
        if (value === undefined && entry.value !== undefined) forged.push(entry);
        entries.push({ ...entry, value });
      }
      if (changes.reset) unsound.clear();
      for (const entry of changes.entries) unsound.delete(entryName(entry));
      for (const entry of forged) unsound.set(entryName(entry), entry.version);
      tell(forged);
      return { ...changes, entries };
    },

    async put(table, key, value, expected) {
      const text = value === undefined ? undefined : vouchFor(keys.current().promoted, entryKind, [table, key], value);
      // What counts as none must not keep others from writing there.
      const over = expected === 0 ? (unsound.get(entryName({ table, key })) ?? 0) : expected;
      return store.put(table, key, text, over);
    },

    async renew() {
      const { promoted } = keys.current();
      if (renewedUnder === promoted.id) return;
      const { entries } = await store.changesSince(0);
      for (const { table, key, value, version } of entries) {
        const read = readVouched(keys.current(), entryKind, [table, key], value ?? '');
        if (read.kind !== 'genuine' || read.keyId === promoted.id) continue;
        // Whoever changed it meanwhile has vouched for it.
        await store.put(table, key, vouchFor(promoted, entryKind, [table, key], read.text), version);
      }
      renewedUnder = promoted.id;
    },

    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

function entryName({ table, key }: Pick<StateEntry, 'table' | 'key'>): string {
  return `${table}:${key}`;
}

const renewEveryMs = 1_000;

/**
 * Renews the state whenever another key is promoted, before the old one is retired. Each node does so once it has read
 * its keys file again: what a node wrote under the old key until then, it vouches for anew itself.
 */
export function keepRenewed(store: Pick<VouchedStateStore, 'renew'>, everyMs = renewEveryMs): AsyncDisposable {
  let renewing: Promise<void> | undefined;
  async function renew(): Promise<void> {
    try {
      await store.renew();
    } catch (error) {
      // Whoever reads the state says that it is away. It is renewed when it is back.
      if (!(error instanceof PosternError)) throw error;
    }
  }
  const timer = setInterval(() => {
    renewing ??= renew().finally(() => {
      renewing = undefined;
    });
  }, everyMs).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await renewing;
    },
  };
}
