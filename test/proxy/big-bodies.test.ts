import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  type ClientRequest,
  createServer,
  IncomingMessage,
  type OutgoingHttpHeaders,
  request as sendRequest,
  type Server,
} from 'node:http';
import { after, before, suite, test, type TestContext } from 'node:test';
import { listening } from '../ports.fixture.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway-process.fixture.ts';

const megabyte = 1024 * 1024;
const file = randomBytes(50 * megabyte);
const fileHash = sha256(file);

/** Pays attention to Range, counts what arrives, and answers an upload with its hash. */
function createStorage(): { readonly server: Server; readonly cut: { up: number; down: number } } {
  const cut = { up: 0, down: 0 };
  const server = createServer((request, response) => {
    if (request.method === 'PUT' || request.method === 'POST') {
      const hash = createHash('sha256');
      request.on('data', (part: Buffer) => hash.update(part));
      request.on('end', () => response.end(hash.digest('hex')));
      request.on('error', () => void (cut.up += 1));
      return;
    }
    response.on('close', () => {
      if (!response.writableFinished) cut.down += 1;
    });
    response.setHeader('Accept-Ranges', 'bytes');
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (request.url === '/chunked') {
      response.end(file);
    } else if (range === null) {
      response.setHeader('Content-Length', file.length);
      response.end(request.method === 'HEAD' ? undefined : file);
    } else {
      const [from, to] = [Number(range[1]), Number(range[2])];
      response.setHeader('Content-Range', `bytes ${from}-${to}/${file.length}`);
      response.writeHead(206, { 'Content-Length': to - from + 1 }).end(file.subarray(from, to + 1));
    }
  });
  return { server, cut };
}

/** Reads an answer to its end. */
async function whole(request: ClientRequest) {
  const [response]: unknown[] = await once(request, 'response');
  assert.ok(response instanceof IncomingMessage);
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of response) {
    assert.ok(Buffer.isBuffer(part));
    hash.update(part);
    bytes += part.length;
  }
  return { status: response.statusCode, headers: response.headers, bytes, hash: hash.digest('hex') };
}

suite('big bodies through a gateway', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  const storage = createStorage();
  let gateway: GatewayProcess;
  let cookie: string;
  before(async () => {
    const port = await listening(storage.server);
    opened.defer(async () => {
      const closed = once(storage.server, 'close');
      storage.server.close();
      storage.server.closeAllConnections();
      await closed;
    });
    gateway = opened.use(
      await startGatewayProcess((yaml) =>
        // Backend b keeps its mail server, and has the storage for a webmail.
        yaml.replace(/( {2}b: .*webmail: )"[^"]*"/, `$1"http://127.0.0.1:${port}/", driver: none`),
      ),
    );
    cookie = (await gateway.signIn('bob', 'bread&butter')).cookieField;
  });
  after(() => opened.disposeAsync());

  const open = (method: string, target: string, headers: OutgoingHttpHeaders = {}) =>
    sendRequest({ host: '127.0.0.1', port: gateway.port, method, path: target, headers: { cookie, ...headers } });

  /** Fails when the gateway occupied more than `allowed` MiB beyond what it had before. */
  async function withFlatMemory(t: TestContext, allowed: number, work: () => Promise<void>): Promise<void> {
    const before = await gateway.memory();
    await work();
    const { now, most } = await gateway.memory();
    t.diagnostic(`memory of the gateway: ${before.now} MiB before, ${now} MiB after, ${most} MiB at most`);
    assert.ok(most - before.now < allowed, `${most - before.now} MiB more`);
  }

  test('eight uploads of 25 MB at once arrive as they were, with a length and without', async (t) => {
    await withFlatMemory(t, 100, async () => {
      const bodies = Array.from({ length: 8 }, () => randomBytes(25 * megabyte));
      const answers = await Promise.all(
        bodies.map(async (body, i) => {
          const upload = open(i % 2 === 0 ? 'POST' : 'PUT', '/up', i < 4 ? { 'content-length': body.length } : {});
          upload.end(body);
          const [response]: unknown[] = await once(upload, 'response');
          assert.ok(response instanceof IncomingMessage);
          return Buffer.concat(await response.toArray()).toString();
        }),
      );
      assert.deepEqual(answers, bodies.map(sha256));
    });
  });

  test('eight downloads of 50 MB at once arrive as they were, with a length and without', async (t) => {
    await withFlatMemory(t, 100, async () => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => whole(open('GET', i < 4 ? '/file' : '/chunked').end())),
      );
      for (const { status, bytes, hash } of answers)
        assert.deepEqual([status, bytes, hash], [200, file.length, fileHash]);
    });
  });

  test('readers that are slow hold the backend back, not the gateway’s memory', async (t) => {
    await withFlatMemory(t, 100, async () => {
      const readers = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const [response]: unknown[] = await once(open('GET', '/file').end(), 'response');
          assert.ok(response instanceof IncomingMessage);
          response.pause();
          return response;
        }),
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (const response of readers) response.destroy();
    });
  });

  test('a part of a file is a part, and HEAD tells its length only', async () => {
    const part = await whole(open('GET', '/file', { range: 'bytes=1000000-1999999' }).end());
    assert.deepEqual([part.status, part.bytes], [206, 1_000_000]);
    assert.equal(part.headers['content-range'], `bytes 1000000-1999999/${file.length}`);
    assert.equal(part.hash, sha256(file.subarray(1_000_000, 2_000_000)));
    const head = await whole(open('HEAD', '/file').end());
    assert.deepEqual([head.status, head.bytes, head.headers['content-length']], [200, 0, String(file.length)]);
  });

  test('an upload that asks first is told to go on, and arrives', async () => {
    const body = randomBytes(25 * megabyte);
    const upload = open('POST', '/up', { expect: '100-continue', 'content-length': body.length });
    upload.flushHeaders();
    await once(upload, 'continue');
    upload.end(body);
    const [response]: unknown[] = await once(upload, 'response');
    assert.ok(response instanceof IncomingMessage);
    assert.equal(Buffer.concat(await response.toArray()).toString(), sha256(body));
  });

  test('what is interrupted in either direction ends at the backend, and what follows is whole', async () => {
    const before = { ...storage.cut };
    for (let i = 0; i < 5; i += 1) {
      const upload = open('POST', '/up', { 'content-length': 25 * megabyte });
      upload.on('error', () => {});
      upload.write(randomBytes(megabyte), () => upload.destroy());
      await new Promise((resolve) => upload.once('close', resolve));
      const download = open('GET', '/file').end();
      const [response]: unknown[] = await once(download, 'response');
      assert.ok(response instanceof IncomingMessage);
      response.on('error', () => {});
      response.once('data', () => response.destroy());
      await new Promise((resolve) => response.once('close', resolve));
    }
    const deadline = Date.now() + 5000;
    while (storage.cut.up < before.up + 5 || storage.cut.down < before.down + 5) {
      assert.ok(Date.now() < deadline, JSON.stringify(storage.cut));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await whole(open('GET', '/file').end())).hash, fileHash);
  });

  test('a letter with 25 MB goes through the demo’s webmail', async (t) => {
    await withFlatMemory(t, 100, async () => {
      const alice = await gateway.signIn('alice', 'wonderland');
      const page = await alice.text('/compose');
      const form = new FormData();
      form.set('token', /name="token" value="([^"]*)"/.exec(page)?.[1] ?? '');
      form.set('to', 'alice@example.test');
      form.set('subject', 'big');
      form.set('text', 'see the file');
      form.set('files', new File([randomBytes(25 * megabyte)], 'big.bin'));
      const landed = await alice.submit('/compose', form);
      assert.equal(landed.status, 200, landed.body.toString().slice(0, 300));
    });
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
