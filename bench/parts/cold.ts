import { setTimeout as pause } from 'node:timers/promises';
import { cpuMicros } from '../cpu.ts';
import { cpuPerRequest, figures, interleave, type Turn } from '../rounds.ts';
import { significant } from '../report.ts';
import type { Part } from './part.ts';

const names = ['Postern', 'nginx + service', 'nginx + cached service'] as const;
/** The number of sessions: more than any contender answers in one round, so that none is used twice. */
const usersPerSecond = 12_000;
const afterwardsMs = 1_500;

/** Measures requests that are the first of their session on this node. */
export const cold: Part = async ({ contenders, wrk, effort }) => {
  const perRound = usersPerSecond * effort.seconds;
  const turns: Turn[] = [];
  for (const name of names) {
    const { origin, pids, cookies } = contenders.get(name);
    turns.push({
      name,
      async run() {
        const load = { origin, cookies: await cookies('files', perRound), paths: ['/1k'], connections: 32 };
        const before = cpuMicros(pids);
        const result = await wrk({ ...load, seconds: effort.seconds });
        // Work that follows a first use, such as noting it in Redis, is counted, too.
        await pause(afterwardsMs);
        if (result.requests > perRound) throw new Error(`${name} met sessions twice: raise usersPerSecond`);
        return { ...result, cpuMicros: cpuMicros(pids) - before };
      },
    });
  }
  const rounds = await interleave(turns, Math.min(effort.fewerRounds, 3), effort);
  const rows = names.map((name) => {
    const { best, median } = figures(rounds, name, cpuPerRequest);
    const p50 = figures(rounds, name, ({ p50Micros }) => p50Micros / 1000).median;
    return [name, significant(best), significant(median), significant(p50)];
  });
  const head = ['through', 'CPU µs per request, best', 'median', 'p50 ms'];
  const about = 'No session was met before: each is read, verified and opened. 1 KiB, 32 connections.';
  return [{ title: 'Cold cache', about, table: { head, rows }, targets: [] }];
};
