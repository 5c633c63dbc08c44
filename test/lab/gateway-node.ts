import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from '../eventually.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';
import type { Lab } from './lab.ts';

const clock = fileURLToPath(new URL('../integrations/clock.mjs', import.meta.url));
const program = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

/** The shared parts of a cluster: the configuration's folder, the addresses, and Redis. */
export interface ClusterOptions {
  readonly lab: Pick<Lab, 'port' | 'caFile'>;
  readonly redisUrl: string;
  readonly nodes: number;
  /** Further top-level lines of the configuration. */
  readonly settings?: string;
  /** Further settings of `sessions`, such as `idle_timeout: 3s`. */
  readonly sessions?: string;
}

/** Gateway nodes in front of the lab, each a separate process, as in production. */
export interface Cluster extends AsyncDisposable {
  readonly nodes: readonly GatewayNode[];
  /** Sets the clocks of all nodes so much ahead of ours. A node that is started later has the true time. */
  setClocks(offsetMs: number): Promise<void>;
}

export interface GatewayNode {
  readonly origin: string;
  readonly configFile: string;
  /** The socket of its API. */
  readonly socket: string;
  /** Every line of its log. */
  readonly log: readonly string[];
  /** Its metrics, as Prometheus reads them. */
  scrape(): Promise<string>;
  /** SIGKILL: no request is finished, and no connection is closed properly. */
  kill(): Promise<void>;
  /** Starts it again on the same address. */
  start(): Promise<void>;
}

/** Starts a cluster and waits until every node serves. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-lab-'));
  const ports = await freePorts(options.nodes);
  await writeFile(
    join(folder, 'users.map'),
    `alice@example.test: a
anna@example.test: a
nina@other.test: a
bob@example.test: b
bert@example.test: b
sam@example.test: b
`,
  );
  const nodes: Node[] = [];
  const end = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    // One after the other: the first one makes the server keys.
    for (const port of ports) {
      const node = new Node(join(folder, `node-${port}.yaml`), port);
      nodes.push(node);
      await writeFile(node.configFile, configuration(options, port, ports));
      await node.start();
    }
  } catch (error) {
    await end();
    throw error;
  }
  const setClocks = async (offsetMs: number): Promise<void> => {
    await writeFile(join(folder, 'clock'), String(offsetMs));
    await Promise.all(nodes.map((node) => node.readClock()));
  };
  return { nodes, setClocks, [Symbol.asyncDispose]: end };
}

function configuration(
  { lab, redisUrl, settings = '', sessions = '' }: ClusterOptions,
  port: number,
  ports: readonly number[],
): string {
  const backend = (address: string): string =>
    `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/", driver: roundcube }`;
  return `listen: 127.0.0.1:${port}
public_url: [${ports.map((each) => `"http://127.0.0.1:${each}"`).join(', ')}]
trusted_proxies: [127.0.0.1/32]
operators: { listen: 127.0.0.1:0, socket: api-${port}.sock }
sessions: { redis: "${redisUrl}", keys_file: keys, ${sessions} }
directory:
  default_domain: example.test
  sources:
    - { type: map, file: users.map }
passdb: { tls_ca_file: "${lab.caFile}" }
login: { refusal_after: 0s }
backends:
  a: ${backend('127.0.0.11')}
  b: ${backend('127.0.0.12')}
shutdown: { delay: 0s, deadline: 2s }
${settings}
`;
}

class Node implements GatewayNode {
  readonly configFile: string;
  readonly socket: string;
  readonly origin: string;
  readonly log: string[] = [];
  #process: ChildProcess | undefined;
  #operators = '';

  constructor(configFile: string, port: number) {
    this.configFile = configFile;
    this.socket = join(dirname(configFile), `api-${port}.sock`);
    this.origin = `http://127.0.0.1:${port}`;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--import', clock, program, 'serve', '-c', this.configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, POSTERN_TEST_CLOCK: join(dirname(this.configFile), 'clock') },
    });
    this.#process = child;
    const endWithUs = (): void => void child.kill('SIGKILL');
    process.once('exit', endWithUs);
    child.once('exit', () => process.off('exit', endWithUs));
    const ready = Promise.withResolvers<void>();
    const note = (line: string): void => {
      this.log.push(line);
      if (!line.includes('"event":"ready"')) return;
      this.#operators = /"operators":(\d+)/.exec(line)?.[1] ?? '';
      ready.resolve();
    };
    createInterface({ input: child.stdout }).on('line', note);
    createInterface({ input: child.stderr }).on('line', note);
    child.once('exit', (code) => ready.reject(new Error(`the gateway ended with ${code}:\n${this.log.join('\n')}`)));
    await ready.promise;
  }

  async readClock(): Promise<void> {
    const known = this.log.length;
    this.#process?.kill('SIGUSR2');
    await eventually(() => this.log.includes('"the clock was set"', known));
  }

  async scrape(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#operators}/metrics`)).text();
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}
