import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { parse } from 'yaml';
import type { BackendHost } from '../../src/core/backend.ts';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { create } from '../../src/webmail/form.ts';
import { parseFormSettings } from '../../src/webmail/form-settings.ts';
import { driverContract } from './driver-contract.ts';
import { clock, going, hostWith, identity, requestHead, responseOf, scriptedExchange } from './scripted-exchange.ts';

const documented = readFileSync(new URL('../../docs/webmails/form.md', import.meta.url), 'utf8');
const page = (name: string): string => readFileSync(new URL(`recorded/${name}.html`, import.meta.url), 'utf8');
const html = { 'content-type': 'text/html; charset=utf-8' };
const json = { 'content-type': 'application/json; charset=utf-8' };
const gone = 'Expires=Thu, 01-Jan-1970 00:00:01 GMT; Path=/';

interface Example {
  readonly host: BackendHost;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The settings that the page gives for a webmail, as an operator would copy them. */
function exampleOf(webmail: string): Example {
  const text = documented.split('\n### ').find((part) => part.startsWith(webmail));
  const block = /```yaml\n(.*?)```/s.exec(text ?? '')?.[1];
  assert.ok(block !== undefined, `no example of ${webmail}`);
  const { backends }: { backends: Record<string, { webmail: string; driver: string; form: Example['settings'] }> } =
    parse(block);
  const [backend] = Object.values(backends);
  assert.equal(backend?.driver, 'form');
  const { origin, pathname } = new URL(backend.webmail);
  return { host: hostWith(pathname, origin), settings: backend.form };
}

function squirrelmail({ method, target, body }: ExchangeRequest): ExchangeResponse {
  const at = '/squirrelmail/src';
  if (target === `${at}/login.php`)
    return responseOf(200, page('squirrelmail-login'), html, ['SQMSESSID=pre; path=/squirrelmail/; HttpOnly']);
  if (target === `${at}/signout.php`) return responseOf(200, 'signed out', html, [`key=SQMTRASH; ${gone}`]);
  if (method !== 'POST' || target !== `${at}/redirect.php`) return responseOf(404, '', html);
  const form = new URLSearchParams(body);
  assert.equal(form.get('just_logged_in'), '1');
  if (form.get('secretkey') !== 'right')
    return responseOf(200, page('squirrelmail-refused'), html, ['SQMSESSID=new; path=/squirrelmail/; HttpOnly']);
  assert.equal(form.get('login_username'), 'alice@example.test');
  return responseOf(302, '', { ...html, location: 'webmail.php' }, [
    'squirrelmail_language=en_US; path=/squirrelmail/',
    'SQMSESSID=new; path=/squirrelmail/; HttpOnly',
    'key=c2VhbGVk; path=/squirrelmail/; HttpOnly',
  ]);
}

function cypht({ method, target, body }: ExchangeRequest): ExchangeResponse {
  assert.equal(target, '/');
  if (method === 'GET') return responseOf(200, page('cypht-login'), html, ['hm_session=pre; path=/']);
  const form = new URLSearchParams(body);
  assert.equal(form.get('hm_page_key'), 'b7c0f1d2e3a4');
  assert.equal(form.has('stay_logged_in'), false);
  if (form.get('password') !== 'right')
    return responseOf(303, '', { ...html, location: '/' }, ['hm_msgs=W10; path=/; HttpOnly']);
  return responseOf(303, '', { ...html, location: '/' }, ['hm_id=KEY; path=/; HttpOnly', 'hm_session=S; path=/']);
}

function snappymail({ method, target, body }: ExchangeRequest): ExchangeResponse {
  if (target === '/sign-in.html') return responseOf(200, page('snappymail-sign-in'), html);
  assert.deepEqual([method, target], ['POST', '/?ExternalLogin']);
  const form = new URLSearchParams(body);
  const accepted = form.get('Password') === 'right' && form.get('Email') === 'alice@example.test';
  const session = ['smtoken=T; path=/; HttpOnly; SameSite=Strict', 'smaccount=A; path=/; HttpOnly; SameSite=Strict'];
  return responseOf(302, '', { ...html, location: './' }, accepted ? session : []);
}

const webmails = [
  {
    name: 'SquirrelMail',
    webmail: squirrelmail,
    landing: '/squirrelmail/src/webmail.php',
    jar: 'SQMSESSID=new; key=c2VhbGVk',
  },
  { name: 'Cypht', webmail: cypht, landing: '/', jar: 'hm_session=S; hm_id=KEY' },
  { name: 'SnappyMail', webmail: snappymail, landing: '/', jar: 'smtoken=T; smaccount=A' },
];

for (const { name, webmail, landing, jar } of webmails) {
  const { host, settings } = exampleOf(name);
  const driver = (): WebmailDriver => create({ exchange: scriptedExchange(webmail), clock, settings });

  suite(`the example of ${name}`, () => {
    test('has settings that the gateway takes', () => {
      assert.equal(parseFormSettings(settings).kind, 'ok');
    });

    test('signs in, and keeps the session in the gateway', async () => {
      const outcome = await driver().signIn(host, identity('right'), going);
      assert.ok(outcome.kind === 'signed-in');
      assert.equal(outcome.landing, landing);
      assert.equal(outcome.jar.header(landing, clock.nowMs()), jar);
    });

    test('tells a wrong password from a failure', async () => {
      assert.deepEqual(await driver().signIn(host, identity('wrong'), going), { kind: 'rejected' });
    });
  });

  driverContract({
    name,
    landing: host.webmail.landing,
    create: (exchange) => create({ exchange, clock, settings }),
    webmail,
  });
}

/** What the driver makes of an answer, its body included. */
function verdict(
  name: string,
  target: string,
  { body, ...head }: ExchangeResponse,
  fields: Readonly<Record<string, string>> = {},
): string | undefined {
  const driver = create({
    exchange: scriptedExchange(() => responseOf(200)),
    clock,
    settings: exampleOf(name).settings,
  });
  const request = requestHead('GET', target, fields);
  const byHead = driver.judge(request, head);
  return byHead === 'look-inside' ? driver.judgeBody?.(request, Buffer.from(body), true) : byHead;
}

const squirrelAt = '/squirrelmail/src';
const mail = '<html><body>A mail: &lt;!-- logout_error --&gt; You must be logged in to access this page.</body></html>';
const cyphtMail = JSON.stringify({
  msg_text: '<form class="login_form"> "router_login_state":false',
  router_login_state: true,
});
const snappyMail = JSON.stringify({ Result: { Html: '"Action":"Logout"' }, Action: 'Message' });
const answers: readonly (readonly [name: string, what: string, target: string, ExchangeResponse, verdict: string])[] = [
  [
    'SquirrelMail',
    'a frame of a lost session',
    `${squirrelAt}/right_main.php`,
    responseOf(200, page('squirrelmail-lost'), html),
    'lost',
  ],
  ['SquirrelMail', 'a mail that speaks of it', `${squirrelAt}/read_body.php`, responseOf(200, mail, html), 'alive'],
  [
    'SquirrelMail',
    'its sign-out',
    `${squirrelAt}/signout.php`,
    responseOf(200, 'bye', html, [`key=SQMTRASH; ${gone}`]),
    'signed-out',
  ],
  ['SquirrelMail', 'a sign-out that did nothing', `${squirrelAt}/signout.php`, responseOf(200, 'bye', html), 'alive'],
  ['Cypht', 'a page of a lost session', '/?page=message_list', responseOf(200, page('cypht-login'), html), 'lost'],
  [
    'Cypht',
    'a script of a lost session',
    '/?page=message_list',
    responseOf(200, '{"router_login_state":false}', json),
    'lost',
  ],
  ['Cypht', 'a mail that speaks of it', '/?page=message', responseOf(200, cyphtMail, json), 'alive'],
  [
    'Cypht',
    'its sign-out',
    '/?page=home',
    responseOf(303, '', html, [`hm_session=deleted; ${gone}`, `hm_id=deleted; ${gone}`]),
    'signed-out',
  ],
  [
    'SnappyMail',
    'a lost session',
    '/?/Json/&q[]=/0/',
    responseOf(200, '{"Result":false}', json, [`smtoken=deleted; ${gone}`, `smaccount=deleted; ${gone}`]),
    'lost',
  ],
  [
    'SnappyMail',
    'its sign-out',
    '/?/Json/&q[]=/0/',
    responseOf(200, '{"Result":true,"Action":"Logout"}', json, [`smaccount=deleted; ${gone}`]),
    'signed-out',
  ],
  ['SnappyMail', 'a mail that speaks of it', '/?/Json/&q[]=/0/', responseOf(200, snappyMail, json), 'alive'],
];
for (const [name, what, target, response, expected] of answers) {
  test(`${name}: ${what} is ${expected}`, () => assert.equal(verdict(name, target, response), expected));
}

test('a picture in a mail that leads to the sign-out does not end the session of the gateway', () => {
  const response = responseOf(200, 'bye', html, [`key=SQMTRASH; ${gone}`]);
  const picture = { 'sec-fetch-dest': 'image', 'sec-fetch-site': 'same-origin' };
  const link = { 'sec-fetch-dest': 'document', 'sec-fetch-site': 'cross-site' };
  const button = { 'sec-fetch-dest': 'document', 'sec-fetch-site': 'same-origin' };
  const of = (fields: Readonly<Record<string, string>>) =>
    verdict('SquirrelMail', `${squirrelAt}/signout.php`, response, fields);
  assert.deepEqual([of(picture), of(link), of(button)], ['alive', 'alive', 'signed-out']);
});
