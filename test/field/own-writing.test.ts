import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request as sendRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { backendDefaults, createMachines, place } from '../gateway/machines.fixture.ts';
import { askSocket } from '../gateway/standby-site.fixture.ts';
import { type StaffBrowser, staffBrowser } from '../http/console.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { codeOf } from '../support/support.fixture.ts';

const staff = 'bob@example.test';
const password = 'wonderland';
const reason = 'a test';

/** A balancer without affinity: each request goes to the next node of these ports. */
async function startBalancer(ports: readonly number[]) {
  let turn = 0;
  const server = createServer((request, response) => {
    const { method, headers, url: path } = request;
    const passed = sendRequest({ port: ports[(turn += 1) % ports.length], method, headers, path, agent: false });
    request.pipe(passed);
    passed.once('response', (answer: IncomingMessage) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    passed.once('error', () => response.destroy());
  });
  const port = await listening(server);
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Two nodes on one Redis, each of which rarely reads what the other wrote. */
async function startTwoNodes() {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-two-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const redis = opened.use(await startRedisServer());
  const { start, keyPair } = createMachines(opened);
  const machine = await start('a');
  await writeFile(join(directory, 'ca.crt'), keyPair.certificate);
  const sockets: string[] = [];
  const ports: number[] = [];
  const port = opened.use(await startBalancer(ports)).port;
  const origins = { mail: `http://127.0.0.1:${port}`, console: `http://support.localhost:${port}` };
  for (const name of ['first', 'second']) {
    const own = await freePort();
    const configFile = join(directory, `${name}.yaml`);
    await writeFile(
      configFile,
      `listen: 127.0.0.1:${own}
public_url: ${origins.mail}
operators: { listen: 127.0.0.1:0, socket: ${name}.sock }
sessions: { redis: "${redis.url}", keys_file: keys }
directory: { default_domain: example.test, sources: [{ type: static, backend: a }] }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
support:
  console: ${origins.console}
  assist: http://assist.localhost:${port}
  staff: { ${staff}: { roles: [support, operator, auditor] } }
audit: { file: ${name}.jsonl }
${backendDefaults}backends:
  a: { ${place(machine)} }
log: { level: silent }
shutdown: { delay: 0s, deadline: 1s }
`,
    );
    const gateway = await startGateway({ configFile, log: silentLog });
    opened.defer(() => gateway.close());
    sockets.push(join(directory, `${name}.sock`));
    ports.push(own);
  }
  const owned = opened.move();
  let turn = 0;
  return {
    origins,
    /** The socket of the next node. */
    next: () => sockets[(turn += 1) % sockets.length] ?? '',
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Sends a form, and follows its redirect. */
async function follow(browser: StaffBrowser, path: string, fields: Readonly<Record<string, string>>) {
  const reply = await browser.post(path, fields);
  assert.equal(reply.status, 303, reply.text);
  return browser.get(reply.headers['location'] ?? '');
}

async function signInAlice(origin: string) {
  const browser = new Browser(origin);
  const form = fieldsIn(await browser.text('/-/login'));
  form.set('user', 'alice');
  form.set('password', password);
  assert.match((await browser.submit('/-/login', form)).body.toString(), /backend a/);
  return browser;
}

describe('who wrote something reads it at once, at whatever node: two nodes take turns', () => {
  let site: Awaited<ReturnType<typeof startTwoNodes>>;
  before(async () => {
    site = await startTwoNodes();
  });
  after(() => site[Symbol.asyncDispose]());

  const api = (method: string, path: string, body?: object) => askSocket(site.next(), method, path, body);

  const atConsole = () => staffBrowser({ server: site.origins.mail, origin: site.origins.console });

  const stateOf = async (user: string) => {
    const { body } = await api('GET', '/staff');
    return body.staff.find((one: { user: string }) => one.user === user)?.second_factor;
  };

  let appKey = '';
  let lastStep = 0;
  const nextCode = () => {
    lastStep = Math.max(lastStep + 1, Math.floor(Date.now() / 30_000));
    return codeOf(appKey, lastStep * 30_000);
  };

  it('the invitation, the key on offer, the second factor, the sign-in and the sign-out of staff', async () => {
    const browser = atConsole();
    const invited = await api('POST', `/staff/${staff}/enrolment`, {});
    assert.equal(await stateOf(staff), 'invited');
    await browser.get('/-/login');
    await follow(browser, '/-/login', { user: 'bob', password });
    const open = await browser.get('/-/enrol');
    assert.match(open.text, /Type the one-time code/);
    const offer = await follow(browser, '/-/enrol', { invitation: String(invited.body.code) });
    assert.match(offer.text, /Scan this code/);
    appKey = /<code>([A-Z2-7 ]+)<\/code>/.exec(offer.text)?.[1]?.replaceAll(' ', '') ?? '';
    assert.match((await browser.post('/-/enrol', { code: nextCode() })).text, /recovery codes/);
    assert.equal(await stateOf(staff), 'enrolled');
    const landed = await browser.get('/-/');
    assert.equal(landed.headers['location'], '/-/users');
    assert.equal((await browser.get('/-/users')).status, 200);
    const signedOut = await browser.post('/-/logout', {});
    assert.equal(signedOut.status, 303);
    assert.equal((await browser.get('/-/users')).headers['location'], '/-/login');
  });

  it('the state of a backend, set at the console and by the API', async () => {
    const browser = atConsole();
    await browser.get('/-/login');
    await follow(browser, '/-/login', { user: 'bob', password });
    await browser.post('/-/factor', { code: nextCode() });
    await browser.get('/-/backend?name=a');
    for (const state of ['DRAIN', 'MAINT', 'READY', 'DRAIN', 'READY']) {
      const page = await follow(browser, '/-/backend', { backend: 'a', state, reason, sure: 'yes' });
      assert.equal(/<p class="notice">(\w+) since/.exec(page.text)?.[1], state);
      const { body } = await api('GET', '/backends');
      assert.equal(body.backends[0].set.state, state);
    }
    for (const state of ['MAINT', 'READY']) {
      assert.equal((await api('PUT', '/backends/a/state', { state, reason })).status, 200);
      const { body } = await api('GET', '/backends');
      assert.equal(body.backends[0].set.state, state);
      assert.match((await browser.get('/-/backends')).text, new RegExp(`class="state ${state.toLowerCase()}"`));
    }
  });

  it('a second factor that was taken away, and a new invitation right after', async () => {
    const browser = atConsole();
    for (let turn = 0; turn < 3; turn += 1) {
      const reset = await api('DELETE', `/staff/${staff}/enrolment`, { reason });
      assert.equal(reset.status, 200);
      assert.equal(await stateOf(staff), 'none');
      const invited = await api('POST', `/staff/${staff}/enrolment`, {});
      assert.equal(invited.status, 200, JSON.stringify(invited.body));
      assert.equal(await stateOf(staff), 'invited');
    }
    await browser.get('/-/login');
    await follow(browser, '/-/login', { user: 'bob', password });
    const wrong = await browser.post('/-/enrol', { invitation: 'xxxx-xxxx-xxxx-xxxx' });
    assert.equal(wrong.status, 403);
  });

  it('a move, and what became of it', async () => {
    const moved = await api('POST', '/users/alice/move', { to: 'a', reason, at_sign_in: true });
    assert.equal(moved.body.outcome, 'already-there', JSON.stringify(moved.body));
    const forgotten = await api('DELETE', '/users/alice/remembered-home', { reason });
    assert.equal(forgotten.status, 200);
    assert.equal((await api('GET', '/users/alice/explanation')).body.backend, 'a');
  });

  it('a user’s sign-in, the list of devices, the end of others, and the sign-out', async () => {
    const [here, there] = [await signInAlice(site.origins.mail), await signInAlice(site.origins.mail)];
    for (let turn = 0; turn < 4; turn += 1) assert.match(await here.text('/mail/INBOX'), /backend a/);
    const list = await here.text('/-/sessions');
    assert.equal(list.match(/name="end" value="[\w-]{43}"/g)?.length, 1);
    const form = fieldsIn(list);
    form.set('end', 'others');
    const after = await here.submit('/-/sessions', form);
    assert.doesNotMatch(after.body.toString(), /name="end"/);
    await eventually(async () => (await there.open('/mail/INBOX')).path.endsWith('ended=ended-elsewhere'));
    const logout = await here.submit('/-/logout', fieldsIn(await here.text('/-/logout')));
    assert.match(logout.body.toString(), /You are signed out/);
    assert.doesNotMatch(logout.body.toString(), /signed in as/);
  });
});
