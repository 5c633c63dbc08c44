import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../test/ports.fixture.ts';
import { spawn } from '../../test/programs.ts';
import { residentBytes } from '../cpu.ts';
import { nodeFlags } from '../node-flags.ts';
import { significant } from '../report.ts';
import type { Stage } from '../stage.ts';
import { seriesOf } from '../statistics.ts';
import type { Part } from './part.ts';

const program = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const examples = new URL('../../examples/', import.meta.url);
const importsOnly = ['--input-type=module', '-e', 'import "express"; import "redis"; console.log("ready")'];
const nothing = ['-e', 'console.log("ready"); setInterval(() => {}, 60000)'];
const idleMs = 2_000;

/** Measures the time from the command to the line that says ready, and the memory of the process then. */
export const start: Part = async ({ stage, effort }) => {
  const configFile = await copyOfLab(stage);
  const env = { NODE_COMPILE_CACHE: join(stage.folder, 'compiled') };
  const commands = {
    'Postern with examples/lab.yaml': [...nodeFlags, program, 'serve', '-c', configFile],
    'Node, importing express and redis': importsOnly,
  };
  // These starts do not count: they fill the compile cache, as the first start on a machine does.
  for (const args of Object.values(commands)) await finish((await launch(args, env)).child);
  const times = new Map<string, number[]>(Object.keys(commands).map((name) => [name, []]));
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const [name, args] of Object.entries(commands)) {
      const { child, ms } = await launch(args, env);
      times.get(name)?.push(ms);
      await end(child);
    }
  }
  const [ours, theirs] = Object.keys(commands).map((name) => seriesOf(times.get(name) ?? []));
  if (ours === undefined || theirs === undefined) throw new TypeError('both were started');
  const [weight, bare] = [
    await idleMegabytes([...nodeFlags, program, 'serve', '-c', configFile], env),
    await idleMegabytes(nothing, env),
  ];
  const rows = [
    ['Postern with examples/lab.yaml', significant(ours.best), significant(ours.median), significant(weight)],
    ['Node, importing express and redis', significant(theirs.best), significant(theirs.median), ''],
    ['Node, importing nothing', '', '', significant(bare)],
  ];
  return [
    {
      title: 'Start and weight',
      about:
        'From the command to the line that says ready, with what Node has compiled before in its cache, as deploy/systemd/postern.service has it; resident memory two seconds later.',
      table: { head: ['what', 'ms, best', 'median', 'MB'], rows },
      targets: [
        {
          what: 'Start to ready, to Node importing express and redis',
          limit: 3,
          measured: ours.best / theirs.best,
          besides: `medians ${significant(ours.median / theirs.median)}`,
        },
        { what: 'Resident memory when idle, over bare Node', limit: 100, unit: ' MB', measured: weight - bare },
      ],
    },
  ];
};

/** The text of the example, with free ports and our Redis. */
async function copyOfLab(stage: Stage): Promise<string> {
  const folder = join(stage.folder, 'lab');
  await mkdir(folder);
  const text = await readFile(new URL('lab.yaml', examples), 'utf8');
  const configFile = join(folder, 'lab.yaml');
  const moved = text
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${await freePort()}`)
    .replace('127.0.0.1:9090', `127.0.0.1:${await freePort()}`)
    .replace('redis://127.0.0.1:6379/0', stage.redis.url.replace(/0$/, '14'));
  await writeFile(configFile, moved);
  await writeFile(join(folder, 'users.map'), await readFile(new URL('users.map', examples)));
  await writeFile(join(folder, 'ca.crt'), await readFile(stage.tls.certificateFile));
  return configFile;
}

async function launch(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly child: ChildProcess; readonly ms: number }> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const isReady = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text) => {
      if (String(text).includes('ready')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it was ready`)));
  });
  await isReady;
  return { child, ms: performance.now() - startedMs };
}

async function idleMegabytes(args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const { child } = await launch(args, env);
  await pause(idleMs);
  const megabytes = residentBytes([child.pid ?? 0]) / 1e6;
  await end(child);
  return megabytes;
}

/** Stops the gateway gracefully, so that Node writes its compile cache. */
async function finish(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  // A second signal ends it without waiting for requests.
  child.kill('SIGINT');
  await gone;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
