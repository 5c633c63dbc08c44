import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createClient } from 'redis';
import { dialRedis } from '../../src/cli/check-online.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Log } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import { buildDirectory, startGateway } from '../../src/gateway.ts';
import { makeKeysFile } from '../../src/sessions/keys-file.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { openServerKeys } from '../../src/sessions/server-keys.ts';
import { gatewayWith, run } from '../cli/cli.fixture.ts';
import { filesOf } from '../config/config.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { recordKeyOf, sampleRecord } from '../sessions/samples.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

type RedisByUser = Extract<Parameters<typeof dialRedis>[0], { readonly url: string }>;

interface Noted {
  readonly log: Log;
  /** The events with their subject. */
  readonly lines: readonly string[];
}

function notingLog(): Noted {
  const lines: string[] = [];
  const note = (event: string, fields: object = {}): void => {
    lines.push(`${event} ${'err' in fields && fields.err instanceof Error ? fields.err.message : ''}`);
  };
  return { log: { debug: () => {}, info: note, warn: note, error: note }, lines };
}

/** The address of a Redis; with a password, for the ACL user `postern`. */
async function openStore(port: number, { log }: Pick<Noted, 'log'> = notingLog(), password?: string) {
  const settings =
    password === undefined
      ? { url: `redis://127.0.0.1:${port}/0` }
      : { url: `redis://postern@127.0.0.1:${port}/0`, password: new Secret(password) };
  const store = new RedisSessionStore({ settings, tombstoneMs: 60_000, log });
  await store.open(AbortSignal.timeout(5_000));
  return store;
}

/** A server's answer to a command, in RESP: `-MISCONF …`; undefined to drop the connection. */
type Answer = (command: string) => string | undefined;

/** A server that knows enough RESP for the handshake, answers by a script, and counts its connections. */
async function startScripted(answer: Answer, toHello = '%1\r\n$5\r\nproto\r\n:3') {
  const sockets = new Set<Socket>();
  let dials = 0;
  const server = createServer((socket) => {
    dials += 1;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      // Every command is an array; the first bulk string of each is its name.
      for (const [, name = ''] of bytes.toString().matchAll(/\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n/g)) {
        const said = name.toUpperCase() === 'HELLO' ? toHello : answer(name.toUpperCase());
        if (said === undefined) socket.destroy();
        else socket.write(`${said}\r\n`);
      }
    });
  });
  const port = await listening(server);
  return {
    port,
    dials: () => dials,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a Redis that answers, but not as one would wish', () => {
  const misconf = '-MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.';
  const cases: readonly (readonly [what: string, answer: Answer])[] = [
    ['takes no writes and refuses PING (MISCONF)', (name) => (name === 'PING' ? misconf : ':0')],
    [
      'is a replica that has lost its master (MASTERDOWN)',
      (name) =>
        name === 'CLIENT' ? '+OK' : '-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is no.',
    ],
    ['drops each connection at its first command', (name) => (name === 'CLIENT' ? '+OK' : undefined)],
    ['drops each connection after the handshake', () => undefined],
    ['is full', () => '-ERR max number of clients reached'],
  ];
  for (const [what, answer] of cases) {
    it(`is not dialled again and again when it ${what}`, async () => {
      const noted = notingLog();
      await using server = await startScripted(answer);
      await using store = await openStore(server.port, noted);
      const asked = Date.now();
      while (Date.now() - asked < 2_500) await store.ping().catch(() => new Promise((later) => setTimeout(later, 50)));
      assert.ok(server.dials() <= 20, `${server.dials()} connections`);
      assert.ok(noted.lines.length <= 40, `${noted.lines.length} lines of log`);
    });
  }
});

describe('what Redis refuses is said with what it means', () => {
  const words: readonly (readonly [said: string, means: RegExp])[] = [
    ['-LOADING Redis is loading the dataset in memory', /loading its data from disk/],
    ["-OOM command not allowed when used memory > 'maxmemory'.", /memory is full: raise maxmemory/],
    ['-BUSY Redis is busy running a script.', /a script is keeping it busy/],
    ['-CLUSTERDOWN The cluster is down', /has no master for some of the keys/],
    ['-MOVED 3999 127.0.0.1:6381', /one node of a Cluster: write cluster instead of url/],
    ['-NOREPLICAS Not enough good replicas to write.', /too few replicas/],
    ["-READONLY You can't write against a read only replica.", /a replica and refuses writes/],
    ["-ERR unknown command 'PING'", /does not have the command, or has it renamed/],
  ];
  for (const [said, means] of words) {
    it(`to a command: ${said}`, async () => {
      await using server = await startScripted((name) => (name === 'CLIENT' ? '+OK' : said));
      await using store = await openStore(server.port);
      await assert.rejects(store.ping(), { code: 'ERR_STORE_UNAVAILABLE', message: means });
    });
  }

  const greetings: readonly (readonly [said: string, means: RegExp])[] = [
    ['-ERR unknown command `HELLO`, with args beginning with: `3`', /older than Redis 6/],
    ['-NOPROTO unsupported protocol version', /older than Redis 6/],
    ['-NOAUTH HELLO must be called with the client already authenticated', /it requires a password/],
    ['-WRONGPASS invalid username-password pair or user is disabled.', /user name or password is wrong/],
    ['-ERR max number of clients reached', /accepts no more connections: raise maxclients/],
    ['-DENIED Redis is running in protected mode', /it is in protected mode/],
  ];
  for (const [said, means] of greetings) {
    it(`to a connection, of which the commands know: ${said}`, async () => {
      await using server = await startScripted(() => said, said);
      await using store = await openStore(server.port);
      await assert.rejects(store.ping(), { code: 'ERR_STORE_UNAVAILABLE', message: means });
    });
  }
});

describe('a Redis whose disk is full', () => {
  it('is read on, however long: what cannot be done is said as what it is', async () => {
    const script = (await readFieldInput('M1-redis-misconf.sh')).toString();
    const given = /redis-server --port \d+ (.*) --daemonize/.exec(script)?.[1] ?? '';
    const settings = [...given.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
    assert.ok(settings.includes('/proc') && settings.includes('--stop-writes-on-bgsave-error'));
    // The snapshots are switched on while there are sessions.
    await using server = await startRedisServer(['--enable-protected-configs', 'yes']);
    const noted = notingLog();
    await using store = await openStore(server.port, noted);
    const key = recordKeyOf('before the disk was full');
    await store.create(key, sampleRecord(), 60_000);
    const operator = createClient({ url: server.url });
    await operator.connect();
    try {
      for (let at = 0; at < settings.length; at += 2) {
        const [name = '', value = ''] = settings.slice(at, at + 2);
        if (name === '--dir') await operator.configSet('appendonly', 'no');
        await operator.configSet(name.replace(/^--/, ''), value);
      }
      await operator.sendCommand(['BGSAVE', 'SCHEDULE']).catch(() => {});
      await eventually(async () => (await operator.info('persistence')).includes('rdb_last_bgsave_status:err'));
      await assert.rejects(operator.ping(), /^Error: MISCONF|MISCONF/);
      const connections = Number(/total_connections_received:(\d+)/.exec(await operator.info('stats'))?.[1]);

      await assert.rejects(
        store.create(recordKeyOf('on a full disk'), sampleRecord(), 60_000),
        /refuses writes because it cannot save its snapshot: is its disk full\? \(MISCONF/,
      );
      let gaps = 0;
      store.watch((news) => void (news.kind === 'gap' && (gaps += 1)));
      // More than two heartbeats.
      for (const end = Date.now() + 2_500; Date.now() < end; ) {
        assert.equal((await store.read(key)).kind, 'found');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.equal(gaps, 0);
      const later = Number(/total_connections_received:(\d+)/.exec(await operator.info('stats'))?.[1]);
      assert.equal(later, connections);
      assert.ok(noted.lines.length < 5, noted.lines.join('\n'));
    } finally {
      operator.destroy();
    }
  });
});

describe('a Redis without client tracking', () => {
  it('is asked again for each session twice a second, which the log says; ends and jars arrive in time', async () => {
    const rule = (await readFieldInput('M2-redis-no-tracking.acl')).toString().split('\n')[1] ?? '';
    assert.match(rule, /^ACL SETUSER postern .* -client\|tracking$/);
    await using server = await startRedisServer();
    const operator = createClient({ url: server.url });
    await operator.connect();
    try {
      await operator.sendCommand(rule.split(' '));
      const noted = notingLog();
      await using here = await openStore(server.port, noted, 'postern-pw');
      await using there = await openStore(server.port, notingLog(), 'postern-pw');
      await eventually(() => noted.lines.some((line) => line.startsWith('redis-untracked')));
      assert.equal(noted.lines.filter((line) => line.startsWith('redis-untracked')).length, 1);
      await eventually(() => here.connection.isReady() && there.connection.isReady());

      const key = recordKeyOf('without tracking');
      await here.create(key, sampleRecord(), 60_000);
      const news: string[] = [];
      there.watch(({ kind }) => void news.push(kind));
      await here.destroy(key, 'kicked');
      // The sessions are stale, and a node that holds one reads it again as soon as the store answers.
      await eventually(() => news.join(' ').includes('gap restored'));
      assert.deepEqual(await there.read(key), { kind: 'ended', reason: 'kicked' });
    } finally {
      operator.destroy();
    }
  });
});

/** Runs a test with a Redis whose ACL lets the user `postern` do this. */
async function withUser(rights: string, work: (store: RedisByUser) => Promise<void>): Promise<void> {
  await using server = await startRedisServer();
  const operator = createClient({ url: server.url });
  await operator.connect();
  try {
    await operator.sendCommand(rights.split(' '));
    const url = `redis://postern@127.0.0.1:${server.port}/0`;
    await work({ kind: 'redis', url, password: new Secret('PASSWORD') });
  } finally {
    operator.destroy();
  }
}

describe('a Redis user with least rights', () => {
  const docs = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8');
  const documented = /^ACL SETUSER postern on >PASSWORD .*$/m.exec(docs)?.[0] ?? '';
  const both = { sessions: true, state: true };

  it('may do all that serving does, by the line of the docs', async () => {
    await withUser(documented, async (store) => {
      const reply = await dialRedis(store, both, AbortSignal.timeout(3_000));
      assert.deepEqual(reply, { appendonly: 'yes', maxmemoryPolicy: 'noeviction', tracks: true });
    });
  });

  for (const right of ['+eval', '+zadd', '+mget', '+incrby', '+zscore', '~ps:*', '~{ps:state}:*']) {
    it(`is told by check --online that ${right} is lacking`, async () => {
      await withUser(documented.replace(` ${right}`, ''), async (store) => {
        await assert.rejects(
          dialRedis(store, both, AbortSignal.timeout(3_000)),
          /its ACL does not allow that for this user/,
        );
      });
    });
  }

  it('does not get a node that says ready and signs nobody in', async (t) => {
    await withUser(documented.replace(' +zadd', ''), async ({ url }) => {
      const folder = filesOf(t, {
        'redis-password': 'PASSWORD',
        'postern.yaml': `listen: 127.0.0.1:0
operators: { listen: 127.0.0.1:0 }
public_url: http://127.0.0.1:1
sessions: { redis: { url: "${url}", password: { file: redis-password } } }
directory: { sources: [{ type: static, backend: a }] }
backends: { a: { imap: imaps://127.0.0.1, webmail: http://127.0.0.1:1/, driver: none } }
`,
      });
      const { log } = notingLog();
      const starting = startGateway({ configFile: join(folder, 'postern.yaml'), log });
      await assert.rejects(starting, /its ACL does not allow that for this user/);
    });
  });

  it('nor where only a Redis of its own for the state refuses', async (t) => {
    await withUser(documented.replace(' ~{ps:state}:*', ''), async ({ url }) => {
      const folder = filesOf(t, {
        'redis-password': 'PASSWORD',
        'postern.yaml': `listen: 127.0.0.1:0
operators: { listen: 127.0.0.1:0 }
public_url: http://127.0.0.1:1
sessions: { redis: { url: "${url}", password: { file: redis-password } } }
state: { redis: { url: "${url}", password: { file: redis-password } } }
directory: { sources: [{ type: static, backend: a }] }
backends: { a: { imap: imaps://127.0.0.1, webmail: http://127.0.0.1:1/, driver: none } }
`,
      });
      const { log } = notingLog();
      const starting = startGateway({ configFile: join(folder, 'postern.yaml'), log });
      await assert.rejects(starting, /its ACL does not allow that for this user/);
    });
  });
});

describe('server keys that another node uses', () => {
  it('and that the file lacks are told by check --online, which registers none', async (t) => {
    await using server = await startRedisServer();
    await using store = await openStore(server.port);
    const [there, here] = ['there', 'here'].map((name) => join(filesOf(t, {}), name));
    assert.ok(there !== undefined && here !== undefined);
    const deps = { store, clock: systemClock, log: notingLog().log, randomBytes };
    const [key] = (await openServerKeys({ file: there, ...deps })).current().all;
    const dialled = (keysFile: string) =>
      dialRedis(
        { kind: 'redis', url: server.url },
        { sessions: true, state: true, keysFile },
        AbortSignal.timeout(3_000),
      );
    const lacks = new RegExp(`here lacks the key ${key?.id ?? ''} that other nodes use: copy \\S+there to this node`);
    await assert.rejects(dialled(here), lacks);
    await makeKeysFile(here);
    await assert.rejects(dialled(here), lacks);
    await dialled(there);
    assert.deepEqual(
      (await store.registerKeys([])).map(({ id }) => id),
      [key?.id],
    );
  });
});

describe('a keys file as containers mount it', () => {
  it('is taken by check with the group’s right to read, and not with everybody’s', async (t) => {
    const script = (await readFieldInput('M4-keys-mode.sh')).toString();
    assert.match(script, /chmod 0440 state\/keys/);
    assert.match(script, /Docker secrets: root 0444/);
    const folder = filesOf(t, {
      'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: map, file: users.map }] }
backends: { a: { imap: imaps://a.test, webmail: http://a.test/, driver: none } }
`,
      'users.map': 'alice@example.test: a\n',
    });
    await makeKeysFile(join(folder, 'state/keys'));
    const check = () =>
      run(['check', '-c', join(folder, 'postern.yaml')], { loadGateway: gatewayWith({ buildDirectory }) });
    for (const mode of [0o440, 0o400]) {
      await chmod(join(folder, 'state/keys'), mode);
      const { code, out } = await check();
      assert.equal(code, 0, out);
    }
    const good = await readFile(join(folder, 'state/keys'), 'utf8');
    await chmod(join(folder, 'state/keys'), 0o600);
    for (const [content, says] of [
      ['', /keys contains no key: copy the file again from a node that works, or remove it if no node has run yet/],
      [good.replace(' promoted ', ' open '), /must promote exactly one key, and promotes 0: copy the file again/],
    ] as const) {
      await writeFile(join(folder, 'state/keys'), content);
      const broken = await check();
      assert.equal(broken.code, 1);
      assert.match(broken.out, says);
    }
    await writeFile(join(folder, 'state/keys'), good);
    for (const mode of [0o644, 0o444]) {
      await chmod(join(folder, 'state/keys'), mode);
      const open = await check();
      assert.equal(open.code, 1);
      assert.match(
        open.out,
        /keys is too open: every user may read it \(mode 0\d44\); run: chmod 600 \S+, or mount it/,
      );
    }
  });

  it('and all else that ends serve is found by check: broken tables, with their lines', async (t) => {
    const folder = filesOf(t, {
      'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: map, file: users.map }, { type: regex, file: homes.regex }] }
backends: { a: { imap: imaps://a.test, webmail: http://a.test/, driver: none } }
`,
      'users.map': 'alice@example.test\n',
      'homes.regex': '/(/ a\n',
    });
    const { code, out } = await run(['check', '-c', join(folder, 'postern.yaml')], {
      loadGateway: gatewayWith({ buildDirectory }),
    });
    assert.equal(code, 1);
    assert.match(out, /is valid, but see below/);
    for (const what of [/directory map +\S*users\.map +failed/, /directory regex +\S*homes\.regex +failed/]) {
      assert.match(out, what);
    }
  });
});
