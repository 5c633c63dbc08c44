/**
 * Measures how long a command that speaks to a running gateway takes from its start to its answer, as a multiple of
 * `node -e 0` in the same run: node bench/commands.ts [RUNS].
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startStandbySite } from '../test/gateway/standby-site.fixture.ts';
import { spawn } from '../test/programs.ts';

const runs = Number(process.argv[2] ?? 10);
const bin = fileURLToPath(new URL('../bin/postern.mjs', import.meta.url));
const commands = ['status', 'node list', 'backend list', 'who alice', 'session list'];

await using site = await startStandbySite();
const bare = await medianMs(['-e', '0']);
console.log(`node -e 0: ${bare.toFixed(0)} ms, the median of ${runs} runs`);
for (const command of commands) {
  const ms = await medianMs([bin, ...command.split(' '), '-c', site.configFile]);
  console.log(`postern ${command}: ${ms.toFixed(0)} ms, ${(ms / bare).toFixed(1)} times as long`);
}

async function medianMs(args: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const startedAt = performance.now();
    const child = spawn(process.execPath, [...args], { env: { PATH: process.env['PATH'] } });
    child.stdout.resume();
    child.stderr.resume();
    await once(child, 'close');
    if (child.exitCode !== 0) throw new Error(`${args.join(' ')} ended with ${child.exitCode}`);
    times.push(performance.now() - startedAt);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? Number.NaN;
}
