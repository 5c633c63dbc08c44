/** A summary of rounds. The best round is the one that the rest of the machine disturbed least. */
export interface Series {
  readonly best: number;
  readonly median: number;
  /** The width of the middle half of the rounds, as a share of the median. */
  readonly spread: number;
}

/** The summary of figures where less is better. Throws if there is none. */
export function seriesOf(figures: readonly number[]): Series {
  const sorted = [...figures].sort((a, b) => a - b);
  const best = sorted[0];
  if (best === undefined) throw new RangeError('a series has at least one round');
  const median = quantile(sorted, 0.5);
  return { best, median, spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median };
}

/** The quantile of sorted figures, interpolated. `sorted` must not be empty. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}
