import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from 'redis';
import { freePort } from '../test/ports.fixture.ts';
import { connects, runProgram, startProgram } from '../test/programs.ts';
import { backendBlocks, startNginx } from './nginx.ts';
import { nodeFlags } from './node-flags.ts';
import { writeAssets } from './roundcube-page.ts';

/** The environment of every measurement: a backend, Redis, a certificate, and a folder for files. */
export interface Stage extends AsyncDisposable {
  readonly folder: string;
  readonly redis: { readonly url: string; readonly pid: number; readonly client: RedisClient };
  /** A web server with answers of several sizes, the files of a Roundcube page, and `/upload`. */
  readonly backend: { readonly port: number; readonly pid: number };
  /** A server that echoes WebSocket messages. */
  readonly sockets: { readonly port: number; readonly pid: number };
  /** Key and certificate of 127.0.0.1 in one file, and the certificate alone. */
  readonly tls: { readonly keyAndCertificateFile: string; readonly certificateFile: string };
  /** Starts a program of `peers/` with its port as the first argument. It ends with the stage. */
  startPeer(file: string, args: readonly string[]): Promise<{ readonly port: number; readonly pid: number }>;
  /** Has a resource disposed of with the stage. */
  keep<Part extends AsyncDisposable>(part: Part): Part;
}

type RedisClient = Awaited<ReturnType<typeof connectRedis>>;

/** Sizes of the answers at `/<name>`, in bytes. */
const answerSizes = { '1k': 1024, '50k': 50_000, '10m': 10_000_000 } as const;

/** Opens a stage. Disposing ends everything on it. */
export async function openStage(): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  let stack = opened;
  const keep: Stage['keep'] = (part) => stack.use(part);
  const tls = await makeCertificate(folder);

  async function startPeer(file: string, args: readonly string[]) {
    const port = await freePort();
    const path = fileURLToPath(new URL(`peers/${file}`, import.meta.url));
    const { pid } = keep(
      await startProgram(process.execPath, [...nodeFlags, path, String(port), ...args], {
        isReady: () => connects(port),
      }),
    );
    return { port, pid };
  }

  const backend = await startBackend(folder, keep);
  const redis = await startRedis(folder, keep);
  const client = await connectRedis(redis.url);
  opened.defer(() => client.destroy());
  const sockets = await startPeer('web-socket-echo.ts', []);
  stack = opened.move();
  return {
    folder,
    redis: { ...redis, client },
    backend,
    sockets,
    tls,
    startPeer,
    keep,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function startBackend(folder: string, keep: Stage['keep']) {
  const port = await freePort();
  const root = join(folder, 'www');
  await mkdir(root);
  for (const [name, bytes] of Object.entries(answerSizes)) await writeFile(join(root, name), Buffer.alloc(bytes, name));
  await writeAssets(root);
  const { pid } = keep(await startNginx(join(folder, 'backend'), port, backendBlocks(root, port)));
  return { port, pid };
}

async function startRedis(folder: string, keep: Stage['keep']) {
  const port = await freePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'];
  const { pid } = keep(await startProgram('redis-server', settings, { isReady: () => connects(port) }));
  return { url: `redis://127.0.0.1:${port}/0`, pid };
}

async function connectRedis(url: string) {
  const client = createClient({ url });
  await client.connect();
  return client;
}

async function makeCertificate(folder: string): Promise<Stage['tls']> {
  const [key, certificate, both] = [join(folder, 'tls.key'), join(folder, 'tls.crt'), join(folder, 'tls.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await runProgram('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject,
    '-keyout',
    key,
    '-out',
    certificate,
  ]);
  await writeFile(both, (await readFile(key, 'utf8')) + (await readFile(certificate, 'utf8')));
  return { keyAndCertificateFile: both, certificateFile: certificate };
}
