import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createMailConnections, type MailProxy } from '../../src/backends/mail-connections.ts';
import type { AuditEvent } from '../../src/core/audit.ts';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';

const order = { by: 'ops', occasion: 'kick', reason: 'test' } as const;

type Answering = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

interface Peer extends AsyncDisposable {
  readonly proxy: MailProxy;
}

/** A server in the place of doveadm. */
async function peerOf(name: string, answer: Answering): Promise<Peer> {
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
  };
  return { proxy: proxyAt(name, address.port), [Symbol.asyncDispose]: close };
}

function proxyAt(name: string, port: number): MailProxy {
  const url = `http://127.0.0.1:${port}/doveadm/v1`;
  return { name, timeoutMs: 1_000, access: { kind: 'dovecot', url, apiKey: new Secret('the-key') } };
}

const says =
  (text: string, status = 200): Answering =>
  (request, response) => {
    request.resume();
    response.writeHead(status).end(text);
  };

/** One that has a connection of alice's until it is kicked. */
function goodDovecot(): Answering {
  let connections = [{ username: 'alice@example.test', service: 'imap', pid: '7', ip: '192.0.2.7' }];
  return async (request, response) => {
    let body = '';
    for await (const part of request) body += String(part);
    const [, command = ''] = /^\[\["(\w+)"/.exec(body) ?? [];
    if (command === 'kick') connections = [];
    response.end(JSON.stringify([['doveadmResponse', command === 'who' ? connections : [], 'postern']]));
  };
}

function connectionsOf(...proxies: readonly MailProxy[]) {
  const audited: AuditEvent[] = [];
  const audit = { record: async (event: AuditEvent) => void audited.push(event) };
  return { audited, ...createMailConnections({ proxies, audit, log: silentLog }) };
}

const alice = { kind: 'user', name: 'alice@example.test' } as const;

describe('a bad peer in the place of a mail proxy', () => {
  const cases: readonly (readonly [name: string, answer: Answering, why: RegExp])[] = [
    ['hangs', () => {}, /^no answer in time$/],
    ['page', says('<html>'), /is not one of doveadm/],
    ['list', says('[1]'), /is not one of doveadm/],
    ['null', says('[["doveadmResponse",null,"postern"]]'), /is not one of doveadm/],
    ['failing', says('[["error",{"type":"exitCode","exitCode":75},"postern"]]'), /failed there with exitCode 75/],
    ['other-key', says('', 401), /answers 401: compare api_key with doveadm_api_key/],
    ['elsewhere', says('', 404), /answers 404: is this the address of inet_listener http/],
    ['redirect', says('', 302), /answers 302/],
    ['dies', (request) => void request.socket.destroy(), /the connection was reset|socket hang up/],
    [
      'endless',
      (request, response) => {
        const more = Buffer.alloc(1024 * 1024, '[');
        request.resume();
        const push = (): void => {
          while (!response.destroyed && response.write(more));
        };
        response.on('drain', push);
        push();
      },
      /larger than 8 MiB|no answer in time/,
    ],
  ];

  it('is named with the reason, and keeps nothing else waiting', async () => {
    await using opened = new AsyncDisposableStack();
    const bad = await Promise.all(cases.map(async ([name, answer]) => opened.use(await peerOf(name, answer)).proxy));
    const good = opened.use(await peerOf('good', goodDovecot()));
    const mail = connectionsOf(...bad, good.proxy);
    const listed = await mail.list(alice.name);
    assert.deepEqual(listed?.connections, [
      { proxy: 'good', login: 'alice@example.test', service: 'imap', address: '192.0.2.7' },
    ]);
    const ended = await mail.end([alice], order);
    assert.deepEqual([ended?.ended, ended?.left], [1, 0]);
    for (const unreached of [listed?.unreached ?? [], ended?.unreached ?? []]) {
      assert.deepEqual(unreached.map(({ proxy }) => proxy).toSorted(), cases.map(([name]) => name).toSorted());
      for (const [name, , why] of cases) {
        assert.match(unreached.find(({ proxy }) => proxy === name)?.why ?? '', why, name);
      }
    }
    assert.deepEqual(
      mail.audited.map(({ event, subject, facts }) => [event, subject, facts?.['ended'], typeof facts?.['unreached']]),
      [['mail-end', 'alice@example.test', 1, 'string']],
    );
  });

  it('that is no HTTP at all, or nothing, is named, too', async () => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => void sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    server.on('connection', (socket) => socket.write('* OK IMAP4rev1 ready\r\n'));
    const ofGarbage = await connectionsOf(proxyAt('garbage', address.port)).list(alice.name);
    assert.equal(ofGarbage?.unreached.length, 1);
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
    const ofNothing = await connectionsOf(proxyAt('nothing', address.port)).list(alice.name);
    assert.match(ofNothing?.unreached[0]?.why ?? '', /connection refused/);
  });

  it('says that it ended what goes on: then that is left', async () => {
    const connection = {
      username: 'alice@example.test',
      service: 'imap-login',
      pid: '7',
      ip: '192.0.2.7',
      dest_ip: 'b',
    };
    await using peer = await peerOf('front', async (request, response) => {
      let body = '';
      for await (const part of request) body += String(part);
      const rows = body.includes('"who"') ? [connection] : body.includes('"kick"') ? [{ count: '1' }] : [];
      response.end(JSON.stringify([['doveadmResponse', rows, 'postern']]));
    });
    assert.deepEqual(await connectionsOf(peer.proxy).end([alice], order), { ended: 0, left: 1, unreached: [] });
  });

  it('never hears a name that doveadm would take for others', async () => {
    const asked: string[] = [];
    await using peer = await peerOf('front', async (request, response) => {
      for await (const part of request) asked.push(String(part));
      response.end('[["doveadmResponse",[],"postern"]]');
    });
    const names = ['*', 'al*@example.test', 'alic?', '192.0.2.7', '10.1', '2001:db8::1', '192.0.2.0/24'];
    for (const name of names) {
      const end = await connectionsOf(peer.proxy).end([{ kind: 'user', name }], order);
      assert.match(end?.unreached[0]?.why ?? '', /would take the name/, name);
    }
    assert.deepEqual(asked, []);
    const rest = await connectionsOf(peer.proxy).end([{ kind: 'user', name: '*' }, alice], order);
    assert.equal(rest?.unreached.length, 1);
    assert.match(asked.join('\n'), /"kick",\{"mask":\["alice@example\.test"\]\}/);
  });
});

/** Lists and ends by a program. */
async function endBy(script: string) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-mail-program-'));
  try {
    const program = join(folder, 'mail-connections');
    await writeFile(program, `#!/bin/sh\n${script}\n`);
    await chmod(program, 0o755);
    const proxy = { name: 'cyrus1', timeoutMs: 1_000, access: { kind: 'program', program } } as const;
    const mail = connectionsOf(proxy);
    return { listed: await mail.list(alice.name), ended: await mail.end([alice], order) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('a program for mail connections', () => {
  it('lists and ends', async () => {
    const { listed, ended } = await endBy('[ "$2 $3" = "user alice@example.test" ] && echo "imaps 192.0.2.7"');
    assert.deepEqual(listed?.connections, [
      { proxy: 'cyrus1', login: 'alice@example.test', service: 'imaps', address: '192.0.2.7' },
    ]);
    assert.deepEqual(ended, { ended: 1, left: 0, unreached: [] });
  });

  it('that fails, hangs, has a child that hangs, or never stops talking, is named', async () => {
    const scripts = { 'exit 3': /ended with 3$/, 'echo no route >&2; exit 255': /ended with 255: no route$/ };
    const late = { 'sleep 60': /took too long/, 'sleep 60 & wait': /took too long/, yes: /more than 64 KiB/ };
    for (const [script, why] of Object.entries({ ...scripts, ...late })) {
      const { listed, ended } = await endBy(script);
      for (const end of [listed, ended]) assert.match(end?.unreached[0]?.why ?? '', why, script);
    }
  });
});
