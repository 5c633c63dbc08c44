import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { alice } from '../../demo/people.ts';
import { requestIdsOf } from '../../src/core/names.ts';
import { fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

let running: RunningGateway;
/** The Cookie field of Alice's browser. */
let cookie = '';

before(async () => {
  running = await startRunning((yaml) =>
    yaml
      .replace('log: { level: warn }', 'log: { level: info, requests: all }\ntrusted_proxies: [127.0.0.1]')
      .replace('login:\n', 'login:\n  refusal_after: 0s\n')
      .replace('driver: form\n', 'driver: form\n  dav: [/dav]\n'),
  );
  const signedIn = await signIn('proxy-7:signed-in', alice.password);
  assert.equal(signedIn.status, 303);
  ({ cookie } = signedIn);
});
after(() => running[Symbol.asyncDispose]());

/** What a trusted proxy adds for a client. */
function asProxy(requestId: string) {
  return { 'x-request-id': requestId, 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http' };
}

function linesOf(requestId: string) {
  return running.logged.filter(({ fields }) => fields['requestId'] === requestId);
}

function openSocket(requestId: string): WebSocket {
  const headers = { cookie, origin: running.origin, ...asProxy(requestId) };
  return new WebSocket(`${running.origin.replace('http', 'ws')}/api/echo`, { headers });
}

describe('the line of a WebSocket', () => {
  it('comes at its end, with user, client, session, request, status, bytes both ways and how long it was open', async () => {
    const requestId = 'proxy-7:a-socket';
    const socket = openSocket(requestId);
    await once(socket, 'open');
    socket.send('x'.repeat(1_000));
    await once(socket, 'message');
    assert.deepEqual(linesOf(requestId), []);
    socket.close();
    await eventually(() => linesOf(requestId).length === 1);
    const [line] = linesOf(requestId);
    assert.equal(line?.event, 'request');
    const { ms, bytes, bytesIn, ...facts } = line.fields;
    const start = running.logged.find(({ event }) => event === 'session-start');
    assert.deepEqual(facts, {
      requestId,
      user: alice.address,
      client: '192.0.2.7',
      session: start?.fields['session'],
      backend: 'a',
      host: 'a',
      method: 'GET',
      path: '/api/echo',
      status: 101,
    });
    for (const count of [bytes, bytesIn]) assert.ok(typeof count === 'number' && count > 1_000, String(count));
    assert.ok(typeof ms === 'number' && ms >= 0);
  });
});

interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly content?: string;
}

const cookieOf = (line: string): string => line.split(';', 1)[0] ?? '';

/** Sends a request through the proxy; resolves with status and body. */
async function send(requestId: string, { method = 'GET', path, fields, content = '' }: Sent) {
  const headers = { ...asProxy(requestId), ...fields, ...(content === '' ? {} : { 'content-length': content.length }) };
  const request = sendRequest(running.origin + path, { method, headers });
  request.end(content);
  const [response]: IncomingMessage[] = await once(request, 'response');
  assert.ok(response !== undefined);
  const body = Buffer.concat(await response.toArray()).toString();
  return { status: response.statusCode, body, cookie: (response.headers['set-cookie'] ?? []).map(cookieOf).join('; ') };
}

/** Sends a sign-in from a browser of its own. */
async function signIn(requestId: string, password: string) {
  const shown = await send('proxy-7:the-form', { path: '/-/login', fields: {} });
  const form = fieldsIn(shown.body);
  form.set('user', alice.address);
  form.set('password', password);
  const fields = {
    cookie: shown.cookie,
    origin: running.origin,
    'content-type': 'application/x-www-form-urlencoded',
  };
  return send(requestId, { method: 'POST', path: '/-/login', fields, content: form.toString() });
}

describe('the reference of a request', () => {
  const page = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };

  it('is on the page of a refused sign-in and in the line about it', async () => {
    const requestId = 'proxy-7:wrong-password';
    const { status, body } = await signIn(requestId, 'not it');
    assert.equal(status, 403);
    assert.ok(body.includes(requestIdsOf({ requestId }).reference));
    assert.equal(linesOf(requestId).at(-1)?.fields['reference'], requestIdsOf({ requestId }).reference);
  });

  it('is in each answer of the gateway about a dead webmail: to a person, a script, a DAV client, a socket, a sign-in', async () => {
    for (const { webmail } of running.backends.all) await webmail.close();
    const basic = { authorization: `Basic ${btoa(`${alice.address}:${alice.password}`)}` };
    const answers: readonly (readonly [requestId: string, answer: () => Promise<{ status: unknown; body: string }>])[] =
      [
        ['proxy-7:person', () => send('proxy-7:person', { path: '/mail/INBOX', fields: { cookie, ...page } })],
        ['proxy-7:script', () => send('proxy-7:script', { path: '/api/poll', fields: { cookie } })],
        ['proxy-7:dav-client', () => send('proxy-7:dav-client', { path: '/dav/x', fields: basic })],
        ['proxy-7:sign-in', () => signIn('proxy-7:sign-in', alice.password)],
        ['proxy-7:web-socket', () => refusedSocket('proxy-7:web-socket')],
      ];
    for (const [requestId, answer] of answers) {
      const { status, body } = await answer();
      const { reference } = requestIdsOf({ requestId });
      assert.ok(Number(status) >= 500, `${requestId}: ${String(status)}`);
      assert.ok(body.includes(reference), `${requestId}: ${body}`);
      const told = linesOf(requestId).some(({ fields }) => fields['reference'] === reference);
      assert.ok(told, `${requestId}: ${JSON.stringify(linesOf(requestId))}`);
    }
  });
});

async function refusedSocket(requestId: string) {
  const socket = openSocket(requestId);
  socket.on('error', () => {});
  const [, response]: [unknown, IncomingMessage] = await once(socket, 'unexpected-response').then(
    ([request, answer]) => [request, answer],
  );
  return { status: response.statusCode, body: Buffer.concat(await response.toArray()).toString() };
}
