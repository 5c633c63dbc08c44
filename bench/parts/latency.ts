import { figures, interleave, turnOf } from '../rounds.ts';
import { significant, type Target } from '../report.ts';
import type { Part } from './part.ts';

const names = ['direct', 'Postern', 'undici relay', 'nginx + service', 'nginx + cached service'] as const;
const connections = 32;

/** Measures the latency that each contender adds, at half the rate of the slowest one. */
export const latency: Part = async ({ contenders, wrk, effort }) => {
  const load = { connections, paths: ['/1k'], seconds: effort.seconds };
  const speeds: number[] = [];
  for (const name of ['Postern', 'nginx + service'] as const) {
    const { run } = await turnOf(contenders.get(name), load, { wrk });
    await run();
    speeds.push((await run()).requestsPerSecond);
  }
  const rate = Math.min(...speeds) / 2;
  const paced = { ...load, delayMs: (connections * 1000) / rate };
  const turns = await Promise.all(names.map((name) => turnOf(contenders.get(name), paced, { wrk })));
  const rounds = await interleave(turns, effort.rounds, effort);

  const quantiles = { p50: 'p50Micros', p99: 'p99Micros' } as const;
  const added = (name: (typeof names)[number], quantile: keyof typeof quantiles) => {
    const of = (who: (typeof names)[number]) => figures(rounds, who, (round) => round[quantiles[quantile]] / 1000);
    return { best: of(name).best - of('direct').best, median: of(name).median - of('direct').median };
  };
  const rows = names.slice(1).map((name) => {
    const [p50, p99] = [added(name, 'p50'), added(name, 'p99')];
    return [name, ...[p50.best, p50.median, p99.best, p99.median].map(significant)];
  });
  const target = (quantile: keyof typeof quantiles, limit: number): Target => {
    const [ours, theirs] = [added('Postern', quantile), added('nginx + service', quantile)];
    return {
      what: `Added ${quantile} at half of saturation, Postern : nginx + service`,
      limit,
      measured: ours.best / theirs.best,
      besides: `${significant(ours.best)} to ${significant(theirs.best)} ms; medians ${significant(ours.median / theirs.median)}`,
    };
  };
  const about = `At ${Math.round(rate)} requests per second over ${connections} connections, which is half of what the slower of Postern and nginx + service answers here: milliseconds more than the backend alone takes.`;
  const head = ['through', 'p50 + ms, best', 'median', 'p99 + ms, best', 'median'];
  return [{ title: 'Added time', about, table: { head, rows }, targets: [target('p50', 1), target('p99', 1.5)] }];
};
