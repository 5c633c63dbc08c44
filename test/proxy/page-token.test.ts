import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, IncomingMessage, request as sendRequest } from 'node:http';
import { connect } from 'node:net';
import { suite, test } from 'node:test';
import type { PageToken } from '../../src/core/webmail.ts';
import { renewTarget } from '../../src/proxy/page-token.ts';
import { eventually } from '../eventually.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { type Gate, startGate } from './gate.fixture.ts';

const token: PageToken = { name: '_token', value: 'fresh$&token' };
const urlencoded = 'application/x-www-form-urlencoded';
const multipart = 'multipart/form-data; boundary=----WebKitFormBoundaryAbc';
const long = 'x'.repeat(200_000);

interface Arrived {
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A gate before a webmail that remembers what arrives; its driver has this token for every request. */
async function startSite(stack: AsyncDisposableStack): Promise<{ gate: Gate; arrived: Arrived[] }> {
  const arrived: Arrived[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      arrived.push({
        target: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(parts).toString('latin1'),
      });
      response.end('saved');
    });
  });
  const backendPort = await listening(server);
  stack.defer(() => void server.close());
  stack.defer(() => server.closeAllConnections());
  const gate = stack.use(await startGate({ backendPort, driver: { pageToken: () => token } }));
  return { gate, arrived };
}

interface Sent {
  readonly type?: string;
  readonly parts: readonly string[];
  readonly chunked?: boolean;
}

/** Sends a form, each part by a write of its own once the one before has been taken. */
async function post(gate: Gate, { type, parts, chunked = false }: Sent): Promise<number | undefined> {
  const length = Buffer.byteLength(parts.join(''), 'latin1');
  const request = sendRequest({
    port: gate.port,
    method: 'POST',
    path: '/?_token=old',
    headers: {
      host: 'mail.example.test',
      cookie: 'postern=alice',
      ...(type === undefined ? {} : { 'content-type': type }),
      ...(chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': length }),
    },
  });
  for (const part of parts) {
    await new Promise((resolve) => request.write(Buffer.from(part, 'latin1'), resolve));
  }
  request.end();
  const [response]: unknown[] = await once(request, 'response');
  assert.ok(response instanceof IncomingMessage);
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

const field = (name: string, value: string): string =>
  `------WebKitFormBoundaryAbc\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const end = '------WebKitFormBoundaryAbc--\r\n';

const forms: readonly (readonly [what: string, type: string | undefined, body: string, arrives: string])[] = [
  ['first', urlencoded, '_token=old&_task=settings', `_token=${token.value}&_task=settings`],
  ['in the middle', urlencoded, '_task=settings&_token=old&a=1', `_task=settings&_token=${token.value}&a=1`],
  ['last', urlencoded, '_task=settings&_token=old', `_task=settings&_token=${token.value}`],
  ['alone and empty', urlencoded, '_token=', `_token=${token.value}`],
  ['before much', urlencoded, `_token=old&text=${long}`, `_token=${token.value}&text=${long}`],
  ['with a parameter of the type', `${urlencoded}; charset=UTF-8`, '_token=old', `_token=${token.value}`],
  ['in a name that ends alike', urlencoded, 'my_token=old&a=_token=old', 'my_token=old&a=_token=old'],
  ['behind more than is held', urlencoded, `text=${long}&_token=old`, `text=${long}&_token=old`],
  ['nowhere', urlencoded, 'a=1', 'a=1'],
  [
    'in parts',
    multipart,
    field('_token', 'old') + field('text', long) + end,
    field('_token', token.value) + field('text', long) + end,
  ],
  [
    'in a later part, beside bytes',
    multipart,
    field('a', '\u00ff\u0000\r\n') + field('_token', 'old') + end,
    field('a', '\u00ff\u0000\r\n') + field('_token', token.value) + end,
  ],
  [
    'in the text of another part',
    multipart,
    field('a', 'Content-Disposition: form-data; name="_token"\r\n\r\nold') + end,
    field('a', 'Content-Disposition: form-data; name="_token"\r\n\r\nold') + end,
  ],
  ['in parts without a boundary', 'multipart/form-data', field('_token', 'old'), field('_token', 'old')],
  ['in what is no form', 'text/plain', '_token=old', '_token=old'],
  ['in what has no type', undefined, '_token=old', '_token=old'],
];

suite('the token of a page that is older than the webmail’s session', { concurrency: false }, () => {
  for (const [what, type, body, arrives] of forms) {
    for (const [how, chunked, parts] of [
      ['at once', false, [body]],
      ['chunked', true, [body]],
      ['bit by bit', false, body.length > 1000 ? [body.slice(0, 500), body.slice(500)] : body.split('')],
    ] as const) {
      test(`${what} of a form that comes ${how}`, async () => {
        await using stack = new AsyncDisposableStack();
        const { gate, arrived } = await startSite(stack);
        assert.equal(await post(gate, { ...(type === undefined ? {} : { type }), parts, chunked }), 200);
        assert.equal(arrived.length, 1);
        assert.equal(arrived[0]?.body, arrives);
        assert.equal(arrived[0]?.target, `/?_token=${token.value}`);
        const length = arrived[0]?.headers['content-length'];
        if (!chunked) assert.equal(Number(length), Buffer.byteLength(arrives, 'latin1'));
      });
    }
  }

  test('an empty chunked form arrives', async () => {
    await using stack = new AsyncDisposableStack();
    const { gate, arrived } = await startSite(stack);
    assert.equal(await post(gate, { type: urlencoded, parts: [], chunked: true }), 200);
    assert.equal(arrived[0]?.body, '');
  });

  test('a client that leaves in the middle of it costs nothing, and its connection serves the next', async () => {
    await using stack = new AsyncDisposableStack();
    const { gate, arrived } = await startSite(stack);
    for (let i = 0; i < 10; i += 1) {
      const client = connect(gate.port, '127.0.0.1');
      client.on('error', () => {});
      const head = `POST / HTTP/1.1\r\nHost: mail.example.test\r\nCookie: postern=alice\r\n`;
      client.write(`${head}Content-Type: ${urlencoded}\r\nContent-Length: 100\r\n\r\n_task=set`);
      await eventually(() => gate.session.attachments > 0, 'the form waits for its token');
      client.destroy();
      await eventually(() => gate.session.attachments === 0, 'the form is given up');
    }
    assert.equal(await post(gate, { type: urlencoded, parts: ['_token=old'] }), 200);
    assert.equal(arrived.length, 1);
    assert.deepEqual(gate.warnings, []);
  });
});

suite('the token of a target', () => {
  for (const [target, renewed] of [
    ['/?_task=logout&_token=old', '/?_task=logout&_token=fresh$&token'],
    ['/?_token=old&_task=logout', '/?_token=fresh$&token&_task=logout'],
    ['/?_token=', '/?_token=fresh$&token'],
    ['/?_token=a&_token=b', '/?_token=fresh$&token&_token=fresh$&token'],
    ['/_token=old?a=1', '/_token=old?a=1'],
    ['/?my_token=old&a=_token=old', '/?my_token=old&a=_token=old'],
    ['/', '/'],
  ] as const) {
    test(target, () => assert.equal(renewTarget(target, token), renewed));
  }
});
