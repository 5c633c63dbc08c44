import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { debianRoot } from '../debian-root.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { connects, exists, type RunningProgram, runProgram, startProgram } from '../programs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = '/var/cache/postern-tests';

/** The real Docker Compose 2, of Debian 13. Its `config` needs no engine. */
export async function composeProgram(): Promise<string> {
  const program = join(cache, 'docker-compose');
  if (await exists(program)) return program;
  await using debian = await debianRoot('trixie');
  await debian.install('docker-compose');
  await copyFile(join(debian.path, 'usr/libexec/docker/cli-plugins/docker-compose'), `${program}.new`);
  await chmod(`${program}.new`, 0o755);
  await rename(`${program}.new`, program);
  return program;
}

/** A service of compose.yaml, as Compose understands it. */
export interface Service {
  readonly command: readonly string[] | null;
  readonly image: string;
  readonly read_only?: boolean;
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly secrets?: readonly { readonly source: string; readonly target?: string }[];
  readonly volumes?: readonly { readonly source: string; readonly target: string; readonly read_only?: boolean }[];
}

/** Resolves with the services of a folder's compose.yaml. Rejects with what Compose says. */
export async function servicesIn(folder: string): Promise<Readonly<Record<string, Service>>> {
  const said = await runProgram(await composeProgram(), ['config', '--format', 'json'], { cwd: folder });
  return JSON.parse(said.replaceAll('$$', '$')).services;
}

/** Copies deploy/compose into a folder of the test's own and makes its secrets by its own script. */
export async function prepareCompose(): Promise<AsyncDisposable & { readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-compose-'));
  const source = join(root, 'deploy/compose');
  await cp(source, folder, { recursive: true, filter: (name) => name !== join(source, 'secrets') });
  await makeSecrets(folder);
  return { folder, [Symbol.asyncDispose]: () => remove(folder) };
}

/** Runs the script in such a folder. Rejects with what it says. */
export async function makeSecrets(folder: string): Promise<void> {
  const env = { POSTERN: `${process.execPath} ${join(root, 'bin/postern.mjs')}`, SECRETS: join(folder, 'secrets') };
  await runProgram('sh', [join(folder, 'prepare')], { env });
}

/** Redis, which a shell started, may still write for a moment after that has ended. */
function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}

/** The parts of the Compose file, run without an engine on ports of loopback. */
export interface RunningParts extends AsyncDisposable {
  /** HAProxy's. */
  readonly origin: string;
  readonly node1: RunningProgram;
  readonly node2: RunningProgram;
  /** The audit of each node. */
  readonly audits: readonly [string, string];
  /** Runs `postern` as in the container of a node. */
  postern(node: 'node1' | 'node2', ...args: readonly string[]): Promise<string>;
  /** Runs a service's own health check. */
  check(service: 'redis' | 'backend-a' | 'backend-b' | 'haproxy'): Promise<string>;
}

/** `$1`: the folder of the secrets; then the program. Mounts each secret as Compose does, in a namespace of its own. */
const withSecrets = `set -e
secrets=$1; shift
mount --make-rprivate /; mount -t tmpfs tmpfs /run; mkdir /run/secrets
for file in "$secrets"/*; do
  at=/run/secrets/$(basename "$file"); : >"$at"; mount --bind "$file" "$at"; mount -o remount,bind,ro "$at"
done
exec "$@"`;

function local(port: number): string {
  return `127.0.0.1:${port}`;
}

/** Starts Redis, both backends, both nodes and HAProxy with the files and commands of a prepared folder. */
export async function startParts(folder: string): Promise<RunningParts> {
  const services = await servicesIn(folder);
  const [front = 0, redis = 0, one = 0, two = 0, agent1 = 0, agent2 = 0, ...rest] = await freePorts(12);
  const [operators1 = 0, operators2 = 0, imapA = 0, webA = 0, imapB = 0, webB = 0] = rest;
  const mail = join(folder, 'mail');
  const contained = (program: string, ...args: readonly string[]) => {
    return ['-m', 'sh', '-c', withSecrets, 'sh', join(folder, 'secrets'), program, ...args];
  };
  const commandOf = (name: string) => services[name]?.command ?? [];
  const checkOf = (name: string) => services[name]?.healthcheck?.test.slice(1) ?? [];
  await using parts = new AsyncDisposableStack();

  await replaceIn(join(folder, 'redis.conf'), {
    'bind * -::*': 'bind 127.0.0.1',
    'port 6379': `port ${redis}`,
    'dir /data': `dir ${folder}`,
  });
  const [shell = '', ...serve] = commandOf('redis').map((text) =>
    text.replace('/etc/redis.conf', `${folder}/redis.conf`),
  );
  parts.use(await startProgram('unshare', contained(shell, ...serve), { isReady: () => connects(redis) }));

  const backends = [
    ['backend-a', imapA, webA],
    ['backend-b', imapB, webB],
  ] as const;
  for (const [name, imap, web] of backends) {
    const given: Readonly<Record<string, string>> = {
      '0.0.0.0': '127.0.0.1',
      '9993': String(imap),
      '8080': String(web),
      '/var/lib/demo': mail,
    };
    const args = [join(root, 'demo/backend.ts'), ...commandOf(name).map((arg) => given[arg] ?? arg)];
    parts.use(await startProgram(process.execPath, args, { isReady: () => connects(web) }));
  }

  const nodes = [
    ['node1', one, operators1, agent1],
    ['node2', two, operators2, agent2],
  ] as const;
  const started: RunningProgram[] = [];
  for (const [name, port, operators, agent] of nodes) {
    const state = join(folder, name);
    await mkdir(state);
    await cp(join(folder, 'postern'), join(folder, `${name}.d`), { recursive: true });
    await replaceIn(join(folder, `${name}.d/postern.yaml`), {
      'listen: 0.0.0.0:8080': `listen: ${local(port)}`,
      '[http://localhost:8080, http://127.0.0.1:8080]': `http://${local(front)}`,
      '192.168.142.0/24': '127.0.0.1',
      'delay: 5s, deadline: 60s': 'delay: 0s, deadline: 3s',
      '127.0.0.1:9090': `"${local(operators)}"`,
      '0.0.0.0:9091': `"${local(agent)}"`,
      'redis:6379': local(redis),
      '/var/lib/postern': state,
      '/run/demo': mail,
      'imaps://backend-a:9993': `imaps://${local(imapA)}`,
      'http://backend-a:8080': `http://${local(webA)}`,
      'imaps://backend-b:9993': `imaps://${local(imapB)}`,
      'http://backend-b:8080': `http://${local(webB)}`,
    });
    const args = contained(process.execPath, join(root, 'bin/postern.mjs'), 'serve', '-c', configurationOf(name));
    started.push(parts.use(await startProgram('unshare', args, { isReady: () => connects(port) })));
  }
  function configurationOf(name: string): string {
    return join(folder, `${name}.d/postern.yaml`);
  }

  const config = join(folder, 'haproxy.cfg');
  await replaceIn(config, {
    'bind :8080': `bind ${local(front)}`,
    'node1:8080 agent-check agent-port 9091': `${local(one)} agent-check agent-port ${agent1}`,
    'node2:8080 agent-check agent-port 9091': `${local(two)} agent-check agent-port ${agent2}`,
  });
  parts.use(await startProgram('haproxy', ['-W', '-db', '-f', config], { isReady: () => connects(front) }));
  const [node1, node2] = started;
  if (node1 === undefined || node2 === undefined) throw new Error('there are two nodes');

  const ports: Readonly<Record<string, number>> = { 'backend-a': webA, 'backend-b': webB, haproxy: front };
  const running = parts.move();
  return {
    origin: `http://${local(front)}`,
    node1,
    node2,
    audits: [join(folder, 'node1/audit.jsonl'), join(folder, 'node2/audit.jsonl')],
    postern: (node, ...args) => {
      const command = [join(root, 'bin/postern.mjs'), ...args, '-c', configurationOf(node)];
      return runProgram('unshare', contained(process.execPath, ...command));
    },
    check: (service) => {
      if (service === 'redis') {
        const text = checkOf('redis').join(' ').replace('redis-cli ping', `redis-cli -p ${redis} ping`);
        return runProgram('unshare', contained('sh', '-c', text));
      }
      const [program = '', ...args] = checkOf(service).map((text) =>
        text.replace('127.0.0.1:8080', local(ports[service] ?? 0)),
      );
      return runProgram('unshare', contained(program === 'node' ? process.execPath : program, ...args));
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Replaces texts of a file. Each must occur. */
async function replaceIn(file: string, replacements: Readonly<Record<string, string>>): Promise<void> {
  let text = await readFile(file, 'utf8');
  for (const [before, after] of Object.entries(replacements)) {
    if (!text.includes(before)) throw new Error(`${file} does not hold ${before} any more`);
    text = text.replaceAll(before, after);
  }
  await writeFile(file, text);
}
