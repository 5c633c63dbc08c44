import { parseJson } from '../core/json.ts';
import type { Log } from '../core/log.ts';
import type { StateStore } from '../core/state-store.ts';

/** Where a chain ended when it was last looked at: what shows that lines are missing behind the last one. */
export interface Anchor {
  readonly chain: string;
  readonly sequence: number;
  readonly mac: string;
  readonly timeMs: number;
  /** On which machine and in which file. */
  readonly node: string;
  readonly file: string;
}

/** Options of the writer of anchors. */
export interface AnchorsOptions {
  readonly store: Pick<StateStore, 'put'>;
  readonly log: Log;
  readonly everyMs?: number;
}

/** Takes the ends of chains to the store. */
export interface Anchors extends AsyncDisposable {
  note(anchor: Anchor): void;
}

const everyDefaultMs = 1_000;

/**
 * Writes where a chain ends into the state store, at most once a second, and once more when it is disposed of. While
 * the store is away nobody waits for it: the last end is written when it is back.
 */
export function createAnchors({ store, log, everyMs = everyDefaultMs }: AnchorsOptions): Anchors {
  let latest: Anchor | undefined;
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();
  let away = false;

  async function write(): Promise<void> {
    const anchor = latest;
    if (anchor === undefined) return;
    const { chain, ...rest } = anchor;
    try {
      await store.put('audit', chain, JSON.stringify(rest));
      if (latest === anchor) latest = undefined;
      away = false;
    } catch (error) {
      if (!away) log.warn('audit-not-anchored', { err: error });
      away = true;
      later();
    }
  }

  function later(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      writing = write();
    }, everyMs).unref();
  }

  return {
    note(anchor) {
      latest = anchor;
      later();
    },
    async [Symbol.asyncDispose]() {
      await writing;
      clearTimeout(timer);
      await write();
      clearTimeout(timer);
    },
  };
}

/** The ends of all chains of all machines. Rejects with ERR_STORE_UNAVAILABLE. */
export async function readAnchors(store: Pick<StateStore, 'changesSince'>): Promise<readonly Anchor[]> {
  const { entries } = await store.changesSince(0);
  return entries.flatMap(({ table, key, value }) => {
    const anchor = table === 'audit' && value !== undefined ? parseAnchor(key, parseJson(value)) : undefined;
    return anchor === undefined ? [] : [anchor];
  });
}

function parseAnchor(chain: string, value: unknown): Anchor | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!('sequence' in value && 'mac' in value && 'timeMs' in value && 'node' in value && 'file' in value))
    return undefined;
  const { sequence, mac, timeMs, node, file } = value;
  if (typeof sequence !== 'number' || typeof timeMs !== 'number') return undefined;
  if (typeof mac !== 'string' || typeof node !== 'string' || typeof file !== 'string') return undefined;
  return { chain, sequence, mac, timeMs, node, file };
}
