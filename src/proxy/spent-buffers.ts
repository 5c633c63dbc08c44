import { collectYoung } from '../core/garbage-collection.ts';

const collectAfterBytes = 32 * 1024 * 1024;

let spentBytes = 0;

/**
 * Counts what has gone by of bodies, and has V8 free the buffers in time.
 *
 * Each 64 KB of a body come in a buffer outside of V8's heap. V8 collects the whole heap after each 64 MB of those:
 * 30 to 70 ms of CPU, and more with each session in memory, for buffers that were all new. A minor collection frees
 * the same in a millisecond. Big bodies cost half with it (docs/performance.md).
 */
export function noteSpent(bytes: number): void {
  spentBytes += bytes;
  if (spentBytes < collectAfterBytes) return;
  spentBytes = 0;
  collectYoung();
}
