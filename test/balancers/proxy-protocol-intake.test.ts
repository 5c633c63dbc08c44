import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../../src/core/clock.ts';
import { createProxyProtocol, type ProxyProtocolMode } from '../../src/proxy/proxy-protocol-listener.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { binaryHeader } from './proxy-headers.fixture.ts';

interface Given {
  readonly mode: ProxyProtocolMode;
  readonly trusted?: boolean;
  readonly deadlineMs?: number;
  readonly tls?: boolean;
}

interface Listener extends AsyncDisposable {
  readonly port: number;
  readonly warnings: readonly { readonly event: string; readonly fields: object }[];
}

/** A server that answers with the client of the connection, the method and the body. */
async function listen({ mode, trusted = true, deadlineMs = 5000, tls = false }: Given): Promise<Listener> {
  const warnings: { event: string; fields: object }[] = [];
  const protocol = createProxyProtocol({
    mode,
    isTrusted: () => trusted,
    deadlineMs,
    clock: systemClock,
    log: {
      debug() {},
      info() {},
      error() {},
      warn(event, fields = {}) {
        warnings.push({ event, fields });
      },
    },
  });
  const answer: RequestListener = (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const client = protocol.clientOf(request.socket);
      const from = client === undefined ? 'itself' : `${client.source.address}:${client.source.port}`;
      response.end(`<${from} ${request.method ?? ''} ${Buffer.concat(parts).length}>`);
    });
  };
  const server: Server = tls ? createTlsServer(makeCertificate('DNS:localhost'), answer) : createServer(answer);
  const sockets = new Set<Socket>();
  protocol.installOn(server);
  server.on('connection', (socket) => sockets.add(socket));
  server.on('clientError', (error: Error, socket: Socket) => {
    protocol.notice(error, socket);
    socket.destroy();
  });
  return {
    port: await listening(server),
    warnings,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

/** Sends each part after the one before was flushed. Resolves with all data until the other side closes. */
async function converse(port: number, ...parts: readonly (string | Buffer)[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => (received += text));
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  for (const part of parts) {
    await new Promise((resolve) => socket.write(part, 'latin1', () => setImmediate(resolve)));
  }
  await closed;
  return received;
}

const last = 'GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
const answers = (received: string): readonly string[] => received.match(/<[^>]*>/g) ?? [];
const line = 'PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\n';
const fromClient = '<192.0.2.7:12345 GET 0>';

for (const mode of ['optional', 'required'] as const) {
  test(`a header in one piece with the request names the client: ${mode}`, async () => {
    await using server = await listen({ mode });
    assert.deepEqual(answers(await converse(server.port, line + last)), [fromClient]);
    assert.deepEqual(answers(await converse(server.port, Buffer.concat([binaryHeader(), Buffer.from(last)]))), [
      fromClient,
    ]);
    assert.deepEqual(server.warnings, []);
  });

  test(`a header in pieces, and a long body and further requests behind it, arrive whole: ${mode}`, async () => {
    await using server = await listen({ mode });
    const body = 'x'.repeat(300_000);
    const post = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const header = binaryHeader().toString('latin1');
    const received = await converse(
      server.port,
      header.slice(0, 5),
      header.slice(5, 20),
      header.slice(20) + post + last,
    );
    assert.deepEqual(answers(received), ['<192.0.2.7:12345 POST 300000>', fromClient]);
    assert.deepEqual(answers(await converse(server.port, line, post.slice(0, 30), post.slice(30), last)), [
      '<192.0.2.7:12345 POST 300000>',
      fromClient,
    ]);
  });

  test(`a proxy that speaks for itself is served under its own address: ${mode}`, async () => {
    await using server = await listen({ mode });
    const local = binaryHeader({ versionAndCommand: 0x20 }).toString('latin1');
    assert.deepEqual(answers(await converse(server.port, local + last)), ['<itself GET 0>']);
    assert.deepEqual(answers(await converse(server.port, `PROXY UNKNOWN\r\n${last}`)), ['<itself GET 0>']);
  });

  test(`a broken header is refused, and the log says why: ${mode}`, async () => {
    await using server = await listen({ mode });
    assert.equal(await converse(server.port, `PROXY TCP4 nonsense\r\n${last}`), '');
    assert.deepEqual(server.warnings[0]?.fields, { peer: '127.0.0.1', why: 'the addresses are not two' });
  });

  test(`a header that does not come in time ends the connection: ${mode}`, async () => {
    await using server = await listen({ mode, deadlineMs: 50 });
    assert.equal(await converse(server.port, 'PROXY TCP4 '), '');
    assert.equal(server.warnings[0]?.event, 'proxy-header-late');
  });

  test(`the client is known behind TLS of our own: ${mode}`, async () => {
    await using server = await listen({ mode, tls: true });
    const raw = connect(server.port, '127.0.0.1');
    await once(raw, 'connect');
    raw.write(line);
    const secure = connectTls({ socket: raw, rejectUnauthorized: false });
    let received = '';
    secure.setEncoding('latin1').on('data', (text: string) => (received += text));
    await once(secure, 'secureConnect');
    secure.write(last);
    await once(secure, 'close');
    assert.deepEqual(answers(received), [fromClient]);
  });
}

test('a check that only connects and leaves is not worth a line', async () => {
  await using server = await listen({ mode: 'required' });
  const socket = connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  socket.resume().end();
  await closed;
  assert.deepEqual(server.warnings, []);
});

test('optional: a trusted proxy may come without a header, byte by byte', async () => {
  await using server = await listen({ mode: 'optional' });
  assert.deepEqual(answers(await converse(server.port, last)), ['<itself GET 0>']);
  assert.deepEqual(answers(await converse(server.port, ...last.split(''))), ['<itself GET 0>']);
});

test('optional: a stranger is served as itself, and its header is refused and told', async () => {
  await using server = await listen({ mode: 'optional', trusted: false });
  assert.deepEqual(answers(await converse(server.port, last)), ['<itself GET 0>']);
  assert.deepEqual(answers(await converse(server.port, line + last)), []);
  assert.equal(server.warnings[0]?.event, 'proxy-header-unexpected');
  assert.match(JSON.stringify(server.warnings[0]?.fields), /not in trusted_proxies/);
});

test('required: a trusted proxy without a header is refused, and the log says what to write there', async () => {
  await using server = await listen({ mode: 'required' });
  assert.equal(await converse(server.port, last), '');
  assert.equal(server.warnings[0]?.event, 'proxy-header-missing');
});

test('required: a stranger is refused with and without a header, once a minute in the log', async () => {
  await using server = await listen({ mode: 'required', trusted: false });
  assert.equal(await converse(server.port, line + last), '');
  assert.equal(await converse(server.port, last), '');
  assert.equal(server.warnings.length, 1);
  assert.equal(server.warnings[0]?.event, 'proxy-untrusted');
});

test('off: a header of either version is refused, and the log says so', async () => {
  for (const header of [line, binaryHeader().toString('latin1')]) {
    await using server = await listen({ mode: 'off' });
    assert.deepEqual(answers(await converse(server.port, header + last)), []);
    assert.equal(server.warnings[0]?.event, 'proxy-header-unexpected');
    assert.match(JSON.stringify(server.warnings[0]?.fields), /proxy_protocol is off/);
  }
});

test('off: other bytes that are no HTTP are not taken for a header', async () => {
  await using server = await listen({ mode: 'off' });
  assert.equal(await converse(server.port, '\u0016\u0003\u0001\u0002\u0000\u0001\u0000 TLS, for example\r\n\r\n'), '');
  assert.deepEqual(server.warnings, []);
});
