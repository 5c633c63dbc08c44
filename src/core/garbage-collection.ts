import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const afterStartMs = 1_000;
/** V8's own choice lies between 10 and this value; buffers that pass through count as growth. */
const growPercent = 300;

type Collect = (options: { readonly type: 'minor' | 'major'; readonly flavor?: 'last-resort' }) => unknown;
let collect: Collect | undefined;

/** Collects the young generation. Takes about a millisecond. */
export function collectYoung(): void {
  collect ??= collector();
  collect({ type: 'minor' });
}

/**
 * Collects everything once, a second from now. That returns to the system what only the start needed, a third of the
 * process, and takes a tenth of a second. From then on V8 runs a full collection only when the heap is four times as
 * big as what was alive; otherwise it would collect the smaller heap all the time while big bodies pass.
 */
export function collectAfterStart(): void {
  setTimeout(() => {
    setFlagsFromString(`--heap-growing-percent=${growPercent}`);
    collect ??= collector();
    // Other flavors free as much but keep the pages.
    collect({ type: 'major', flavor: 'last-resort' });
  }, afterStartMs).unref();
}

/** Node exposes `gc` only under a flag, which takes effect for contexts that are made afterwards. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  return isCollect(gc) ? gc : () => undefined;
}

function isCollect(gc: unknown): gc is Collect {
  return typeof gc === 'function';
}
