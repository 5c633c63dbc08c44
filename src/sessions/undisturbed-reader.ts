import { PosternError } from '../core/error.ts';
import type { RecordKey, SessionStore, StoredLookup } from '../core/session.ts';

const attempts = 5;

/**
 * Reads sessions so that no change can slip by while a read is under way.
 *
 * A notice of a change can arrive before the answer that it makes stale. Each read therefore leaves a mark before it
 * asks; a notice that meets the mark makes it ask again. Reads of one key share one question.
 */
export function createUndisturbedReader(store: Pick<SessionStore, 'read'>) {
  const readings = new Map<RecordKey, { answer: Promise<StoredLookup>; disturbed: boolean }>();

  async function ask(key: RecordKey): Promise<StoredLookup> {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const reading = readings.get(key);
      if (reading !== undefined) reading.disturbed = false;
      const answer = await store.read(key);
      if (reading?.disturbed !== true) return answer;
    }
    const message = `a session changed ${attempts} times while it was read`;
    throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
  }

  return {
    /** Rejects like the store's own read. */
    read(key: RecordKey): Promise<StoredLookup> {
      const known = readings.get(key);
      if (known !== undefined) return known.answer;
      // The mark stands before the question: `ask` begins in a later turn.
      const answer = Promise.resolve()
        .then(() => ask(key))
        .finally(() => readings.delete(key));
      readings.set(key, { answer, disturbed: false });
      return answer;
    },
    changed(key: RecordKey): void {
      const reading = readings.get(key);
      if (reading !== undefined) reading.disturbed = true;
    },
    /** Any change may have been missed. */
    allChanged(): void {
      for (const reading of readings.values()) reading.disturbed = true;
    },
  };
}
