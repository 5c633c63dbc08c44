import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnToStay } from '../programs.ts';
import { lab, labBackends, labUsers } from './lab.ts';

/*
 * npm run lab [-- BACKEND...]   real backends (a and b by default), Redis, and the gateway with examples/lab.yaml
 * npm run lab -- down           ends all of it
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const gatewayPort = 8080;
const operatorsPort = 9090;
const redisPort = 6379;

/** Prints a step, its duration, and its result if there is one. */
async function step(what: string, work: () => Promise<string>): Promise<void> {
  process.stdout.write(`${what} … `);
  const startedMs = performance.now();
  const result = await work();
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`${seconds} s${result === '' ? '' : `, ${result}`}\n`);
}

async function up(backends: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('the lab starts servers on ports below 1024: run it as root');
  await step(`packages for ${backends.join(', ')} and redis-server`, () => {
    return lab('packages', 'lab', ...backends);
  });
  await step(`backends ${backends.join(', ')}`, async () => {
    await lab('up', ...backends);
    return 'started';
  });
  const where = await lab('where');
  await step(`Redis on port ${redisPort}`, () => startRedis(where));
  await step(`the gateway on port ${gatewayPort}`, () => startGateway(where));
  const homes = readFileSync(join(root, 'examples/users.map'), 'utf8');
  const rows = labUsers
    .filter(({ user, backend }) => homes.includes(`${user}: ${backend}\n`))
    .map(({ user, password, backend }) => `  ${user.padEnd(22)} ${password.padEnd(20)} backend ${backend}`);
  process.stdout.write(`
ready http://127.0.0.1:${gatewayPort}

${rows.join('\n')}

operators: http://127.0.0.1:${operatorsPort}/metrics     log: ${join(where, 'gateway.log')}
end it with: npm run lab -- down
`);
}

async function down(): Promise<void> {
  const where = await lab('where');
  await step('the gateway', () => stop(pidFile(where, 'gateway')));
  await step('Redis', () => stop(pidFile(where, 'redis')));
  await step('backends', () => lab('down'));
}

async function startRedis(where: string): Promise<string> {
  if (await answers(redisPort)) return 'one is there already';
  const directory = join(where, 'redis');
  mkdirSync(directory, { recursive: true });
  const settings = ['--port', String(redisPort), '--bind', '127.0.0.1', '--dir', directory, '--appendonly', 'yes'];
  startInBackground('redis-server', settings, where, 'redis');
  await untilAnswering(redisPort, where, 'redis');
  return 'started';
}

async function startGateway(where: string): Promise<string> {
  if (isRunning(pidFile(where, 'gateway'))) return 'running already';
  if (await answers(gatewayPort)) throw new Error(`port ${gatewayPort} is taken by another program`);
  copyFileSync(join(where, 'tls/ca.crt'), join(root, 'examples/ca.crt'));
  const args = [join(root, 'bin/postern.mjs'), 'serve', '-c', join(root, 'examples/lab.yaml')];
  startInBackground(process.execPath, args, where, 'gateway');
  await untilAnswering(gatewayPort, where, 'gateway');
  return 'started';
}

function startInBackground(command: string, args: readonly string[], where: string, name: string): void {
  const log = openSync(join(where, `${name}.log`), 'a');
  const child = spawnToStay(command, args, { detached: true, stdio: ['ignore', log, log], cwd: where });
  child.unref();
  writeFileSync(pidFile(where, name), String(child.pid));
}

function pidFile(where: string, name: string): string {
  return join(where, `${name}.pid`);
}

function isRunning(file: string): boolean {
  if (!existsSync(file)) return false;
  try {
    return process.kill(Number(readFileSync(file, 'utf8')), 0);
  } catch {
    return false;
  }
}

async function stop(file: string): Promise<string> {
  const was = isRunning(file);
  if (was) {
    process.kill(Number(readFileSync(file, 'utf8')), 'SIGTERM');
    // A second signal ends a gateway that is still waiting for its users.
    for (let tries = 0; isRunning(file); tries += 1) {
      await pause(100);
      if (tries === 70) process.kill(Number(readFileSync(file, 'utf8')), 'SIGTERM');
      if (tries === 100) throw new Error(`process of ${file} does not end`);
    }
  }
  rmSync(file, { force: true });
  return was ? 'stopped' : 'was not running';
}

async function untilAnswering(port: number, where: string, name: string): Promise<void> {
  for (let tries = 0; !(await answers(port)); tries += 1) {
    if (!isRunning(pidFile(where, name)) || tries === 100) {
      const said = readFileSync(join(where, `${name}.log`), 'utf8')
        .trim()
        .split('\n')
        .slice(-10);
      throw new Error(`${name} did not start:\n${said.join('\n')}`);
    }
    await pause(100);
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true)).once('error', () => done(false));
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const names = process.argv.slice(2);
const known: readonly string[] = labBackends;
try {
  if (names.length === 1 && names[0] === 'down') await down();
  else if (names.every((name) => known.includes(name))) await up(names.length === 0 ? ['a', 'b'] : names);
  else throw new Error(`write "down", or backends of ${known.join(', ')}`);
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
