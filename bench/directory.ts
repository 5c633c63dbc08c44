/**
 * Figures of the directory's file sources with a million users: `node bench/directory.ts [USERS]`.
 *
 * Prints, per source: time to open, memory that stays, the longest pause of the event loop while the file is read
 * again, and the time of one lookup.
 */

import { once } from 'node:events';
import { createWriteStream, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../src/core/clock.ts';
import { silentLog } from '../src/core/log.ts';
import { createDirectory } from '../src/directory/directory.ts';
import { backendsNamed, loginName, nameRules } from '../test/directory/directory.fixture.ts';
import { execFileSync } from '../test/programs.ts';

const users = Number(process.argv[2] ?? 1_000_000);
const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
const never = new AbortController().signal;

async function writeMap(file: string): Promise<void> {
  const out = createWriteStream(`${file}.new`);
  for (let number = 0; number < users; number += 1) {
    const line = `user${number}@example.test: ${number % 2 === 0 ? 'a' : 'b'}\n`;
    if (!out.write(line)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'close');
  renameSync(`${file}.new`, file);
}

function makeCdb(map: string, file: string): void {
  const awk = '{ sub(/: /, " "); print }';
  execFileSync('sh', ['-c', `awk '${awk}' "${map}" | cdb -c -m -t "${file}.new" "${file}"`]);
}

async function residentMiB(): Promise<number> {
  for (let turn = 0; turn < 3; turn += 1) {
    globalThis.gc?.();
    await wait(50);
  }
  return process.memoryUsage().rss / 2 ** 20;
}

async function measure(type: string, file: string, replace: () => Promise<void> | void): Promise<void> {
  const open = async () =>
    createDirectory({
      sources: [{ type, file }],
      backends: backendsNamed('a', 'b'),
      nameRules,
      clock: systemClock,
      log: { ...silentLog, info: () => (reloaded += 1) },
      pollMs: 20,
    });
  let reloaded = 0;
  const before = await residentMiB();
  const startedMs = performance.now();
  const directory = await open();
  const openedMs = performance.now() - startedMs;
  const heldMiB = (await residentMiB()) - before;

  await replace();
  const pauses = monitorEventLoopDelay({ resolution: 1 });
  pauses.enable();
  while (reloaded === 0) await wait(5);
  pauses.disable();

  const names = Array.from({ length: 100_000 }, (_, number) => loginName(`user${(number * 7919) % users}`));
  const lookupsMs = performance.now();
  for (const name of names) await directory.lookup(name, never);
  const microseconds = ((performance.now() - lookupsMs) * 1000) / names.length;
  await directory[Symbol.asyncDispose]();
  process.stdout.write(
    `${type.padEnd(6)} ${users} users: open ${openedMs.toFixed(0)} ms, memory ${heldMiB.toFixed(1)} MiB, ` +
      `longest pause while it is read again ${(pauses.max / 1e6).toFixed(1)} ms, lookup ${microseconds.toFixed(1)} µs\n`,
  );
}

try {
  const map = join(folder, 'users.map');
  const cdb = join(folder, 'users.cdb');
  await writeMap(map);
  makeCdb(map, cdb);
  await measure('cdb', cdb, () => makeCdb(map, cdb));
  await measure('map', map, () => writeMap(map));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
