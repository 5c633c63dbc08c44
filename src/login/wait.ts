import { setTimeout as after } from 'node:timers/promises';

/** Resolves after `ms`, or rejects at once when `signal` is aborted. Tests hand in one that does not wait. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

/** Waits by the clock on the wall. */
export const systemWait: Wait = async (ms, signal) => {
  await after(ms, undefined, { signal });
};
