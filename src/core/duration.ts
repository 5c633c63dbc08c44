const unitMs: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);
/** Node's timers fire at once beyond 2^31-1 ms: no duration may be longer than a timer can wait. */
const longestMs = 24 * 86_400_000;

/** A duration as operators write it (`500ms`, `3s`, `10 min`, `1.5 h`) in milliseconds; undefined if it is not one. */
export function parseDuration(text: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?) ?([a-z]+)$/.exec(text.trim()) ?? [];
  const factor = unitMs.get(unit);
  const ms = factor === undefined ? Number.NaN : Math.round(Number(number) * factor);
  return ms <= longestMs ? ms : undefined;
}
