import type { Log } from '../core/log.ts';
import type { EndReason, RecordKey, SessionStore } from '../core/session.ts';
import { BoundedMap } from './bounded-map.ts';

const rememberedEndings = 10_000;
const waitingEndings = 10_000;

/**
 * The sessions that this node knows to have ended, and the endings that the store has not taken yet.
 *
 * A sign-out holds here at once. When the store is away it is repeated until the store took it; until then, and for a
 * while after, this node answers for the session itself.
 */
export function createEndings({ store, log }: { readonly store: Pick<SessionStore, 'destroy'>; readonly log: Log }) {
  const remembered = new BoundedMap<RecordKey, EndReason>(rememberedEndings);
  const waiting = new Map<RecordKey, EndReason>();
  let retrying: Promise<void> | undefined;

  async function tell(key: RecordKey, reason: EndReason): Promise<boolean> {
    try {
      await store.destroy(key, reason);
      waiting.delete(key);
      return true;
    } catch (error) {
      if (!waiting.has(key)) wait(key, reason, error);
      return false;
    }
  }

  function wait(key: RecordKey, reason: EndReason, error: unknown): void {
    log.warn({ session: key, reason, err: error }, 'the store could not take the end of a session; it is repeated');
    if (waiting.size >= waitingEndings) {
      const [oldest] = waiting.keys();
      if (oldest !== undefined) waiting.delete(oldest);
      log.error({ session: oldest }, 'too many ends of sessions wait for the store; one was forgotten');
    }
    waiting.set(key, reason);
  }

  async function retryAll(): Promise<void> {
    for (const [key, reason] of waiting) {
      // While the store is away one question is enough.
      if (!(await tell(key, reason))) return;
    }
  }

  return {
    /** Why the session ended, or nothing when this node does not know that it did. */
    reasonOf(key: RecordKey): EndReason | undefined {
      return waiting.get(key) ?? remembered.get(key);
    },
    /** Another node ended it. */
    remember(key: RecordKey, reason: EndReason): void {
      remembered.set(key, reason);
    },
    /** Ends it here at once. Resolves when the store took it, or when it waits to be repeated. */
    async end(key: RecordKey, reason: EndReason): Promise<void> {
      remembered.set(key, reason);
      await tell(key, reason);
    },
    /** Offers what waits to the store again. */
    retry(): Promise<void> {
      retrying ??= retryAll().finally(() => {
        retrying = undefined;
      });
      return retrying;
    },
    get waiting(): number {
      return waiting.size;
    },
  };
}
