import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './ports.fixture.ts';
import { spawn } from './programs.ts';

/** A real redis-server of a test: on a free port of loopback, with its data in a folder of its own. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** SIGKILL: connections break, and none is accepted. Its data is kept for `restart`. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, and no command is answered. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Starts it again after `kill`, on the same port with the same data. */
  restart(): Promise<void>;
}

/**
 * Starts a redis-server and waits until it takes connections. `more` are further arguments of the program. Dispose of
 * it to end it and remove its data.
 */
export async function startRedisServer(more: readonly string[] = []): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-redis-'));
  const port = await freePort();
  let server = await launch(port, folder, more);

  async function kill(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  }

  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    kill,
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async restart() {
      server = await launch(port, folder, more);
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Redis, or the program that speaks its protocol and is tested in its place. */
const program = process.env['LAB_REDIS'] ?? 'redis-server';

async function launch(port: number, folder: string, more: readonly string[]): Promise<ChildProcess> {
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawn(program, [...args, ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: string[] = [];
  for await (const line of createInterface({ input: server.stdout })) {
    said.push(line);
    if (line.includes('Ready to accept connections')) {
      server.stdout.resume();
      return server;
    }
  }
  throw new Error(`${program} did not start:\n${said.join('\n')}`);
}
