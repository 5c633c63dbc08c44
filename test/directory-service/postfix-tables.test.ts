import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../../src/core/clock.ts';
import { PosternError } from '../../src/core/error.ts';
import type { Log } from '../../src/core/log.ts';
import { createTableListener } from '../../src/directory-service/table-listener.ts';
import { socketmap, tcpTable } from '../../src/directory-service/table-protocols.ts';
import { eventually } from '../eventually.fixture.ts';
import { listening } from '../ports.fixture.ts';

const away = new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'ldap1 is away', { source: 'directory', retryable: true });
const net = (text: string): string => `${Buffer.byteLength(text)}:${text},`;

interface Scene extends AsyncDisposable {
  /** What a client hears that sends this, until the server ends or has said as much as `until`. */
  ask(bytes: string | Buffer, until?: string): Promise<string>;
  readonly port: number;
  connections(): Promise<number>;
  readonly logged: string[];
  readonly asked: string[];
  readonly observed: string[];
}

async function start(
  more: { protocol?: 'socketmap' | 'tcp_table'; isAllowed?: boolean; limits?: object } = {},
): Promise<Scene> {
  const logged: string[] = [];
  const asked: string[] = [];
  const observed: string[] = [];
  const note = (event: string, fields: object = {}): void => void logged.push(`${event} ${JSON.stringify(fields)}`);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const listener = createTableListener({
    protocol: more.protocol === 'tcp_table' ? tcpTable : socketmap,
    async ask(map, key) {
      asked.push(`${map} ${key}`);
      if (key === 'away') throw away;
      if (key === 'defect') throw new TypeError('defect');
      if (key === 'never') return new Promise(() => {});
      if (key === 'moved' || key === 'gone') return { kind: key === 'gone' ? 'refused' : 'closed' };
      if (key === 'long') return { kind: 'found', value: 'x'.repeat(4000) };
      return key.startsWith('alice') ? { kind: 'found', value: 'lmtp:inet:[mx 1%é]:24' } : { kind: 'unknown-user' };
    },
    map: () => 'users',
    isAllowed: () => more.isAllowed ?? true,
    observe: (result) => void observed.push(result),
    limits: { connections: 5, slowMs: 10_000, idleMs: 10_000, ...more.limits },
    clock: systemClock,
    log,
  });
  const port = await listening(listener.server);
  return {
    port,
    logged,
    asked,
    observed,
    connections: () => promisify(listener.server.getConnections.bind(listener.server))(),
    async ask(bytes, until) {
      const socket = connect(port, '127.0.0.1');
      let heard = '';
      socket.setEncoding('utf8').on('data', (text: string) => {
        heard += text;
        if (until !== undefined && heard.includes(until)) socket.end();
      });
      socket.write(bytes);
      await once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
      return heard;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(listener.server, 'close');
      listener[Symbol.dispose]();
      await closed;
    },
  };
}

describe('Postfix’s socketmap', () => {
  it('gets a home, “not found” or “later”, and never the one for the other', async () => {
    await using scene = await start();
    const heard = await scene.ask(
      ['alice', 'zoe', 'moved', 'gone', 'away', 'defect'].map((key) => net(`homes ${key}`)).join('') + net('x y'),
      'PERM',
    );
    assert.equal(
      heard,
      [
        'OK lmtp:inet:[mx 1%é]:24',
        'NOTFOUND ',
        'TEMP the user is being moved, or the backend is in maintenance',
        'TEMP the user may not sign in, and no source of the directory names the home',
        'TEMP it cannot be said now: ask again',
        'TEMP it cannot be said now: ask again',
        'PERM there is no such map: the maps are homes, users, aliases',
      ]
        .map(net)
        .join(''),
    );
    assert.deepEqual(scene.observed, ['found', 'unknown-user', 'closed', 'refused', 'tempfail', 'tempfail']);
    assert.match(scene.logged.join('\n'), /directory-table-unavailable .*ldap1 is away/);
    assert.match(scene.logged.join('\n'), /directory-service-failed/);
  });

  it('may ask in pieces, and many at once: the answers come in order', async () => {
    await using scene = await start();
    const socket = connect(scene.port, '127.0.0.1');
    let heard = '';
    socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
    const questions = Array.from({ length: 3000 }, (_, number) =>
      net(`homes ${number % 2 ? 'zoe' : 'alice'}${number}`),
    );
    for (const piece of questions.join('').match(/[^]{1,997}/g) ?? []) socket.write(piece);
    socket.end();
    await once(socket, 'close');
    assert.deepEqual(
      scene.asked,
      questions.map((text) => text.slice(text.indexOf(':') + 1, -1)),
    );
    assert.equal(heard, (net('OK lmtp:inet:[mx 1%é]:24') + net('NOTFOUND ')).repeat(1500));
  });

  it('takes bytes that are no text, NULs and a missing key for “not found”, and goes on', async () => {
    await using scene = await start();
    const bytes = Buffer.concat([
      Buffer.from('9:homes \xff\xfe\xfd,', 'latin1'),
      Buffer.from(net('homes')),
      Buffer.from(net('homes alice')),
    ]);
    assert.equal(await scene.ask(bytes, 'OK'), net('NOTFOUND ').repeat(2) + net('OK lmtp:inet:[mx 1%é]:24'));
    assert.deepEqual(scene.asked, ['homes alice']);
  });

  for (const [name, bytes, why] of [
    ['is garbage', 'GET / HTTP/1.1\r\n\r\n', 'it is not a netstring'],
    ['has a gigabyte to come', '1000000000:homes a', 'it is longer than 8192 bytes'],
    ['is a little too long', '8193:homes a', 'it is longer than 8192 bytes'],
    ['has zeros before its length', '011:homes alice,', 'it is not a netstring'],
    ['does not end as a netstring', '11:homes alice;', 'it is not a netstring'],
    ['is all NULs', '\0'.repeat(100), 'it is not a netstring'],
    ['is a line of tcp_table', 'get alice\n', 'it is not a netstring'],
  ] as const) {
    it(`answers what ${name} with an error, and hangs up`, async () => {
      await using scene = await start();
      assert.equal(await scene.ask(bytes), net(`PERM ${why}`));
      assert.match(scene.logged.join(), new RegExp(`^directory-table-misread .*${why}`));
      assert.deepEqual(scene.asked, []);
    });
  }
});

describe('Postfix’s tcp_table', () => {
  it('gets the same, percent-encoded, of the map of its listener', async () => {
    await using scene = await start({ protocol: 'tcp_table' });
    const heard = await scene.ask('get alice%40x%20y\r\nget zoe\nget moved\nget away\nget %ff%fe\nput a b\n');
    assert.deepEqual(heard.split('\n'), [
      '200 lmtp:inet:[mx%201%25%c3%a9]:24',
      '500 not%20found',
      '400 the%20user%20is%20being%20moved,%20or%20the%20backend%20is%20in%20maintenance',
      '400 it%20cannot%20be%20said%20now:%20ask%20again',
      '500 not%20found',
      '400 it%20is%20not%20"get%20KEY":%20this%20table%20can%20be%20read%20only',
      '',
    ]);
    assert.deepEqual(scene.asked, ['users alice@x y', 'users zoe', 'users moved', 'users away']);
  });

  it('answers a line without an end with an error, and hangs up', async () => {
    await using scene = await start({ protocol: 'tcp_table' });
    assert.match(await scene.ask(`get ${'a'.repeat(20_000)}`), /^400 it%20is%20longer%20than%208192%20bytes\n$/);
  });
});

describe('a client that keeps others waiting', () => {
  it('is cut off in the midst of a question, of an idle time, or while it takes no answer', async () => {
    await using scene = await start({ limits: { slowMs: 200, idleMs: 300 } });
    assert.deepEqual(await Promise.all([scene.ask('20:homes al'), scene.ask('')]), ['', '']);
    const deaf = connect(scene.port, '127.0.0.1');
    deaf.pause().on('error', () => {});
    deaf.write(net('homes long').repeat(20_000));
    await eventually(() => scene.asked.length > 100);
    await eventually(async () => (await scene.connections()) === 0);
    assert.ok(scene.asked.length < 20_000, `${scene.asked.length} were answered`);
    deaf.destroy();
  });

  it('leaves the others alone, even if its own answer never comes', async () => {
    await using scene = await start();
    const stuck = connect(scene.port, '127.0.0.1');
    stuck.write(net('homes never') + net('homes alice'));
    assert.match(await scene.ask(net('homes alice'), 'OK'), /OK lmtp/);
    stuck.destroy();
  });

  it('is refused beyond the limit of connections, and from an address that may not ask', async () => {
    await using scene = await start({ limits: { connections: 1 } });
    const first = connect(scene.port, '127.0.0.1');
    first.write(net('homes zoe'));
    await once(first, 'data');
    assert.equal(await scene.ask(net('homes alice')).catch(() => ''), '');
    first.destroy();
    await using closed = await start({ isAllowed: false });
    assert.equal(await closed.ask(net('homes alice')).catch(() => ''), '');
    assert.match(scene.logged.join(), /directory-table-refused .*there are 1 connections already/);
    assert.match(closed.logged.join(), /directory-table-refused .*not in directory_service\.allow/);
    assert.deepEqual(closed.asked, []);
  });
});
