import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connects, startProgram } from '../test/programs.ts';
import { spawn, spawnSync } from '../test/programs.ts';

/** The address that keepalived moves, and the network of the two machines and their users. */
const network = '10.77.0';
export const sharedOrigin = `http://${network}.20`;

const program = fileURLToPath(new URL('../bin/postern.mjs', import.meta.url));
const sample = new URL('../deploy/keepalived.conf', import.meta.url);

/** A network namespace with a gateway node and a keepalived in it, as deploy/keepalived.conf has them. */
interface Machine {
  readonly name: string;
  gateway: ChildProcess;
  /** Starts the gateway again. Resolves when it serves. */
  startGateway(): Promise<void>;
  /** Takes the network link down or up. */
  setLink(is: 'up' | 'down'): void;
}

export interface TwoMachines extends AsyncDisposable {
  /** The machines; the first one normally has the address. */
  readonly machines: readonly [Machine, Machine];
  readonly redisUrl: string;
  readonly keysFile: string;
}

/** Starts both machines, with Redis and a webmail in the namespace of the network, which is that of this process. */
export async function startTwoMachines(folder: string): Promise<TwoMachines> {
  await using opened = new AsyncDisposableStack();
  // The mount stays in this mount namespace: names of ours must not remain on the machine.
  mkdirSync('/run/netns', { recursive: true });
  run('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns');
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'br0', 'type', 'bridge');
  ip('addr', 'add', `${network}.1/24`, 'dev', 'br0');
  ip('link', 'set', 'br0', 'up');
  const redis = ['--port', '6379', '--bind', '127.0.0.1', `${network}.1`, '--protected-mode', 'no', '--save', ''];
  opened.use(await startProgram('redis-server', [...redis, '--dir', folder], { isReady: () => connects(6379) }));
  const webmail = createServer((_request, response) => response.end('a page'));
  webmail.listen(8080, `${network}.1`);
  await once(webmail, 'listening');
  opened.defer(() => {
    webmail.close();
    webmail.closeAllConnections();
  });
  const redisUrl = `redis://${network}.1:6379/0`;
  const file = join(folder, 'postern.yaml');
  await writeFile(file, configuration(folder, redisUrl));
  const first = await startMachine(folder, 1, file, opened);
  const second = await startMachine(folder, 2, file, opened);
  const owned = opened.move();
  return {
    machines: [first, second],
    redisUrl,
    keysFile: join(folder, 'keys'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function configuration(folder: string, redisUrl: string): string {
  return `listen: 0.0.0.0:80
public_url: ${sharedOrigin}
operators: { listen: 127.0.0.1:9090 }
sessions: { redis: "${redisUrl}", keys_file: "${folder}/keys" }
directory: { sources: [{ type: static, backend: a }] }
backends:
  a: { imap: "imaps://${network}.1", webmail: "http://${network}.1:8080/", driver: none, health: { imap_interval: 0s } }
log: { level: info }
`;
}

async function startMachine(
  folder: string,
  number: 1 | 2,
  configFile: string,
  opened: AsyncDisposableStack,
): Promise<Machine> {
  const name = `g${number}`;
  ip('netns', 'add', name);
  ip('link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  ip('link', 'set', `to-${name}`, 'master', 'br0', 'up');
  ip('-n', name, 'addr', 'add', `${network}.1${number}/24`, 'dev', 'eth0');
  for (const link of ['lo', 'eth0']) ip('-n', name, 'link', 'set', link, 'up');
  const inside = ['netns', 'exec', name];

  async function startGateway(): Promise<ChildProcess> {
    const command = [...inside, process.execPath, program, 'serve', '-c', configFile];
    const child = spawn('ip', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) if (line.includes('"event":"ready"')) break;
    child.stdout.resume();
    if (child.exitCode !== null) throw new Error(`the gateway of ${name} ended with ${child.exitCode}`);
    return child;
  }
  const machine: Machine = {
    name,
    gateway: await startGateway(),
    async startGateway() {
      machine.gateway = await startGateway();
    },
    setLink: (is) => ip('link', 'set', `to-${name}`, is),
  };
  opened.defer(() => end(machine.gateway));

  const file = join(folder, `${name}.conf`);
  let text = (await readFile(sample, 'utf8')).replace('10.0.0.20/24', `${network}.20/24`);
  if (number === 2) text = text.replace('state MASTER', 'state BACKUP').replace('priority 120', 'priority 100');
  await writeFile(file, text);
  const options = ['-n', '-l', '-f', file, '-p', `${file}.pid`, '-r', `${file}.vrrp.pid`];
  const keepalived = spawn('ip', [...inside, 'keepalived', ...options], { stdio: 'ignore' });
  await once(keepalived, 'spawn');
  opened.defer(() => end(keepalived));
  return machine;
}

/** `ip netns exec` becomes the program that it starts. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function ip(...args: readonly string[]): void {
  run('ip', ...args);
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
