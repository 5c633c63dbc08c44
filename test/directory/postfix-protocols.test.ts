import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { escapeKey } from '../../src/directory/sources/tcp-table.ts';
import { outcomeOf, testDirectory } from './directory.fixture.ts';
import { startServer } from './peers/line-server.fixture.ts';
import { postfix } from './peers/postfix.fixture.ts';
import { sourceContract } from './source-contract.fixture.ts';

type Homes = Map<string, string>;
const users = (): Homes =>
  new Map([
    ['alice@example.test', 'a'],
    ['bob@example.test', 'b'],
  ]);

/** A socketmap server over a table, written from socketmap_table(5). */
function serveSocketmap(homes: Homes) {
  return (socket: Socket): void => {
    let received = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      for (;;) {
        const [head, digits = ''] = /^(\d+):/.exec(received.toString('latin1', 0, 10)) ?? [];
        if (head === undefined || received.length < head.length + Number(digits) + 1) return;
        const end = head.length + Number(digits);
        const question = received.toString('utf8', head.length, end);
        received = received.subarray(end + 1);
        const home = question.startsWith('homes ') ? homes.get(question.slice(6)) : undefined;
        const reply = home === undefined ? 'NOTFOUND ' : `OK ${home}`;
        socket.write(`${Buffer.byteLength(reply)}:${reply},`);
      }
    });
  };
}

const escape = (text: string): string => encodeURIComponent(text).replace(/!/g, '%21');

/** A tcp_table server over a table, written from tcp_table(5). */
function serveTcpTable(homes: Homes) {
  return (socket: Socket): void => {
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      for (;;) {
        const end = received.indexOf('\n');
        if (end === -1) return;
        const [, key = ''] = /^get (\S+)$/.exec(received.slice(0, end)) ?? [];
        received = received.slice(end + 1);
        const home = homes.get(decodeURIComponent(key));
        socket.write(home === undefined ? '500 not here\n' : `200 ${escape(home)}\n`);
      }
    });
  };
}

const protocols = [
  ['socketmap', serveSocketmap, { map: 'homes' }],
  ['tcp_table', serveTcpTable, {}],
] as const;

for (const [type, serve, settings] of protocols) {
  sourceContract(type, async () => {
    const homes = users();
    const server = await startServer(serve(homes));
    return {
      settings: { type, server: `127.0.0.1:${server.port}`, ...settings },
      async put(user, home) {
        homes.set(user, home);
      },
      outage: { begin: () => server.stop(), end: () => server.start() },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  });

  test(`${type}: Postfix can use the server of these tests, too`, async () => {
    await using server = await startServer(serve(users()));
    const tools = await postfix();
    const table =
      type === 'socketmap' ? `socketmap:inet:127.0.0.1:${server.port}:homes` : `tcp:127.0.0.1:${server.port}`;
    assert.equal(await tools.query(table, 'alice@example.test'), 'a');
    assert.equal(await tools.query(table, 'nobody@example.test'), undefined);
  });

  test(`${type}: few connections are kept, and replaced when the server closes them`, async () => {
    const homes = users();
    let opened = 0;
    await using server = await startServer((socket) => {
      opened += 1;
      serve(homes)(socket);
    });
    await using directory = await testDirectory([{ type, server: `127.0.0.1:${server.port}`, ...settings }]);
    for (let turn = 0; turn < 5; turn += 1) assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(opened, 1);
    for (const socket of server.connections) socket.destroy();
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    await Promise.all(Array.from({ length: 100 }, () => outcomeOf(directory, 'bob')));
    assert.ok(opened <= 17, `${opened} connections`);
  });
}

describe('what a lookup server may answer', () => {
  const hanging = 'nothing';
  const cases: readonly (readonly [type: 'socketmap' | 'tcp_table', reply: string, outcome: string])[] = [
    ['socketmap', '4:OK a,', 'a alice@example.test'],
    ['socketmap', '9:NOTFOUND ,', 'unknown'],
    ['socketmap', '8:NOTFOUND,', 'unknown'],
    ['socketmap', '8:TEMP why,', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['socketmap', '11:TIMEOUT why,', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['socketmap', '8:PERM why,', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['socketmap', '5:MAYBE,', 'ERR_DIRECTORY_ANSWER'],
    ['socketmap', '4:OK a;', 'ERR_DIRECTORY_ANSWER'],
    ['socketmap', '4:OK a,4:OK b,', 'ERR_DIRECTORY_ANSWER'],
    ['socketmap', '-1:OK a,', 'ERR_DIRECTORY_ANSWER'],
    ['socketmap', '99999999:', 'ERR_DIRECTORY_ANSWER'],
    ['socketmap', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'ERR_DIRECTORY_ANSWER'],
    ['socketmap', '4:OK', 'ERR_DEADLINE'],
    ['socketmap', hanging, 'ERR_DEADLINE'],
    ['tcp_table', '200 a\n', 'a alice@example.test'],
    ['tcp_table', '200 a\r\n', 'a alice@example.test'],
    ['tcp_table', '200 %61\n', 'a alice@example.test'],
    ['tcp_table', '500 no\n', 'unknown'],
    ['tcp_table', '500\n', 'unknown'],
    ['tcp_table', '400 later\n', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['tcp_table', '200\n', 'ERR_DIRECTORY_ANSWER'],
    ['tcp_table', '200 a\n200 b\n', 'ERR_DIRECTORY_ANSWER'],
    ['tcp_table', '200 a%0ab\n', 'ERR_DIRECTORY_ANSWER'],
    ['tcp_table', 'hello\n', 'ERR_DIRECTORY_ANSWER'],
    ['tcp_table', '200 a', 'ERR_DEADLINE'],
  ];
  for (const [type, reply, expected] of cases) {
    test(`${type}: ${JSON.stringify(reply)} is ${expected}`, async () => {
      await using server = await startServer((socket) => {
        socket.once('data', () => (reply === hanging ? undefined : socket.write(reply)));
      });
      const settings = type === 'socketmap' ? { map: 'homes' } : {};
      const timeout = expected === 'ERR_DEADLINE' ? { timeout: '150ms' } : {};
      const source = { type, server: `127.0.0.1:${server.port}`, ...timeout, ...settings };
      await using directory = await testDirectory([source]);
      assert.equal(await outcomeOf(directory, 'alice'), expected);
    });
  }

  test('a reply without end is cut', async () => {
    await using server = await startServer((socket) => {
      socket.once('data', () => socket.write('x'.repeat(300_000)));
    });
    await using directory = await testDirectory([{ type: 'tcp_table', server: `127.0.0.1:${server.port}` }]);
    assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_ANSWER');
  });

  test('bytes without a question end the connection and do not answer the next question', async () => {
    let closed = Promise.withResolvers<void>();
    await using server = await startServer((socket) => {
      socket.on('close', () => closed.resolve());
      socket.setEncoding('latin1').on('data', (text: string) => {
        if (text.includes('bob')) socket.write('200 b\n');
        else socket.write('200 a\n', () => setImmediate(() => socket.write('200 a\n')));
      });
    });
    await using directory = await testDirectory([{ type: 'tcp_table', server: `127.0.0.1:${server.port}` }]);
    for (let turn = 0; turn < 20; turn += 1) {
      closed = Promise.withResolvers<void>();
      assert.match(await outcomeOf(directory, 'alice'), /^(a alice@example\.test|ERR_DIRECTORY_ANSWER)$/);
      await closed.promise;
      assert.equal(await outcomeOf(directory, 'bob'), 'b bob@example.test');
    }
  });

  test('the reply to an aborted question is not taken for the next one', async () => {
    await using server = await startServer((socket) => {
      socket.setEncoding('latin1').on('data', (text: string) => {
        if (text.includes('bob')) socket.write('200 b\n');
        else setTimeout(() => socket.write('200 a\n'), 50);
      });
    });
    await using directory = await testDirectory([{ type: 'tcp_table', server: `127.0.0.1:${server.port}` }]);
    const controller = new AbortController();
    const lookup = outcomeOf(directory, 'alice', controller.signal);
    setTimeout(() => controller.abort(new RangeError('gone')), 20);
    await assert.rejects(lookup, RangeError);
    for (let turn = 0; turn < 3; turn += 1) assert.equal(await outcomeOf(directory, 'bob'), 'b bob@example.test');
  });
});

test('an escaped key of a tcp_table is one word of printable ASCII and can be decoded', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (key) => {
      const escaped = escapeKey(key);
      assert.match(escaped, /^[!-~]*$/);
      assert.equal(decodeURIComponent(escaped), key);
    }),
  );
});
