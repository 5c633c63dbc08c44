import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import request from 'supertest';
import { alice, bob } from '../../demo/people.ts';
import { run } from '../cli/cli.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type StaffBrowser, staffBrowser } from '../http/console.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { codeOf } from '../support/support.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

const staff = 'bob@example.test';

let gateway: RunningGateway;
let console: { readonly server: string; readonly origin: string };
before(async () => {
  gateway = await startRunning((yaml) => {
    const port = /^listen: 127\.0\.0\.1:(\d+)$/m.exec(yaml)?.[1] ?? '';
    console = { server: `http://127.0.0.1:${port}`, origin: `http://support.localhost:${port}` };
    const support = [
      'support:',
      `  console: http://support.localhost:${port}`,
      `  assist: http://assist.localhost:${port}`,
      '  staff:',
      `    ${staff}: { roles: [support, operator, auditor] }`,
    ];
    return `${yaml.replace('operators: { listen: 127.0.0.1:0 }', 'operators: { listen: 127.0.0.1:0, socket: state/api.sock }')}${support.join('\n')}\n`;
  });
});
after(() => gateway[Symbol.asyncDispose]());

const postern = (...args: readonly string[]) => run([...args, '-c', gateway.configFile]);

/** Signs in with the own mailbox; what is asked for next is the page that is open then. */
async function withPassword(): Promise<StaffBrowser> {
  const browser = staffBrowser(console);
  await browser.get('/-/login');
  const reply = await browser.post('/-/login', { user: 'bob', password: bob.password });
  assert.equal(reply.headers['location'], '/-/factor', reply.text);
  return browser;
}

let appKey = '';
/** Codes are good once: a second one in this half minute is that of the next, of which a clock may be ahead. */
let lastStep = 0;
function nextCode(): string {
  lastStep = Math.max(lastStep + 1, Math.floor(Date.now() / 30_000));
  return codeOf(appKey, lastStep * 30_000);
}

describe('the console of a running gateway', () => {
  test('opens to a member of staff whom an operator has given a one-time code', async () => {
    assert.match((await postern('staff', 'list')).out, /^bob@example\.test +support operator auditor +- +none/m);
    const stranger = await postern('staff', 'enrol', 'alice');
    assert.deepEqual(
      [stranger.code, stranger.err],
      [1, 'alice@example.test has no role: add one under support.staff first\n'],
    );
    const { out } = await postern('staff', 'enrol', 'bob');
    const code = /: (\S{19})\n/.exec(out)?.[1] ?? '';
    assert.match(out, /support\.localhost/);

    const browser = await withPassword();
    assert.equal((await browser.get('/-/factor')).headers['location'], '/-/enrol');
    await browser.get('/-/enrol');
    await browser.post('/-/enrol', { invitation: code });
    const offer = await browser.get('/-/enrol');
    appKey = /<code>([A-Z2-7 ]+)<\/code>/.exec(offer.text)?.[1]?.replaceAll(' ', '') ?? '';
    const done = await browser.post('/-/enrol', { code: nextCode() });
    assert.match(done.text, /recovery codes/);
    assert.match((await postern('staff', 'list')).out, /enrolled +now/);
    assert.equal((await postern('staff', 'enrol', 'bob')).code, 1);
  });

  test('shows a user with the home, the sign-ins that were tried, and the penalty, which can be lifted', async () => {
    const browser = await withPassword();
    await browser.get('/-/factor');
    await browser.post('/-/factor', { code: nextCode() });
    await gateway.signIn('alice', 'not-her-password');
    await gateway.signIn('alice', alice.password);
    let page = await browser.get('/-/users?user=alice');
    await eventually(async () => {
      page = await browser.get('/-/users?user=alice');
      return /signed-in/.test(page.text);
    });
    assert.match(page.text, /rejected: wrong-password/);
    assert.match(page.text, /<strong>a<\/strong>, webmail form/);
    assert.match(page.text, /READY<\/span> a, serves/);
    assert.match(page.text, /Open sessions[\s\S]*127\.0\.0\.1/);
    assert.match(page.text, /disabled aria-describedby="why-not"/, 'a form has no way in without the password');
    await gateway.signIn('alice', 'wrong-1');
    await gateway.signIn('alice', 'wrong-2');
    assert.match((await browser.get('/-/users?user=alice')).text, /Slowed down: the next sign-in waits up to 4 s/);
    await browser.post('/-/users', { user: 'alice@example.test', do: 'lift' });
    assert.match((await browser.get('/-/users?user=alice')).text, /Not slowed down/);
    const state = { backend: 'a', state: 'DRAIN', reason: 'new disks' };
    assert.equal((await browser.post('/-/backend', state)).status, 303);
    assert.match(
      (await browser.get('/-/backend?name=a')).text,
      /DRAIN since .*by bob@example\.test \(console\): new disks/,
    );
    const table = (await browser.get('/-/backends')).text;
    assert.match(table, /<td class="state drain">drain<td>a<td>1<td>/, 'the session of alice counts');
    assert.match(table, /bob@example\.test \(console\): new disks/);
    const maintenance = await browser.post('/-/backend', { ...state, state: 'MAINT' });
    assert.match(maintenance.text, /1 person is signed in there<\/strong>, in 1 session on/);
    await browser.post('/-/backend', { ...state, state: 'READY' });
    const audit = await browser.get('/-/audit?actor=bob@example.test');
    for (const event of ['staff-enrolled', 'staff-sign-in', 'role-used', 'penalty-lifted', 'backend-state']) {
      assert.match(audit.text, new RegExp(`>${event}</td>`), event);
    }
    assert.match(readFileSync(join(dirname(gateway.configFile), 'state', 'audit.jsonl'), 'utf8'), /"staff-invited"/);
  });

  test('opens by a link that an operator makes over the socket, once', async () => {
    const made = await postern('console', '--link');
    const [, path = '', token = ''] = /^http:\/\/[^/]+(\/-\/link\?link=(\S+))\n/.exec(made.out) ?? [];
    const browser = staffBrowser(console);
    assert.match((await browser.get(path)).text, /Open the console/);
    assert.equal((await browser.post('/-/link', { link: token })).status, 303);
    const nodes = await browser.get('/-/nodes');
    assert.match(nodes.text, /\(socket\)<\/span>[^]*this node/);
    assert.match((await browser.get('/-/statistics')).text, /Sign-ins by hour of the week|Nothing was counted yet/);
    assert.match((await browser.get('/-/sessions?kind=console')).text, /\(socket\)<\/a><\/th><td>console/);
    assert.match((await browser.get('/-/route?user=alice@example.test')).text, /home a[^]*Webmail form/);
    const bad = '192.0.2.0/99';
    assert.match((await browser.get(`/-/penalties?network=${bad}`)).text, /<h1>Penalties/, 'a list, of no penalties');
    const lifted = await browser.post('/-/penalties', { lift: `network=${bad}`, reason: 'a slip' });
    assert.equal(lifted.headers['location'], '/-/penalties?lifted=0');
    assert.equal((await staffBrowser(console).post('/-/link', { link: token })).status, 403);
    const audit = await postern('audit', 'list');
    assert.match(audit.out, /console-link-used[^]*console-link-made/);
    assert.doesNotMatch(audit.out, /a slip/, 'what was not lifted is in no audit');
  });

  test('takes no session of the webmail, and the webmail none of the console', async () => {
    const user = await gateway.signIn('alice', alice.password);
    const browser = staffBrowser(console);
    browser.cookie = user.browser.cookieField;
    assert.equal((await browser.get('/-/users')).headers['location'], '/-/login');
    const half = await withPassword();
    const staffCookie = /postern-staff=([^;]+)/.exec(half.cookie)?.[1] ?? '';
    const host = new URL(gateway.origin).host;
    for (const cookie of [`postern-staff=${staffCookie}`, `postern=${staffCookie}`, `postern=s%3A${staffCookie}`]) {
      const reply = await request(console.server)
        .get('/mail/')
        .set({ Host: host, Cookie: cookie, Accept: 'text/html' });
      assert.match(reply.headers['location'] ?? '', /\/-\/login\?next=/);
      assert.equal((await request(console.server).get('/-/sessions').set({ Host: host, Cookie: cookie })).status, 303);
    }
    assert.equal((await request(console.server).get('/-/users').set('Host', host)).status, 404);
  });

  test('a kick, a reset and the loss of the role each end it', async () => {
    const kicked = await withPassword();
    await postern('kick', 'bob', '--reason', 'a test');
    assert.equal((await kicked.get('/-/factor')).headers['location'], '/-/login');

    const lost = await withPassword();
    await gateway.rewrite(`    ${staff}:`, '    carol@example.test:');
    await gateway.gateway.reload();
    assert.equal((await lost.get('/-/factor')).headers['location'], '/-/login?ended=role');
    await gateway.rewrite('    carol@example.test:', `    ${staff}:`);
    await gateway.gateway.reload();

    const reset = await withPassword();
    assert.match((await postern('staff', 'reset', 'bob', '--reason', 'lost phone')).out, /no second factor any more/);
    assert.equal((await reset.get('/-/factor')).headers['location'], '/-/login');
    assert.equal((await postern('staff', 'reset', 'bob', '--reason', 'again')).code, 1);
  });
});

function signInPage(origin: string, name: string) {
  return request(origin).get('/-/login').set('Host', name);
}

test('a console with a listener of its own is served there, and nowhere else', async () => {
  const port = await freePort();
  const host = `support.localhost:${port}`;
  await using own = await startRunning((yaml) =>
    [
      yaml.trimEnd(),
      'support:',
      `  console: http://${host}`,
      '  assist: http://assist.localhost:1',
      `  listen: 127.0.0.1:${port}`,
      `  staff: { ${staff}: support }`,
      '',
    ].join('\n'),
  );
  assert.match((await signInPage(`http://127.0.0.1:${port}`, host)).text, /Staff sign-in/);
  for (const [origin, name] of [
    [own.origin, host],
    [`http://127.0.0.1:${port}`, new URL(own.origin).host],
    [`http://127.0.0.1:${port}`, 'assist.localhost:1'],
  ] as const) {
    const reply = await signInPage(origin, name);
    assert.equal(reply.status, 421, `${name} at ${origin}`);
  }
});
