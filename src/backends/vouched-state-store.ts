import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { readVouched, vouchFor, type VouchingKeys } from '../core/secrets.ts';
import type { StateEntry, StateStore, StateTable } from '../core/state-store.ts';

/** The server keys, as the state store uses them. */
export interface StateKeys {
  current(): VouchingKeys;
  /** Looks for a key that is not current. `missing`: other nodes use it, and this machine lacks it. */
  meet(id: string): Promise<'known' | 'missing' | 'none'>;
}

/** Options of the state store that signs its entries. */
interface VouchedStateStoreOptions {
  /** The store of the entries. Others may have write access to it. */
  readonly store: StateStore;
  readonly keys: StateKeys;
  readonly clock: Clock;
  readonly log: Log;
  /** Until when entries count that 0.1.0 wrote, which vouches for none; 0 for not at all. Not at all if undefined. */
  readonly unsignedUntilMs?: () => number;
}

/** A state store that accepts only entries written by a holder of a server key. */
export interface VouchedStateStore extends StateStore {
  /**
   * Vouches by the promoted key for entries under other keys and, while they count, for entries without a voucher. Does
   * nothing else while the same key stays promoted.
   */
  renew(): Promise<void>;
}

const entryKind = 'state entry';
const alarmEveryMs = 60_000;
const missingKeyRetryMs = 5_000;

/**
 * Makes a state store that vouches for each entry with its table and key. An entry that was changed, moved or written
 * without a server key counts as missing: it can be overwritten like one that does not exist, and raises an alarm at
 * most once a minute for each table.
 *
 * Calls reject with ERR_KEY_UNKNOWN while an entry stands under a key that other nodes use and this machine lacks: such
 * an entry must not count as missing.
 */
export function createVouchedStateStore({
  store,
  keys,
  clock,
  log,
  unsignedUntilMs = () => 0,
}: VouchedStateStoreOptions): VouchedStateStore {
  /** Versions of entries that count as missing. */
  const unsound = new Map<string, number>();
  const raiseAlarm = createForgeryAlarm(clock, log);
  let lackedAtMs = Number.NEGATIVE_INFINITY;
  let renewedUnder: string | undefined;
  let renewedUpTo = 0;
  const acceptsUnsigned = (): boolean => clock.nowMs() < unsignedUntilMs();

  async function textOf({ table, key }: StateEntry, stored: string): Promise<string | undefined> {
    let read = readVouched(keys.current(), entryKind, [table, key], stored);
    if (read.kind === 'foreign-key') {
      const isLacked = clock.nowMs() - lackedAtMs < missingKeyRetryMs || (await keys.meet(read.keyId)) === 'missing';
      if (isLacked) throw lacking(read.keyId);
      read = readVouched(keys.current(), entryKind, [table, key], stored);
    }
    if (read.kind === 'foreign-key') return undefined;
    return read.kind === 'genuine' || acceptsUnsigned() ? read.text : undefined;
  }

  function lacking(keyId: string): PosternError {
    if (clock.nowMs() - lackedAtMs >= missingKeyRetryMs) lackedAtMs = clock.nowMs();
    const message = `the state has an entry under the server key ${keyId}, which this machine lacks: copy the keys file of a node that has it`;
    return new PosternError('ERR_KEY_UNKNOWN', message, { source: 'store', retryable: true });
  }

  return {
    async changesSince(cursor) {
      const changes = await store.changesSince(cursor);
      const entries: StateEntry[] = [];
      const forged: StateEntry[] = [];
      for (const entry of changes.entries) {
        // `postern check` and starting nodes write these, even without keys. Nobody reads them.
        if (entry.table === 'probe') continue;
        const value = entry.value === undefined ? undefined : await textOf(entry, entry.value);
        if (value === undefined && entry.value !== undefined) forged.push(entry);
        entries.push({ ...entry, value });
      }
      if (changes.reset) unsound.clear();
      for (const entry of changes.entries) unsound.delete(entryName(entry));
      for (const entry of forged) unsound.set(entryName(entry), entry.version);
      raiseAlarm(forged);
      return { ...changes, entries };
    },

    async put(table, key, value, expected) {
      const text = value === undefined ? undefined : vouchFor(keys.current().promoted, entryKind, [table, key], value);
      // An entry that counts as missing must not block a write that expects none.
      const over = expected === 0 ? (unsound.get(entryName({ table, key })) ?? 0) : expected;
      return store.put(table, key, text, over);
    },

    async renew() {
      const { promoted } = keys.current();
      if (renewedUnder === promoted.id && !acceptsUnsigned()) return;
      const { entries, cursor } = await store.changesSince(renewedUnder === promoted.id ? renewedUpTo : 0);
      for (const { table, key, value, version } of entries) {
        if (value === undefined || table === 'probe') continue;
        const read = readVouched(keys.current(), entryKind, [table, key], value);
        if (read.kind === 'foreign-key' || (read.kind === 'none' && !acceptsUnsigned())) continue;
        if (read.kind === 'genuine' && read.keyId === promoted.id) continue;
        const done = await store.put(table, key, vouchFor(promoted, entryKind, [table, key], read.text), version);
        // A conflict means that another node has vouched for the entry meanwhile. Loads are written every few seconds.
        if (read.kind === 'none' && done === 'written' && table !== 'loads') {
          log.info('unsigned-entry-vouched', { table, key });
        }
      }
      renewedUnder = promoted.id;
      renewedUpTo = cursor;
    },

    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** Returns what logs forged entries, at most once a minute for each table. */
function createForgeryAlarm(clock: Clock, log: Log): (forged: readonly StateEntry[]) => void {
  const toldAtMs = new Map<StateTable, number>();
  return (forged) => {
    const nowMs = clock.nowMs();
    for (const [table, [first, ...others] = []] of Map.groupBy(forged, (entry) => entry.table)) {
      if (nowMs - (toldAtMs.get(table) ?? Number.NEGATIVE_INFINITY) < alarmEveryMs) continue;
      toldAtMs.set(table, nowMs);
      log.error('state-entries-forged', { code: 'ERR_ENTRY_FORGED', table, key: first?.key, others: others.length });
    }
  };
}

function entryName({ table, key }: Pick<StateEntry, 'table' | 'key'>): string {
  return `${table}:${key}`;
}

const renewEveryMs = 1_000;

/**
 * Renews the state whenever another key is promoted, before the old one is retired. Each node does so after it has read
 * its keys file again, and so covers the entries that it wrote under the old key until then.
 */
export function keepRenewed(store: Pick<VouchedStateStore, 'renew'>, everyMs = renewEveryMs): AsyncDisposable {
  let renewing: Promise<void> | undefined;
  async function renew(): Promise<void> {
    try {
      await store.renew();
    } catch (error) {
      // The replica logs that the store is away. The state is renewed when it is back.
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
