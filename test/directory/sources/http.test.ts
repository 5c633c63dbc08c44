import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { checkSource } from '../../../src/directory/registry.ts';
import { escapeUrlPart } from '../../../src/directory/sources/http.ts';
import { listening } from '../../ports.fixture.ts';
import { eventually, outcomeOf, testDirectory } from '../directory.fixture.ts';
import { startServer } from '../peers/line-server.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

type Listener = (...exchange: Parameters<RequestListener>) => Promise<void> | void;

async function startHttp(listener: Listener) {
  const server = createServer((request, response) => void listener(request, response));
  const port = await listening(server);
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  const start = async (): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  return {
    url: `http://127.0.0.1:${port}`,
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}

const users = (): Map<string, string> =>
  new Map([
    ['alice@example.test', 'a'],
    ['bob@example.test', 'b'],
  ]);

async function nameIn(request: IncomingMessage, base: string): Promise<string> {
  if (request.method === 'POST') return JSON.parse(await text(request)).user;
  const url = new URL(request.url ?? '', base);
  return url.searchParams.get('user') ?? decodeURIComponent(url.pathname.slice('/users/'.length));
}

for (const settings of [{ path: '/users/%u' }, { path: '/users?user=%n%%40%d' }, { path: '/users', method: 'POST' }]) {
  const { path, ...others } = settings;
  sourceContract(`http (${'method' in others ? 'POST' : 'GET'} ${path})`, async () => {
    const homes = users();
    const server = await startHttp(async (request, response) => {
      const backend = homes.get(await nameIn(request, server.url));
      response.writeHead(backend === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ backend }));
    });
    return {
      settings: { type: 'http', url: `${server.url}${path.replace('%%40', '@')}`, ...others },
      async put(user, home) {
        homes.set(user, home);
      },
      outage: { begin: server.stop, end: server.start },
      [Symbol.asyncDispose]: server.stop,
    };
  });
}

sourceContract(
  'http (auth_http)',
  async () => {
    const homes = users();
    const server = await startHttp((request, response) => {
      const name = decodeURIComponent(String(request.headers['auth-user']));
      const home = homes.get(name);
      if (home === undefined)
        response.setHeader('Auth-Status', 'Invalid login or password').setHeader('Auth-Wait', '3');
      else response.setHeader('Auth-Status', 'OK').setHeader('Auth-Server', home).setHeader('Auth-Port', '143');
      response.end();
    });
    return {
      settings: { type: 'http', protocol: 'auth_http', url: `${server.url}/auth` },
      async put(user, home) {
        homes.set(user, home);
      },
      outage: { begin: server.stop, end: server.start },
      [Symbol.asyncDispose]: server.stop,
    };
  },
  // Its own HTTP server refuses to send these.
  { cannotHold: ['another line', 'a leading line', '300 KB'] },
);

describe('what a web service may answer', () => {
  const big = JSON.stringify({ backend: 'a', more: 'x'.repeat(300_000) });
  const cases: readonly (readonly [status: number, body: string, outcome: string])[] = [
    [200, '{"backend":"a"}', 'a alice@example.test'],
    [200, '{"backend":"mail-b.example.test:993","user":"Al"}', 'b al@example.test'],
    [200, '{"refuse":"Not paid","backend":"a"}', 'refused: Not paid'],
    [200, '{"refuse":"","backend":"a"}', 'a alice@example.test'],
    [200, '{"backend":"a","role":"helpdesk"}', 'a alice@example.test (helpdesk)'],
    [200, '{"backend":"a","role":["helpdesk"]}', 'ERR_DIRECTORY_ANSWER'],
    [200, '{"backend":"a","role":"help\\ndesk"}', 'ERR_DIRECTORY_ANSWER'],
    [200, `{"backend":"a","role":"${'r'.repeat(65)}"}`, 'ERR_DIRECTORY_ANSWER'],
    [200, '{"backend":null}', 'ERR_DIRECTORY_ANSWER'],
    [200, '{}', 'ERR_DIRECTORY_ANSWER'],
    [200, '{"backend":["a"]}', 'ERR_DIRECTORY_ANSWER'],
    [200, '{"backend":1}', 'ERR_DIRECTORY_ANSWER'],
    [200, '{"backend":"a","user":{}}', 'ERR_DIRECTORY_ANSWER'],
    [200, '["a"]', 'ERR_DIRECTORY_ANSWER'],
    [200, '<html>', 'ERR_DIRECTORY_ANSWER'],
    [200, '', 'ERR_DIRECTORY_ANSWER'],
    [200, big, 'ERR_DIRECTORY_ANSWER'],
    [204, '', 'ERR_DIRECTORY_UNAVAILABLE'],
    [302, '', 'ERR_DIRECTORY_UNAVAILABLE'],
    [401, '', 'ERR_DIRECTORY_UNAVAILABLE'],
    [404, '', 'unknown'],
    [410, '', 'ERR_DIRECTORY_UNAVAILABLE'],
    [500, '{"backend":"a"}', 'ERR_DIRECTORY_UNAVAILABLE'],
  ];
  for (const [status, body, outcome] of cases) {
    test(`${status} ${body.slice(0, 40)} is ${outcome}`, async () => {
      await using server = await startHttp((_request, response) => void response.writeHead(status).end(body));
      await using directory = await testDirectory([{ type: 'http', url: `${server.url}/%u` }]);
      assert.equal(await outcomeOf(directory, 'alice'), outcome);
    });
  }

  for (const bytes of ['', 'garbage\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"backend":"a"}']) {
    test(`${JSON.stringify(bytes)} and a closed connection is no answer`, async () => {
      await using server = await startServer((socket) => void socket.once('data', () => socket.end(bytes)));
      await using directory = await testDirectory([{ type: 'http', url: `http://127.0.0.1:${server.port}/%u` }]);
      assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
    });
  }

  test('connections are kept and used again', async () => {
    const sockets = new Set<unknown>();
    await using server = await startHttp((request, response) => {
      sockets.add(request.socket);
      response.end('{"backend":"a"}');
    });
    await using directory = await testDirectory([{ type: 'http', url: `${server.url}/%u` }]);
    for (let turn = 0; turn < 10; turn += 1) assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(sockets.size, 1);
  });

  test('redirects are not followed, and the token goes to the service alone', async () => {
    const seen: unknown[] = [];
    await using server = await startHttp((request, response) => {
      seen.push([request.url, request.headers.authorization]);
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    await using directory = await testDirectory([
      { type: 'http', url: `${server.url}/%n?d=%d`, bearer_token: 's3cret' },
    ]);
    assert.equal(await outcomeOf(directory, 'a/b?c'), 'ERR_DIRECTORY_UNAVAILABLE');
    assert.deepEqual(seen, [['/a%2Fb%3Fc?d=example.test', 'Bearer s3cret']]);
  });
});

describe("nginx's auth_http", () => {
  test('is asked without a password, and its temporary errors are tempfails', async () => {
    const seen: IncomingMessage['headers'][] = [];
    let status = 'OK';
    await using server = await startHttp((request, response) => {
      seen.push(request.headers);
      response.setHeader('Auth-Status', status).setHeader('Auth-Server', 'mail-a.example.test').end();
    });
    await using directory = await testDirectory([{ type: 'http', protocol: 'auth_http', url: `${server.url}/` }]);
    assert.equal(await outcomeOf(directory, 'jörg'), 'a jörg@example.test');
    assert.equal(seen[0]?.['auth-user'], 'j%C3%B6rg@example.test');
    assert.equal(seen[0]?.['auth-pass'], undefined);
    status = 'Temporary server problem, try again later';
    assert.equal(
      await eventually('ERR_DIRECTORY_UNAVAILABLE', () => outcomeOf(directory, 'alice')),
      'ERR_DIRECTORY_UNAVAILABLE',
    );
  });
});

const problems = async (settings: object): Promise<string[]> =>
  (await checkSource({ type: 'http', ...settings })).map(({ path, message }) => `${path.join('.')}: ${message}`);

test('a value in a URL never leaves its place, whatever it contains', () => {
  const name = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }),
    fc.constantFrom('.', '..', '%2e', '%2E%2e', '/', '\\'),
  );
  fc.assert(
    fc.property(name, (value) => {
      const url = new URL(`http://directory.test/a/${escapeUrlPart(value)}/b?q=${escapeUrlPart(value)}&r=1`);
      assert.equal(url.host, 'directory.test');
      assert.match(url.pathname, /^\/a\/[^/]+\/b$/);
      assert.deepEqual([...url.searchParams.keys()], ['q', 'r']);
      if (!/^\.\.?$/.test(value)) assert.equal(url.searchParams.get('q'), value);
    }),
  );
});

test('the settings of a web service are checked', async () => {
  assert.deepEqual(await problems({ url: 'ftp://x/' }), [
    'url: is not a valid URL: write http://host:port/path or https://…, with %u, %n and %d in the path or query',
  ]);
  for (const url of ['http://%d/', 'http://x.%d/', 'http://x%n', 'http://u@x/', 'http:///x'])
    assert.equal((await problems({ url })).length, 1, url);
  assert.deepEqual(await problems({ url: 'https://x/%n%%40%d', backend_key: 'home' }), []);
  assert.deepEqual(await problems({ url: 'https://x/%z' }), [
    'url: %z is not known here: write %u, %n, %d, or %% for a per cent sign',
  ]);
});
