import type { ChildProcessByStdio } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createCertificate } from '../../demo/certificate.ts';
import { startImapServer } from '../../demo/imap-server.ts';
import { alice, people } from '../../demo/people.ts';
import type { EventName } from '../../src/core/log.ts';
import { listening } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';

/** A line of a node's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** One gateway, as a process of its own. */
export interface Node extends AsyncDisposable {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly port: number;
  readonly operators: number;
  readonly log: readonly LogLine[];
  /** Its standard error. */
  complaints(): string;
  /** Resolves with the first line, from the start on, whose message matches. */
  logged(event: EventName): Promise<LogLine>;
  /** Resolves with exit code and signal. */
  readonly exited: Promise<readonly unknown[]>;
}

/** An IMAP server and a webmail that reports its requests, for gateways in front of them. */
export interface Cluster extends AsyncDisposable {
  /** The folder of the configurations, with users.map and ca.crt. */
  readonly folder: string;
  /**
   * `isIll`: its check is answered by 500. `checks`: when `/check` was asked for, in milliseconds. `uploads`: begun.
   */
  readonly webmail: { isIll: boolean; readonly checks: number[]; uploads: number };
  /** A whole configuration file: `more` are its first lines, without listeners, with another directory or without. */
  configure(
    name: string,
    more: string,
    ports?: { readonly public?: number; readonly operators?: number },
  ): Promise<string>;
  startNode(configFile: string, options?: NodeOptions): Promise<Node>;
}

interface NodeOptions {
  /** How many files and connections it may have open. */
  readonly descriptors?: number;
  /** The program of another version; that of this checkout if left out. */
  readonly program?: string;
}

interface ClusterOptions {
  /** Address → password; people of the demo if left out. */
  readonly users?: Readonly<Record<string, string>>;
  /** The webmail; one that reports its requests if left out. */
  readonly webmail?: Server;
}

const ownProgram = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  await using started = new AsyncDisposableStack();
  const keyPair = createCertificate(['127.0.0.1'], Date.now());
  const { users = Object.fromEntries(people.map(({ address, password }) => [address, password])), webmail: given } =
    options;
  const imap = started.use(await startImapServer({ users, security: 'tls', keyPair }));
  const webmail = { isIll: false, checks: new Array<number>(), uploads: 0 };
  const server =
    given ??
    createServer((request, response) => {
      if (request.url === '/upload') webmail.uploads += 1;
      if (request.url !== '/check') return tellWhatArrived(request, response);
      webmail.checks.push(performance.now());
      response.writeHead(webmail.isIll ? 500 : 200).end();
    });
  const webmailPort = await listening(server);
  started.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const folder = await mkdtemp(join(tmpdir(), 'postern-balancers-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  await writeFile(
    join(folder, 'users.map'),
    given === undefined
      ? `${alice.address}: a\n`
      : Object.keys(users)
          .map((user) => `${user}: a\n`)
          .join(''),
  );
  await writeFile(join(folder, 'ca.crt'), keyPair.certificate);
  const owned = started.move();
  return {
    folder,
    webmail,
    async configure(name, more, ports = {}) {
      const file = join(folder, `${name}.yaml`);
      const yaml = `${more}
listen: 127.0.0.1:${ports.public ?? 0}
${more.includes('directory:') ? '' : 'directory: { default_domain: example.test, sources: [{ type: map, file: users.map }] }'}
passdb: { tls_ca_file: ca.crt }
backends:
  a: { imap: "imaps://127.0.0.1:${imap.port}", webmail: "http://127.0.0.1:${webmailPort}/", driver: none }
${more.includes('operators:') ? '' : `operators: { listen: "127.0.0.1:${ports.operators ?? 0}" }`}
`;
      await writeFile(file, yaml);
      return file;
    },
    startNode: (configFile, options) => startNode(configFile, owned, options),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** `/arrived`: the request's own head; `/upload`: how much came, and its hash; anything else: a page. */
const tellWhatArrived: RequestListener = (request, response) => {
  const hash = createHash('sha256');
  let bytes = 0;
  request.on('data', (part: Buffer) => {
    bytes += part.length;
    hash.update(part);
  });
  request.on('end', () => {
    const path = (request.url ?? '').split('?', 1)[0];
    response.setHeader('content-type', 'application/json');
    if (path === '/upload') response.end(JSON.stringify({ bytes, sha256: hash.digest('hex') }));
    else response.end(JSON.stringify({ method: request.method, target: request.url, headers: request.headers }));
  });
};

async function startNode(
  configFile: string,
  cluster: AsyncDisposableStack,
  { descriptors, program = ownProgram }: NodeOptions = {},
): Promise<Node> {
  const command = [process.execPath, program, 'serve', '-c', configFile];
  const [run = '', ...args] =
    descriptors === undefined ? command : ['prlimit', `--nofile=${descriptors}:${descriptors}`, '--', ...command];
  const child = spawn(run, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await exited;
  };
  cluster.defer(stop);
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const log: LogLine[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  createInterface({ input: child.stdout }).on('line', (text) => {
    log.push(parseLine(text));
    wake();
  });
  child.once('close', wake);
  const logged = (event: EventName): Promise<LogLine> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        // Version 0.1.0 has no names of events.
        const found = log.find((line) => (line['event'] ?? line['msg']) === event);
        if (found === undefined && child.exitCode === null && child.signalCode === null) return;
        waiting.delete(look);
        if (found === undefined)
          reject(new Error(`the node ended without ${event}: ${complaints}${JSON.stringify(log)}`));
        else resolve(found);
      };
      waiting.add(look);
      look();
    });
  const ready = await logged('ready');
  return {
    child,
    port: Number(ready['public']),
    operators: Number(ready['operators']),
    log,
    complaints: () => complaints,
    logged,
    exited,
    [Symbol.asyncDispose]: stop,
  };
}

function parseLine(text: string): LogLine {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null) throw new TypeError(`not a line of the log: ${text}`);
  return { ...parsed };
}
