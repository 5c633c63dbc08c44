import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BasicPath } from '../../src/core/backend.ts';
import type { BasicAdmission, BasicAuthentication } from '../../src/core/passdb.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { eventually } from '../eventually.fixture.ts';
import { backendA, hostA } from '../login/login.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import {
  ask,
  type GateOptions,
  get,
  isWhole,
  RawClient,
  type RecordingBackend,
  request,
  startGate,
  startRecordingBackend,
  startScriptedBackend,
} from './gate.fixture.ts';

const paths: readonly BasicPath[] = [{ prefix: '/dav' }, { prefix: '/Microsoft-Server-ActiveSync' }];
const alice = `Authorization: Basic ${Buffer.from('Alice:p:w').toString('base64')}`;
const challenge = /\r\nWWW-Authenticate: Basic realm="Test mail", charset="UTF-8"\r\n/;

const testDriver: WebmailDriver = {
  ownsCookie: () => false,
  masterEntry: { kind: 'own-account' },
  signIn: () => Promise.reject(new Error('not in this test')),
  signOut: () => Promise.resolve(),
  judge: () => 'lost',
};

/** Admits Alice with her password to a backend on this port, and keeps what it was asked. */
function admitting(port: number, more: { driver?: Partial<WebmailDriver>; paths?: readonly BasicPath[] } = {}) {
  const asked: string[] = [];
  const distrusted: string[] = [];
  const host = { ...hostA, webmail: { origin: `http://127.0.0.1:${port}`, landing: '/', trust: {} } };
  const authentication: BasicAuthentication = {
    async admit({ user, password, client }): Promise<BasicAdmission> {
      asked.push(`${user} ${password.reveal()} ${client.address}`);
      if (password.reveal() !== 'p:w') return { kind: 'rejected' };
      return {
        kind: 'admitted',
        user: canonicalUser('alice@example.test'),
        backend: { ...backendA, basicPaths: more.paths ?? paths },
        host,
        driver: { ...testDriver, ...more.driver },
      };
    },
    isStillAt: async () => true,
    distrust: (user, backend) => void distrusted.push(`${user} ${backend}`),
  };
  return { asked, distrusted, clients: { paths, authentication } };
}

function gateFor(backend: { readonly port: number }, clients: GateOptions['clients']) {
  return startGate({ backendPort: backend.port, ...(clients === undefined ? {} : { clients }) });
}

const fieldsOf = (backend: RecordingBackend, name: string, nth = -1): string[] => {
  const fields = backend.seen.at(nth)?.fields ?? [];
  return fields.filter((_value, i) => fields[i - 1]?.toLowerCase() === name);
};

test('no service worker is registered where name and password come with each request', async () => {
  await using backend = await startRecordingBackend();
  const { clients, asked } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  for (const field of ['Service-Worker: script', 'Sec-Fetch-Dest: serviceworker']) {
    const worker = request('GET', '/dav/alice/sw.js', [alice, field]);
    assert.match(await ask(gate.port, worker), /^HTTP\/1\.1 403 /);
  }
  assert.deepEqual([asked, backend.seen], [[], []]);
});

test('a client’s request reaches the user’s own backend with the user’s credentials, and nothing else of the client’s', async () => {
  await using backend = await startRecordingBackend((_request, response) => {
    response.setHeader('Set-Cookie', ['sid=1; HttpOnly', 'x=2']);
    response.setHeader('DAV', '1, calendar-access');
    response.writeHead(207).end('multi');
  });
  const { clients, asked } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  const answer = await ask(
    gate.port,
    request(
      'PROPFIND',
      '/dav/Alice/x%2Fy?z',
      [alice, 'Cookie: sid=mine; postern=alice', 'Depth: 1', 'X-Forwarded-For: 6.6.6.6', 'Content-Length: 4'],
      '<a/>',
    ),
  );
  assert.match(answer, /^HTTP\/1\.1 207 [\s\S]*\r\nDAV: 1, calendar-access\r\n[\s\S]*\r\nmulti\r\n/);
  assert.ok(!/set-cookie/i.test(answer));
  assert.deepEqual(asked, ['Alice p:w 127.0.0.1']);
  const [seen] = backend.seen;
  assert.deepEqual([seen?.method, seen?.target, seen?.body], ['PROPFIND', '/dav/Alice/x%2Fy?z', '<a/>']);
  assert.deepEqual(fieldsOf(backend, 'authorization'), [
    `Basic ${Buffer.from('alice@example.test:p:w').toString('base64')}`,
  ]);
  assert.deepEqual(fieldsOf(backend, 'x-forwarded-for'), ['127.0.0.1']);
  assert.deepEqual(fieldsOf(backend, 'cookie'), []);
  assert.deepEqual(fieldsOf(backend, 'depth'), ['1']);
  assert.equal(gate.session.touches, 0, 'the session of the cookie was not used');
});

test('every DAV method goes on under these paths, and under no other', async () => {
  await using backend = await startRecordingBackend();
  const { clients } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  const methods =
    'OPTIONS PROPFIND PROPPATCH REPORT MKCOL MKCALENDAR COPY MOVE LOCK UNLOCK ACL SEARCH PUT DELETE'.split(' ');
  for (const method of methods) assert.match(await ask(gate.port, request(method, '/dav/', [alice])), /ok$/, method);
  assert.deepEqual(
    backend.seen.map(({ method }) => method),
    methods,
  );
  for (const target of ['/', '/davx', '/mail', '/dav/../mail', '/dav/%2e%2e/mail', '/dav/..%2fmail', '/dav/..;/mail']) {
    assert.match(await ask(gate.port, request('PROPFIND', target, [alice])), /^HTTP\/1\.1 405 /, target);
  }
  for (const method of ['TRACE', 'MERGE', 'SUBSCRIBE', 'LINK']) {
    assert.match(await ask(gate.port, request(method, '/dav/', [alice])), /^HTTP\/1\.1 405 /, method);
  }
  assert.equal(backend.seen.length, methods.length);
});

test('without credentials a client is asked for them, a page request too, and is never redirected to the sign-in page', async () => {
  await using backend = await startRecordingBackend();
  const { clients } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  const page = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document', 'Accept: text/html'];
  for (const lines of [[], page, ['Cookie: postern=mallory']]) {
    for (const method of ['GET', 'OPTIONS', 'PROPFIND', 'PUT']) {
      const answer = await ask(gate.port, request(method, '/dav/', [...lines, 'Content-Length: 0']));
      assert.match(answer, /^HTTP\/1\.1 401 /);
      assert.match(answer, challenge);
      assert.ok(!/location|set-cookie/i.test(answer));
    }
  }
  await gate.session.end('idle');
  assert.match(await ask(gate.port, get('/dav/', ...page)), challenge);
  assert.equal(backend.seen.length, 0);
});

const strange: readonly [name: string, lines: readonly string[]][] = [
  ['another scheme', ['Authorization: Bearer abc']],
  ['no credentials at all', ['Authorization: Basic']],
  ['what is not base64', ['Authorization: Basic ä:b']],
  ['no colon', [`Authorization: Basic ${Buffer.from('alice').toString('base64')}`]],
  ['two of them', [alice, alice]],
  ['far too long ones', [`Authorization: Basic ${'A'.repeat(8000)}`]],
];

for (const [name, lines] of strange) {
  test(`credentials that are ${name} are asked for again, also beside a session`, async () => {
    await using backend = await startRecordingBackend();
    const { clients, asked } = admitting(backend.port);
    await using gate = await gateFor(backend, clients);
    assert.match(await ask(gate.port, get('/dav/', ...lines)), challenge);
    assert.equal(asked.length + backend.seen.length, 0);
  });
}

test('a session serves these paths where no credentials are sent, and Authorization goes on nowhere else', async () => {
  await using backend = await startRecordingBackend();
  const { clients, asked } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  assert.match(await ask(gate.port, get('/dav/file')), /ok$/);
  assert.equal(gate.session.touches, 1);
  assert.match(await ask(gate.port, get('/mail', alice)), /ok$/);
  assert.deepEqual(fieldsOf(backend, 'authorization'), []);
  assert.match(await ask(gate.port, request('GET', '/mail', [alice])), /^HTTP\/1\.1 401 [\s\S]*sign-in-required/);
  assert.deepEqual(asked, []);
});

const outcomes: readonly [name: string, admission: BasicAdmission, answer: RegExp][] = [
  ['rejected', { kind: 'rejected' }, /^HTTP\/1\.1 401 [\s\S]*WWW-Authenticate: Basic /],
  ['refused', { kind: 'refused', reason: 'Unpaid.' }, /^HTTP\/1\.1 403 (?![\s\S]*WWW-Authenticate)[\s\S]*Unpaid\.\n$/],
  ['unavailable', { kind: 'unavailable', reference: 'R' }, /^HTTP\/1\.1 503 (?![\s\S]*WWW-Authenticate)/],
  ['busy', { kind: 'busy', reference: 'R' }, /^HTTP\/1\.1 503 (?![\s\S]*WWW-Authenticate)/],
];

for (const [name, admission, expected] of outcomes) {
  test(`a client that is ${name} gets its answer, and the next request on the connection its own`, async () => {
    await using backend = await startRecordingBackend();
    const authentication: BasicAuthentication = {
      admit: async () => admission,
      isStillAt: async () => true,
      distrust() {},
    };
    await using gate = await gateFor(backend, { paths, authentication });
    using client = await RawClient.to(gate.port);
    client.send(request('PUT', '/dav/x', [alice, 'Content-Length: 5'], 'hello'));
    assert.match(await client.until(isWhole), expected);
    client.received = '';
    client.send(get('/mail'));
    assert.match(await client.until(isWhole), /ok$/);
    assert.equal(backend.seen.length, 1);
  });
}

test('an authentication that fails costs its request', async () => {
  await using backend = await startRecordingBackend();
  const authentication: BasicAuthentication = {
    admit: () => Promise.reject(new TypeError('a bug')),
    isStillAt: async () => true,
    distrust() {},
  };
  await using gate = await gateFor(backend, { paths, authentication });
  assert.match(await ask(gate.port, request('GET', '/dav/', [alice])), /^HTTP\/1\.1 502 /);
  assert.match(await ask(gate.port, get('/mail')), /ok$/);
});

test('a client that leaves during its authentication is not waited for', async () => {
  await using backend = await startRecordingBackend();
  const gone = Promise.withResolvers<void>();
  const authentication: BasicAuthentication = {
    admit: (_credentials, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          gone.resolve();
          reject(new Error('gone'));
        });
      }),
    isStillAt: async () => true,
    distrust() {},
  };
  await using gate = await gateFor(backend, { paths, authentication });
  const client = await RawClient.to(gate.port);
  client.send(request('GET', '/dav/', [alice]));
  await eventually(() => gate.connections.stats().length === 0 && client.socket.bytesWritten > 0);
  client.socket.destroy();
  await gone.promise;
  assert.equal(gate.warnings.length, 0);
});

test('a backend that refuses what the mail server took: the client is asked in the gateway’s realm, and nothing is believed', async () => {
  await using backend = await startRecordingBackend((_request, response) => {
    response.setHeader('WWW-Authenticate', ['Digest realm="inside", nonce="x"', 'Negotiate']);
    response.writeHead(401).end('no');
  });
  const { clients, distrusted } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  const answer = await ask(gate.port, request('GET', '/dav/', [alice]));
  assert.match(answer, challenge);
  assert.ok(!/Digest|Negotiate/.test(answer));
  assert.deepEqual(distrusted, ['alice@example.test a']);
});

test('a backend without this path says 404, and no other backend is asked', async () => {
  await using backend = await startRecordingBackend();
  const { clients } = admitting(backend.port, { paths: [{ prefix: '/other' }] });
  await using gate = await gateFor(backend, clients);
  assert.match(await ask(gate.port, request('GET', '/dav/', [alice])), /^HTTP\/1\.1 404 /);
  assert.equal(backend.seen.length, 0);
});

const requestHeaders: WebmailDriver['requestHeaders'] = (_request, as) => [
  ['X-Webmail-Secret', 's3cret'],
  ['X-Webmail-User', `${as.user} ${as.password?.reveal() ?? ''} ${as.session ?? '-'}`],
];

test('the webmail gets the fields of its driver, another server never: they may be secrets', async () => {
  await using webmail = await startRecordingBackend();
  await using other = await startRecordingBackend((_request, response) => response.end('other'));
  const { clients } = admitting(webmail.port, {
    driver: { requestHeaders },
    paths: [{ prefix: '/dav' }, { prefix: '/dav/sync', elsewhere: { a: `http://127.0.0.1:${other.port}` } }],
  });
  await using gate = await gateFor(webmail, clients);
  assert.match(await ask(gate.port, request('GET', '/dav/x', [alice, 'X-Webmail-Secret: forged'])), /ok$/);
  assert.deepEqual(fieldsOf(webmail, 'x-webmail-secret'), ['s3cret']);
  assert.deepEqual(fieldsOf(webmail, 'x-webmail-user'), ['alice@example.test p:w -']);
  assert.equal(fieldsOf(webmail, 'authorization').length, 1);
  assert.match(await ask(gate.port, request('GET', '/dav/sync/x', [alice])), /other$/);
  assert.deepEqual(fieldsOf(other, 'x-webmail-secret'), []);
  assert.equal(fieldsOf(other, 'authorization').length, 1);
});

test('a driver with an Authorization of its own keeps it', async () => {
  await using webmail = await startRecordingBackend();
  const { clients } = admitting(webmail.port, { driver: { requestHeaders: () => [['authorization', 'Basic own']] } });
  await using gate = await gateFor(webmail, clients);
  await ask(gate.port, request('GET', '/dav/x', [alice]));
  assert.deepEqual(fieldsOf(webmail, 'authorization'), ['Basic own']);
});

test('a page of another site cannot use what a browser remembers', async () => {
  await using backend = await startRecordingBackend();
  const { clients } = admitting(backend.port);
  await using gate = await gateFor(backend, clients);
  for (const site of ['cross-site', 'same-site']) {
    const post = request('POST', '/dav/x', [alice, `Sec-Fetch-Site: ${site}`, 'Content-Length: 0']);
    assert.match(await ask(gate.port, post), /^HTTP\/1\.1 403 /);
  }
  assert.equal(backend.seen.length, 0);
  const own = request('POST', '/dav/x', [alice, 'Sec-Fetch-Site: same-origin', 'Content-Length: 0']);
  assert.match(await ask(gate.port, own), /ok$/);
});

test('a webmail that refuses connections is reported to the health checks, another server of the backend is not', async () => {
  const gone = await startScriptedBackend(() => {});
  await gone[Symbol.asyncDispose]();
  const evidence: string[] = [];
  const { clients } = admitting(gone.port, {
    paths: [{ prefix: '/dav' }, { prefix: '/dav/sync', elsewhere: { a: `http://127.0.0.1:${gone.port}` } }],
  });
  await using gate = await startGate({
    backendPort: gone.port,
    clients,
    hostEvidence: (host, what) => void evidence.push(`${host} ${what}`),
  });
  assert.match(await ask(gate.port, request('GET', '/dav/sync/x', [alice])), /^HTTP\/1\.1 503 /);
  assert.deepEqual(evidence, []);
  assert.match(await ask(gate.port, request('GET', '/dav/x', [alice])), /^HTTP\/1\.1 503 /);
  assert.deepEqual(evidence, ['a refused']);
});

test('a phone that waits for news outlives the first-byte deadline, and takes no connection from the webmail', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', (part) => {
      if (part.toString('latin1').startsWith('POST /Microsoft')) return;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  const { clients } = admitting(backend.port);
  const limits = { webmailFirstByteMs: 200, connections: 1 };
  const authentication: BasicAuthentication = {
    ...clients.authentication,
    async admit(...args) {
      const admission = await clients.authentication.admit(...args);
      if (admission.kind !== 'admitted') return admission;
      return { ...admission, backend: { ...admission.backend, limits: { ...admission.backend.limits, ...limits } } };
    },
  };
  await using gate = await startGate({ backendPort: backend.port, limits, clients: { paths, authentication } });
  using phone = await RawClient.to(gate.port);
  phone.send(request('POST', '/Microsoft-Server-ActiveSync?Cmd=Ping', [alice, 'Content-Length: 4'], 'ping'));
  await eventually(() => backend.sockets.size === 1);
  assert.match(await ask(gate.port, get('/mail')), /ok$/);
  // undici's coarse clock would have cut it by then.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal(phone.received, '');
  for (const socket of backend.sockets) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews');
  assert.match(await phone.until(isWhole), /news$/);
});

test('a phone that waits on a server that its user has left is told to come again', async () => {
  await using backend = await startScriptedBackend((socket) => void socket.resume());
  const { clients } = admitting(backend.port);
  const asked: string[] = [];
  const authentication: BasicAuthentication = {
    ...clients.authentication,
    async isStillAt(user, name, host) {
      asked.push(`${user} ${name} ${host}`);
      return asked.length < 3;
    },
  };
  await using gate = await startGate({ backendPort: backend.port, clients: { paths, authentication }, recheckMs: 20 });
  using phone = await RawClient.to(gate.port);
  phone.send(request('POST', '/Microsoft-Server-ActiveSync?Cmd=Ping', [alice, 'Content-Length: 0']));
  assert.match(await phone.until(isWhole), /^HTTP\/1\.1 503 /);
  assert.deepEqual(
    asked,
    Array.from({ length: 3 }, () => 'alice@example.test a a'),
  );
  await eventually(() => backend.sockets.size === 0);
});

test('a body that is on its way to the old server or from it may arrive', async () => {
  await using backend = await startRecordingBackend((_request, response, body) => response.end(body));
  const { clients } = admitting(backend.port);
  let asked = 0;
  const authentication: BasicAuthentication = {
    ...clients.authentication,
    async isStillAt() {
      asked += 1;
      return false;
    },
  };
  await using gate = await startGate({ backendPort: backend.port, clients: { paths, authentication }, recheckMs: 10 });
  using client = await RawClient.to(gate.port);
  client.send(request('PUT', '/dav/x', [alice, 'Content-Length: 10'], 'hello'));
  await eventually(() => asked > 3);
  client.send('world');
  assert.match(await client.until(isWhole), /^HTTP\/1\.1 200 [^]*helloworld$/);
});
