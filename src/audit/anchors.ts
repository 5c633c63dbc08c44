import type { Log } from '../core/log.ts';
import { parseJson } from '../core/objects.ts';
import type { StateStore } from '../core/state-store.ts';

/** The last line of a chain when the anchor was written. It shows later whether lines are missing at the end. */
export interface Anchor {
  readonly chain: string;
  readonly sequence: number;
  readonly mac: string;
  readonly timeMs: number;
  /** The machine and the file of the chain. */
  readonly node: string;
  readonly file: string;
}

/** Options of the writer of anchors. */
export interface AnchorsOptions {
  readonly store: Pick<StateStore, 'put'>;
  readonly log: Log;
  readonly everyMs?: number;
}

/** Writes the ends of chains to the store. */
export interface Anchors extends AsyncDisposable {
  /** Notes the latest end of the chain, to be written soon. */
  note(anchor: Anchor): void;
}

const everyDefaultMs = 1_000;

/**
 * Writes the end of a chain to the state store, at most once a second, and once more on disposal. Nobody waits while
 * the store is away: the last end is written when it is back.
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

/** Reads the ends of all chains of all machines. Rejects with ERR_STORE_UNAVAILABLE. */
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
