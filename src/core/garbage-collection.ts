import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const afterStartMs = 1_000;
/** V8's own choice lies between a tenth and this, and what passes in buffers counts as growth. */
const growPercent = 300;

type Collect = (options: { readonly type: 'minor' | 'major'; readonly flavor?: 'last-resort' }) => unknown;
let collect: Collect | undefined;

/** Has V8 collect what is young: a millisecond. */
export function collectYoung(): void {
  collect ??= collector();
  collect({ type: 'minor' });
}

/**
 * Has V8 collect everything a second from now, once: what only the start needed goes back to the system, a third of the
 * process. It takes a tenth of a second. From then on V8 collects everything only when the heap is four times as big as
 * what was alive; else the smaller heap would be collected all the time while big bodies pass.
 */
export function collectAfterStart(): void {
  setTimeout(() => {
    setFlagsFromString(`--heap-growing-percent=${growPercent}`);
    collect ??= collector();
    // Another flavor frees as much, but keeps the pages.
    collect({ type: 'major', flavor: 'last-resort' });
  }, afterStartMs).unref();
}

/** Node hands out `gc` only by a flag, which counts for contexts that are made from then on. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  return isCollect(gc) ? gc : () => undefined;
}

function isCollect(gc: unknown): gc is Collect {
  return typeof gc === 'function';
}
