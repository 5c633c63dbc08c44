import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { release, runProgram, spawn } from '../programs.ts';
import { noteUse } from '../../tools/tested-with.ts';

export const labBackends = ['a', 'b', 'c', 'd', 'mupdate', 'perdition'] as const;
export type LabBackend = (typeof labBackends)[number];

/** The packages of the servers that each backend is there for. */
const servers: Readonly<Record<LabBackend, readonly string[]>> = {
  a: ['dovecot-core', 'roundcube-core', 'php-fpm'],
  b: ['dovecot-core', 'roundcube-core', 'php-fpm'],
  c: ['dovecot-core', 'sogo'],
  d: ['cyrus-common', 'php-horde-imp', 'php-fpm'],
  mupdate: ['cyrus-common'],
  perdition: ['perdition'],
};

/** The path of the lab's script. */
export const labScript = fileURLToPath(new URL('lab', import.meta.url));

/** The real servers, while a test uses them. */
export interface Lab {
  readonly dataFolder: string;
  /** The file with the certificate authority of the lab. */
  readonly caFile: string;
  /** The actual port for a standard one, with the lab's offset. */
  port(standard: number): number;
  /** Makes every webmail session on this backend invalid at once. */
  expire(backend: LabBackend): Promise<void>;
  up(backend: LabBackend): Promise<void>;
  down(backend: LabBackend): Promise<void>;
}

/** A user of the lab, as in users.tsv. */
export interface LabUser {
  readonly backend: string;
  readonly user: string;
  readonly password: string;
}

/** Runs the lab's script. Rejects with its output. */
export async function lab(...args: readonly string[]): Promise<string> {
  return (await runProgram(labScript, args)).trim();
}

/**
 * Starts what is not running of these backends, for the test file that calls it, which then has them for itself: a
 * file that wants them too waits. The last one to end stops them.
 */
export async function withLab(...backends: readonly LabBackend[]): Promise<Lab> {
  const joined = await joinLab(...backends);
  after(() => joined[Symbol.asyncDispose](), { timeout: 60_000 });
  return joined;
}

/** As {@link withLab}, for programs that are no tests. Disposal leaves the lab. */
export async function joinLab(...backends: readonly LabBackend[]): Promise<Lab & AsyncDisposable> {
  const self = String(process.pid);
  const where = await lab('where');
  const portOffset = Number(await lab('offset'));
  await lab('join', self, ...backends);
  const free = await takeForMyself(`${where}/exclusive`);
  // Servers that the previous test file stopped are started again.
  await lab('join', self, ...backends);
  for (const backend of backends) noteUse(servers[backend], release);
  return {
    dataFolder: where,
    caFile: `${where}/tls/ca.crt`,
    port: (standard) => standard + portOffset,
    expire: async (backend) => void (await lab('expire', backend)),
    up: async (backend) => void (await lab('join', self, backend)),
    down: async (backend) => void (await lab('down', backend)),
    async [Symbol.asyncDispose]() {
      free();
      await lab('leave', self);
    },
  };
}

/** Waits for a lock and holds it until the returned function is called, or until this process is gone. */
async function takeForMyself(file: string): Promise<() => void> {
  // The lock lives as long as its shell, and that one as long as its input: ours.
  const holder = spawn('flock', [file, 'sh', '-c', 'echo taken; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  return () => holder.stdin.end();
}

export const labUsers: readonly LabUser[] = readFileSync(new URL('users.tsv', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [backend = '', user = '', password = ''] = line.split('\t');
    return { backend, user, password };
  });
