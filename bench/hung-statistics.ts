import { setTimeout as pause } from 'node:timers/promises';
import { startCluster } from '../test/lab/gateway-node.ts';
import { lab } from '../test/lab/lab.ts';
import { RoundcubeUser } from '../test/lab/roundcube-user.ts';
import { startRedisServer } from '../test/redis-server.fixture.ts';
import { markdownTable, significant, targetTable } from './report.ts';
import { seriesOf } from './statistics.ts';

/*
 * npm run bench:hung-statistics    sign-ins while the Redis of the statistics hangs, to those while it is well
 */

const rounds = 10;
const signInsPerTurn = 10;

await lab('join', String(process.pid), 'a', 'b');
try {
  await measure();
} finally {
  await lab('leave', String(process.pid));
}

async function measure(): Promise<void> {
  const [caFile, portOffset] = [`${await lab('where')}/tls/ca.crt`, Number(await lab('offset'))];
  await using sessions = await startRedisServer();
  await using state = await startRedisServer();
  await using cluster = await startCluster({
    lab: { caFile, port: (standard) => standard + portOffset },
    redisUrl: sessions.url,
    nodes: 1,
    settings: `state: { redis: "${state.url}" }\nstatistics: { flush_interval: 200ms }`,
  });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('there is no node');
  const times = { well: new Array<number>(), hung: new Array<number>() };
  for (let round = -1; round < rounds; round += 1) {
    for (const how of round % 2 === 0 ? (['well', 'hung'] as const) : (['hung', 'well'] as const)) {
      if (how === 'hung') state.freeze();
      // A flush begins meanwhile, and gets no answer.
      await pause(500);
      const took: number[] = [];
      for (let count = 0; count < signInsPerTurn; count += 1) {
        const startedMs = performance.now();
        const { status } = await new RoundcubeUser(node.origin).signIn('alice', 'alice-pw');
        if (status !== 200) throw new Error(`a sign-in ended with ${status}`);
        took.push(performance.now() - startedMs);
      }
      state.thaw();
      await pause(500);
      if (round >= 0) times[how].push(...took);
    }
  }
  const alarms = node.log.filter((line) => line.includes('"event":"statistics-not-stored"')).length;
  if (alarms === 0) throw new Error('the statistics noticed nothing');
  const [well, hung] = [seriesOf(times.well), seriesOf(times.hung)];
  const rows = Object.entries({ well, hung }).map(([how, { best, median }]) => [
    how,
    ...[best, median].map(significant),
  ]);
  const target = {
    what: 'A sign-in while the Redis of the statistics hangs, to one while it is well',
    limit: 1.1,
    measured: hung.median / well.median,
    besides: `medians of ${rounds * signInsPerTurn}; best ${significant(hung.best / well.best)}; ${alarms} alarms`,
  };
  console.log(markdownTable(targetTable([target])));
  console.log(markdownTable({ head: ['that Redis', 'ms from the form to the mailbox, best', 'median'], rows }));
}
