import { cpuMicros } from '../cpu.ts';
import { startPostern } from '../contenders.ts';
import { seriesOf } from '../statistics.ts';
import { significant } from '../report.ts';
import type { Part } from './part.ts';

const counts = [1, 2] as const;

/** Measures the same load on one worker and on two. */
export const workers: Part = async ({ stage, wrk, effort }) => {
  const nodes = [];
  for (const count of counts) {
    const { gateway } = await startPostern(stage, `workers: ${count}`);
    nodes.push({ ...gateway, count, users: await gateway.cookies('files', 1) });
  }
  const results = new Map(nodes.map(({ count }) => [count, { cpu: [] as number[], speed: [] as number[] }]));
  for (let round = -effort.warmUps; round < effort.rounds; round += 1) {
    for (const { count, origin, pids, users } of nodes) {
      const before = cpuMicros(pids);
      const load = { origin, connections: 32, seconds: effort.seconds, paths: ['/1k'], cookies: users };
      const { requests, requestsPerSecond } = await wrk(load);
      if (round < 0) continue;
      results.get(count)?.cpu.push((cpuMicros(pids) - before) / requests);
      results.get(count)?.speed.push(-requestsPerSecond);
    }
  }
  const cpu = (count: 1 | 2) => seriesOf(results.get(count)?.cpu ?? []);
  const rows = counts.map((count) => {
    const { best, median } = cpu(count);
    const speed = -seriesOf(results.get(count)?.speed ?? []).best;
    return [String(count), significant(best), significant(median), significant(speed)];
  });
  return [
    {
      title: 'Two workers',
      about:
        '1 KiB, 32 connections. This machine has no cores left for a second worker: the backend and the load take the rest, so the throughput says nothing here.',
      table: { head: ['workers', 'CPU µs per request, best', 'median', 'requests/s, best'], rows },
      targets: [
        {
          what: 'CPU per request of two workers, to one',
          limit: 1.1,
          measured: cpu(2).best / cpu(1).best,
          besides: `medians ${significant(cpu(2).median / cpu(1).median)}`,
        },
      ],
    },
  ];
};
