import { once } from 'node:events';
import { WebSocket } from 'ws';
import { cpuMicros } from '../cpu.ts';
import type { Contender } from '../contenders.ts';
import { cpuPerRequest, figures, interleave, type Turn } from '../rounds.ts';
import { significant } from '../report.ts';
import type { Part } from './part.ts';

const names = ['Postern', 'Node relay', 'HAProxy', 'nginx + service'] as const;
const connections = 32;
const perSession = 16;
const message = Buffer.alloc(1024, 'm');

/** Measures echoed messages of 1 KiB, one at a time on each connection. */
export const webSockets: Part = async ({ contenders, effort }) => {
  const turns: Turn[] = [];
  for (const name of names) turns.push(await turnOf(contenders.get(name), effort.seconds * 1000));
  const rounds = await interleave(turns, effort.fewerRounds, effort);
  const postern = figures(rounds, 'Postern', cpuPerRequest);
  const rows = names.map((name) => {
    const { best, median, spread } = figures(rounds, name, cpuPerRequest);
    const p50 = figures(rounds, name, ({ p50Micros }) => p50Micros / 1000).median;
    const ratio = name === 'Postern' ? '' : significant(postern.best / best);
    return [name, significant(best), significant(median), `${Math.round(spread * 100)} %`, significant(p50), ratio];
  });
  const head = ['through', 'CPU µs per message and echo, best', 'median', 'spread', 'p50 ms', 'Postern : this, best'];
  const about = `${connections} connections, each sends 1 KiB and waits for it to come back.`;
  return [{ title: 'WebSocket messages', about, table: { head, rows }, targets: [] }];
};

async function turnOf({ name, origin, pids, cookies }: Contender, ms: number): Promise<Turn> {
  const sessions = await cookies('sockets', connections / perSession);
  return {
    name,
    async run() {
      const sockets = await Promise.all(
        Array.from({ length: connections }, (_, i) => open(origin, sessions[i % sessions.length] ?? '')),
      );
      const [before, startedMs] = [cpuMicros(pids), performance.now()];
      const times = (await Promise.all(sockets.map((socket) => talk(socket, startedMs + ms)))).flat();
      const used = cpuMicros(pids) - before;
      const seconds = (performance.now() - startedMs) / 1000;
      for (const socket of sockets) socket.terminate();
      times.sort((a, b) => a - b);
      const quantile = (share: number): number => (times[Math.floor(times.length * share)] ?? 0) * 1000;
      return {
        requests: times.length,
        requestsPerSecond: times.length / seconds,
        p50Micros: quantile(0.5),
        p99Micros: quantile(0.99),
        cpuMicros: used,
      };
    },
  };
}

async function open(origin: string, cookie: string): Promise<WebSocket> {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/socket`, {
    origin,
    headers: { cookie },
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  return socket;
}

/** The milliseconds that each message took. */
async function talk(socket: WebSocket, untilMs: number): Promise<readonly number[]> {
  const times: number[] = [];
  while (performance.now() < untilMs) {
    const sentMs = performance.now();
    socket.send(message);
    await once(socket, 'message');
    times.push(performance.now() - sentMs);
  }
  return times;
}
