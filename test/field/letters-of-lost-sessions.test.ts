import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { Backend } from '../../src/core/backend.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createSilentLogin } from '../../src/login/silent-login.ts';
import { createConnections } from '../../src/proxy/connections.ts';
import { createExchange } from '../../src/proxy/exchange.ts';
import { create } from '../../src/webmail/form.ts';
import { backendName } from '../login/named.fixture.ts';
import { ask, defaultLimits, get, request, startGate, startRecordingBackend } from '../proxy/gate.fixture.ts';
import { exampleOf } from '../webmail/documented-examples.fixture.ts';

const at = '/squirrelmail/src';
const recorded = (name: string): string =>
  readFileSync(new URL(`../webmail/recorded/squirrelmail-${name}.html`, import.meta.url), 'utf8');

interface PhpSession {
  user?: string;
  /** `session_expired_post` and `session_expired_location`. */
  kept?: { readonly form: URLSearchParams; readonly page: string };
}

/**
 * The sessions of a SquirrelMail. PHP accepts the session id that the browser brings
 * (`session.use_strict_mode` is off), or replaces each unknown id by a new one.
 */
async function startSquirrelMail({ strict }: { readonly strict: boolean }) {
  const sessions = new Map<string, PhpSession>();
  let count = 0;
  const backend = await startRecordingBackend(({ method, url = '', headers }, response, body) => {
    const brought = /SQMSESSID=(\w+)/.exec(headers.cookie ?? '')?.[1];
    let name = brought !== undefined && (sessions.has(brought) || !strict) ? brought : newName();
    let session = sessions.get(name) ?? {};
    const renamed = (next: PhpSession): void => {
      sessions.delete(name);
      name = newName();
      session = next;
    };
    const page = url.slice(at.length).replace(/\?.*/, '');
    if (page === '/login.php') {
      renamed(session.kept === undefined ? {} : { kept: session.kept });
      send(response, name, recorded('login'));
    } else if (page === '/redirect.php') {
      const user = new URLSearchParams(body).get('login_username') ?? '';
      renamed({ ...session, user });
      const to = session.kept === undefined ? 'webmail.php' : `webmail.php?right_frame=${session.kept.page}`;
      response.writeHead(302, { Location: to, 'Set-Cookie': [cookie(name), 'key=K; path=/squirrelmail/; HttpOnly'] });
      response.end();
    } else if (session.user === undefined) {
      session.kept ??= { form: new URLSearchParams(method === 'POST' ? body : ''), page };
      send(response, name, recorded('lost'));
    } else {
      const { form } = session.kept ?? {};
      delete session.kept;
      const letter = form?.get('username') === session.user ? form.get('body') : '';
      send(response, name, `<html><body>${method} ${page}: ${letter}</body></html>`);
    }
    sessions.set(name, session);
  });
  function newName(): string {
    count += 1;
    return `s${count}`;
  }
  return { backend, sessions, [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() };
}

function cookie(name: string): string {
  return `SQMSESSID=${name}; path=/squirrelmail/; HttpOnly`;
}

function send(response: ServerResponse, name: string, html: string): void {
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Set-Cookie': cookie(name) }).end(html);
}

/** A gateway with the documented settings before it, and a session of alice's whose webmail session is `dead`. */
async function startSite(port: number, settings: Readonly<Record<string, unknown>>) {
  await using opened = new AsyncDisposableStack();
  const connections = createConnections();
  opened.defer(() => connections.close());
  const exchange = createExchange({ connections, limits: () => defaultLimits, refused: () => {} });
  const driver = create({ exchange, clock: systemClock, settings });
  const host: Backend['hosts'][0] = {
    name: 'a',
    imap: { hostname: '127.0.0.1', port: 1, security: 'tls', trust: {} },
    webmail: { origin: `http://127.0.0.1:${port}`, landing: `${at}/webmail.php`, trust: {} },
  };
  const name = backendName('a');
  const backend = { name, driver: 'form', driverSettings: {}, hosts: [host], limits: defaultLimits } as const;
  const silentLogin = createSilentLogin({ homeOf: () => ({ backend, host, driver }), clock: systemClock });
  const gate = opened.use(
    await startGate({
      backendPort: port,
      driver,
      landing: host.webmail.landing,
      password: new Secret('alice-pw'),
      silentLogin,
    }),
  );
  gate.session.jar.absorb('SQMSESSID=dead; path=/squirrelmail/; HttpOnly', `${at}/login.php`, systemClock.nowMs());
  const moved = opened.move();
  return { gate, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

function cookieIn(fields: readonly string[]): string | undefined {
  const at = fields.findIndex((name) => name.toLowerCase() === 'cookie');
  return at === -1 ? undefined : fields[at + 1];
}

const letter = 'Dear Bob, this took me an hour.';

function postedLetter(destination: string, username = 'alice@example.test'): string {
  const body = new URLSearchParams({ username, body: letter, send: 'Send' }).toString();
  return request(
    'POST',
    `${at}/compose.php`,
    [
      'Cookie: postern=alice',
      'Sec-Fetch-Mode: navigate',
      `Sec-Fetch-Dest: ${destination}`,
      'Content-Type: application/x-www-form-urlencoded',
      `Content-Length: ${body.length}`,
    ],
    body,
  );
}

const { settings } = exampleOf('SquirrelMail');
const page = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'];

for (const strict of [false, true]) {
  for (const destination of ['document', 'frame']) {
    const how = `${strict ? 'in a new session' : 'in the session of the old name'}, in a ${destination}`;
    test(`a letter posted to a lost SquirrelMail that keeps it ${how} comes back`, async () => {
      await using squirrelmail = await startSquirrelMail({ strict });
      await using site = await startSite(squirrelmail.backend.port, settings);
      const { gate } = site;
      const answer = await ask(gate.port, postedLetter(destination));
      assert.match(answer, /^HTTP\/1\.1 303 /);
      assert.match(answer, /\r\nLocation: http:\/\/mail\.example\.test\/squirrelmail\/src\/compose\.php\r\n/);
      assert.doesNotMatch(answer, /SQMSESSID/, 'the browser learns nothing of it');
      const [lost, ...signIn] = squirrelmail.backend.seen;
      assert.equal(lost?.target, `${at}/compose.php`);
      const anonymous = strict ? 's1' : 'dead';
      assert.deepEqual(
        signIn.map(({ method, target, fields }) => [method, target, cookieIn(fields)]),
        [
          ['GET', `${at}/login.php`, `SQMSESSID=${anonymous}`],
          ['POST', `${at}/redirect.php`, `SQMSESSID=${strict ? 's2' : 's1'}`],
        ],
      );
      const next = await ask(gate.port, get(`${at}/compose.php`, ...page));
      assert.ok(next.includes(`GET /compose.php: ${letter}</body></html>`), next);
      assert.equal(squirrelmail.sessions.has(anonymous), false);
      assert.equal((await ask(gate.port, get(`${at}/compose.php`, ...page))).includes(letter), false, 'once');
    });
  }
}

test('SquirrelMail itself shows the letter to nobody else', async () => {
  await using squirrelmail = await startSquirrelMail({ strict: true });
  await using site = await startSite(squirrelmail.backend.port, settings);
  await ask(site.gate.port, postedLetter('document', 'bob@example.test'));
  const next = await ask(site.gate.port, get(`${at}/compose.php`, ...page));
  assert.equal(next.includes(letter), false);
});

test('without carried cookies the webmail’s own answer is handed on, as before', async () => {
  await using squirrelmail = await startSquirrelMail({ strict: true });
  await using site = await startSite(squirrelmail.backend.port, { ...settings, carried_cookies: [] });
  const answer = await ask(site.gate.port, postedLetter('document'));
  assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*logout_error/);
  const asked = squirrelmail.backend.seen.find(({ target }) => target.endsWith('/login.php'));
  assert.deepEqual([asked?.method, cookieIn(asked?.fields ?? [])], ['GET', undefined]);
});
