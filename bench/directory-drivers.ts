/**
 * Measures each source of the directory with its real peer: `node --expose-gc bench/directory-drivers.ts [SECONDS
 * [SOURCE]]`.
 *
 * Prints, per source: lookups per second through the whole directory without its cache, 32 at once and each of another
 * name, and the memory that the source and its client library keep. Each source has a process of its own. The peers run
 * on the same machine; those of socketmap, tcp_table and http even in that process, and take their share of it.
 */

import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Directory, DirectoryOptions } from '../src/directory/directory.ts';
import { connectRedis } from '../src/gateway/stores.ts';
import { loginName, temporaryDirectory, testDirectory } from '../test/directory/directory.fixture.ts';
import { startDirector } from '../test/directory/peers/director.fixture.ts';
import { startServer } from '../test/directory/peers/line-server.fixture.ts';
import { startMariadb } from '../test/directory/peers/mariadb.fixture.ts';
import { startMupdateMaster } from '../test/directory/peers/mupdate.fixture.ts';
import { startPostgresql } from '../test/directory/peers/postgresql.fixture.ts';
import { startSlapd } from '../test/directory/peers/slapd.fixture.ts';
import { listening } from '../test/ports.fixture.ts';
import { spawnSync } from '../test/programs.ts';
import { startRedisServer } from '../test/redis-server.fixture.ts';

interface Peer extends AsyncDisposable {
  readonly settings: DirectoryOptions['sources'][number];
  readonly options?: Partial<DirectoryOptions>;
}

const [, script = '', seconds = '5', only] = process.argv;
const atOnce = 32;
const never = new AbortController().signal;
const query = 'select backend from homes where login = %u';

const peers: Readonly<Record<string, () => Promise<Peer>>> = {
  static: async () => withoutPeer({ type: 'static', backend: 'a' }),
  hash: async () => withoutPeer({ type: 'hash' }),
  async regex() {
    const folder = await temporaryDirectory();
    const file = join(folder.path, 'homes.re');
    await writeFile(file, Array.from({ length: 100 }, (_, n) => `/^user${n + 100}0@/ a\n`).join('') + '/./ b\n');
    return { settings: { type: 'regex', file }, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
  },
  async redis() {
    const server = await startRedisServer();
    const settings = { type: 'redis', url: server.url, key: 'home:%u' };
    return { settings, options: { connectRedis }, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  },
  async tcp_table() {
    const server = await startServer((socket) => void socket.on('data', () => socket.write('200 a\n')));
    return {
      settings: { type: 'tcp_table', server: `127.0.0.1:${server.port}` },
      [Symbol.asyncDispose]: () => server.stop(),
    };
  },
  async socketmap() {
    const server = await startServer((socket) => void socket.on('data', () => socket.write('4:OK a,')));
    const settings = { type: 'socketmap', map: 'homes', server: `127.0.0.1:${server.port}` };
    return { settings, [Symbol.asyncDispose]: () => server.stop() };
  },
  async http() {
    const server = createServer((_request, response) => void response.end('{"backend":"a"}'));
    const port = await listening(server);
    return {
      settings: { type: 'http', url: `http://127.0.0.1:${port}/%u` },
      async [Symbol.asyncDispose]() {
        server.close();
        server.closeAllConnections();
      },
    };
  },
  async ldap() {
    const slapd = await startSlapd();
    await slapd.put('alice', { mail: 'alice@example.test', mailHost: 'a' });
    const settings = {
      type: 'ldap',
      servers: `ldap://127.0.0.1:${slapd.port}`,
      tls_ca_file: slapd.caFile,
      bind_dn: slapd.bindDn,
      bind_password: slapd.bindPassword,
      base: slapd.base,
      filter: '(mail=%u)',
      backend_attribute: 'mailHost',
    };
    return { settings, [Symbol.asyncDispose]: () => slapd[Symbol.asyncDispose]() };
  },
  async postgresql() {
    const server = await startPostgresql();
    const own = { type: 'postgresql', database: 'postgres', user: 'postern', query };
    const settings = { ...own, servers: `127.0.0.1:${server.port}`, tls_ca_file: server.caFile };
    return { settings, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  },
  async mysql() {
    const server = await startMariadb();
    const own = { type: 'mysql', database: 'postern', user: 'postern', password: 'postern-pw', query };
    const tls = { tls_ca_file: server.caFile, tls_server_name: 'db.example.test' };
    const settings = { ...own, ...tls, servers: `127.0.0.1:${server.port}` };
    return { settings, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  },
  'mupdate (find)': () => murder('find'),
  'mupdate (update)': () => murder('update'),
  async doveadm() {
    const hosts = { '127.0.0.101': 'a', '127.0.0.102': 'b' };
    const director = await startDirector(Object.keys(hosts));
    const settings = { type: 'doveadm', url: director.url, api_key: director.apiKey };
    return { settings, options: { hosts }, [Symbol.asyncDispose]: () => director[Symbol.asyncDispose]() };
  },
};

function withoutPeer(settings: Peer['settings']): Peer {
  return { settings, async [Symbol.asyncDispose]() {} };
}

async function murder(mode: 'find' | 'update'): Promise<Peer> {
  const { port, user, password, caFile, ...master } = await startMupdateMaster();
  const settings = { type: 'mupdate', servers: `127.0.0.1:${port}`, mode, user, password, tls_ca_file: caFile };
  return { settings, [Symbol.asyncDispose]: () => master[Symbol.asyncDispose]() };
}

/** The memory that is kept. The resident size would depend on how far a busy heap once grew. */
async function keptMiB(): Promise<number> {
  for (let turn = 0; turn < 3; turn += 1) {
    globalThis.gc?.();
    await wait(50);
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

async function measure(name: string, peer: Peer): Promise<void> {
  let asked = 0;
  const askFor = async (directory: Directory, ms: number): Promise<number> => {
    const endMs = performance.now() + ms;
    const askUntilThen = async (): Promise<void> => {
      while (performance.now() < endMs) {
        await directory.lookup(loginName(`user${(asked += 1)}`), never);
      }
    };
    asked = 0;
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: atOnce }, askUntilThen));
    return asked / ((performance.now() - startedMs) / 1000);
  };
  // The code that all sources share does not count.
  await using plain = await testDirectory([{ type: 'static', backend: 'a' }]);
  await askFor(plain, 1000);
  const before = await keptMiB();
  await using directory = await testDirectory([peer.settings], peer.options);
  await askFor(directory, 1000);
  const perSecond = await askFor(directory, Number(seconds) * 1000);
  const heldMiB = (await keptMiB()) - before;
  process.stdout.write(`${name.padEnd(16)} ${perSecond.toFixed(0)} lookups/s, memory ${heldMiB.toFixed(1)} MiB\n`);
}

if (only === undefined) {
  for (const name of Object.keys(peers)) {
    spawnSync(process.execPath, ['--expose-gc', script, seconds, name], { stdio: 'inherit' });
  }
} else {
  await using peer = await peers[only]?.();
  if (peer === undefined) throw new Error(`there is no source ${only}`);
  await measure(only, peer);
}
