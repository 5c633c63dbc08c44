import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { parseSettings } from '../../src/schema/issues.ts';
import { settings as schema } from '../../src/webmail/form-settings.ts';
import { create } from '../../src/webmail/form.ts';
import { exampleOf } from './documented-examples.fixture.ts';
import { driverContract, type DriverUnderTest } from './driver-contract.fixture.ts';
import {
  clock,
  field,
  going,
  identity,
  requestHead,
  responseOf,
  scriptedExchange,
} from './scripted-exchange.fixture.ts';

const page = (name: string): string => readFileSync(new URL(`recorded/${name}.html`, import.meta.url), 'utf8');
const html = { 'content-type': 'text/html; charset=utf-8' };
const json = { 'content-type': 'application/json; charset=utf-8' };
const gone = 'Expires=Thu, 01-Jan-1970 00:00:01 GMT; Path=/';

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

/** Cypht writes its styles into each page. */
function cyphtPage(name: string): string {
  return page(name).replace('<!-- STYLES -->', `<style>${'.a{background:url(data:,x)}'.repeat(23_000)}</style>`);
}

function cypht(request: ExchangeRequest): ExchangeResponse {
  const { method, target, body } = request;
  const cookie = field(request, 'cookie') ?? '';
  if (method === 'GET' && cookie.includes('hm_id=KEY')) return responseOf(200, cyphtPage('cypht-mailbox'), html);
  if (method === 'GET') return responseOf(200, cyphtPage('cypht-login'), html);
  const form = new URLSearchParams(body);
  // It refuses forms from any host but its own, by its own view.
  const source = new URL(field(request, 'origin') ?? field(request, 'referer') ?? 'http://nowhere/');
  if (source.host !== field(request, 'x-forwarded-host'))
    return responseOf(303, '', { ...html, location: '/' }, [...cyphtGone]);
  if (target === '/?page=logout' && cookie.includes('hm_id=KEY')) {
    assert.deepEqual(
      [form.get('hm_page_key'), form.get('logout'), form.has('save_and_logout')],
      ['5e55107c', 'Just Logout', false],
    );
    return responseOf(303, '', { ...html, location: '?home' }, cyphtGone);
  }
  if (target !== '/') return responseOf(303, '', { ...html, location: '?page=home' }, cyphtGone);
  assert.equal(form.get('hm_page_key'), 'b7c0f1d2e3a4');
  if (form.get('password') !== 'right')
    return responseOf(303, '', { ...html, location: '/' }, ['hm_msgs=W10; path=/; HttpOnly']);
  return responseOf(303, '', { ...html, location: '/' }, ['hm_id=KEY; path=/; HttpOnly', 'hm_session=S; path=/']);
}

const cyphtGone = [`hm_session=deleted; ${gone}`, `hm_id=deleted; ${gone}`, `hm_msgs=deleted; ${gone}`];
const session = ['smsession=S; path=/; SameSite=Strict', 'smctoken=C; path=/', 'smaccount=A; path=/; HttpOnly'];

function snappymail(request: ExchangeRequest): ExchangeResponse {
  const { method, target, body } = request;
  const signedIn = (field(request, 'cookie') ?? '').includes('smaccount=A');
  const token = signedIn ? '1-account' : '0-connection';
  if (target === '/?/AppData/0/0/')
    return responseOf(200, JSON.stringify({ Auth: signedIn, System: { version: '2.38.2', token } }), json, [
      'smtoken=T; path=/; HttpOnly',
    ]);
  assert.deepEqual([method, target], ['POST', '/?/Json/&q[]=/0/']);
  const { Action, Email, Password }: Record<string, string> = JSON.parse(body ?? '{}');
  if (Action === 'Logout')
    return responseOf(200, '{"Action":"Logout","Result":true}', json, [`smaccount=deleted; ${gone}`]);
  if (field(request, 'x-sm-token') !== token)
    return responseOf(200, `{"Action":"${Action}","Result":false,"code":101}`, json);
  if (Password !== 'right' || Email !== 'alice@example.test')
    return responseOf(200, '{"Action":"Login","Result":false,"code":102,"message":"AuthError[102]"}', json);
  return responseOf(200, '{"Action":"Login","Result":{"Auth":true}}', json, session);
}

function externalLogin({ method, target, body }: ExchangeRequest): ExchangeResponse {
  if (target === '/sign-in.html') return responseOf(200, page('snappymail-sign-in'), html);
  if (target === '/?/Json/&q[]=/0/') return responseOf(200, '{"Action":"Logout","Result":true}', json);
  assert.deepEqual([method, target], ['POST', '/?ExternalLogin']);
  const form = new URLSearchParams(body);
  const accepted = form.get('Password') === 'right' && form.get('Email') === 'alice@example.test';
  return responseOf(302, '', { ...html, location: './' }, accepted ? session : []);
}

const webmails: readonly (Pick<DriverUnderTest, 'name' | 'webmail' | 'landing' | 'readsEnglish'> & {
  readonly jar: string;
})[] = [
  {
    name: 'SquirrelMail',
    webmail: squirrelmail,
    landing: '/squirrelmail/src/webmail.php',
    readsEnglish: true,
    jar: 'SQMSESSID=new; key=c2VhbGVk',
  },
  { name: 'Cypht', webmail: cypht, landing: '/', jar: 'hm_id=KEY; hm_session=S' },
  {
    name: 'SnappyMail 2.38',
    webmail: snappymail,
    landing: '/',
    jar: 'smtoken=T; smsession=S; smctoken=C; smaccount=A',
  },
  { name: 'SnappyMail by', webmail: externalLogin, landing: '/', jar: 'smsession=S; smctoken=C; smaccount=A' },
];

for (const { name, webmail, landing, jar, ...more } of webmails) {
  const { host, settings } = exampleOf(name);
  const driver = (): WebmailDriver => create({ exchange: scriptedExchange(webmail), clock, settings });

  suite(`the example of ${name}`, () => {
    test('has settings that the gateway takes', () => {
      assert.equal(parseSettings(schema, settings).kind, 'ok');
    });

    test('signs in, and keeps the session in the gateway', async () => {
      const outcome = await driver().signIn(host, identity('right'), going);
      assert.ok(outcome.kind === 'signed-in');
      assert.equal(outcome.landing, landing);
      assert.equal(outcome.jar.header(landing, clock.nowMs()), jar);
    });

    test('signs out as it says', async () => {
      const exchange = scriptedExchange(webmail);
      const driver = create({ exchange, clock, settings });
      const outcome = await driver.signIn(host, identity('right'), going);
      assert.ok(outcome.kind === 'signed-in');
      const as = { userAgent: 'UA', publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };
      const before = exchange.requests.length;
      await driver.signOut(host, outcome.jar, as, going);
      assert.ok(exchange.requests.length > before);
    });

    test('tells a wrong password from a failure', async () => {
      assert.deepEqual(await driver().signIn(host, identity('wrong'), going), { kind: 'rejected' });
    });
  });

  driverContract({
    name,
    landing: host.webmail.landing,
    ...more,
    create: (exchange) => create({ exchange, clock, settings }),
    webmail,
  });
}

/** The driver's verdict on an answer with its body. */
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
const cyphtMail = JSON.stringify({ msg_text: '<div id="sqm_errorLogout"> hm_id=deleted', router_login_state: true });
const snappyMail = JSON.stringify({
  Action: 'Message',
  Result: { Html: '{"Auth":false,"Action":"Logout"', Result: true },
});
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
  [
    'SquirrelMail',
    'a frame of a lost session of 1.5',
    `${squirrelAt}/right_main.php`,
    responseOf(200, page('squirrelmail-lost-1.5'), html),
    'lost',
  ],
  ['Cypht', 'a page', '/?page=message_list', responseOf(200, cyphtPage('cypht-mailbox'), html), 'alive'],
  [
    'Cypht',
    'a page of a lost session',
    '/?page=message_list',
    responseOf(200, cyphtPage('cypht-login'), html, cyphtGone),
    'lost',
  ],
  [
    'Cypht',
    'a script of a lost session',
    '/?page=message_list',
    responseOf(200, '{"status":"not callable"}', html, cyphtGone),
    'lost',
  ],
  [
    'Cypht',
    'a form that was posted into a lost session',
    '/?page=settings',
    responseOf(303, '', { ...html, location: '?page=home' }, cyphtGone),
    'lost',
  ],
  ['Cypht', 'a mail that speaks of it', '/?page=message', responseOf(200, cyphtMail, json), 'alive'],
  [
    'Cypht',
    'its sign-out',
    '/?page=logout',
    responseOf(303, '', { ...html, location: '?home' }, cyphtGone),
    'signed-out',
  ],
  ...['SnappyMail 2.38', 'SnappyMail by'].flatMap((name) => [
    [
      name,
      'a lost session',
      '/?/Json/&q[]=/0/',
      responseOf(200, '{"Result":false,"code":101}', json, [
        `smsession=deleted; ${gone}`,
        `smaccount=deleted; ${gone}`,
      ]),
      'lost',
    ] as const,
    [
      name,
      'what its script is told without a session',
      '/?/AppData/0/7/',
      responseOf(200, '{"Auth":false,"title":"Example"}', json),
      'lost',
    ] as const,
    [name, 'what its script is told', '/?/AppData/0/7/', responseOf(200, '{"Auth":true}', json), 'alive'] as const,
    [
      name,
      'its sign-out',
      '/?/Json/&q[]=/0/',
      responseOf(200, '{"Action":"Logout","Result":true,"epoch":1}', json, [`smaccount=deleted; ${gone}`]),
      'signed-out',
    ] as const,
    [name, 'a mail that speaks of it', '/?/Json/&q[]=/0/', responseOf(200, snappyMail, json), 'alive'] as const,
  ]),
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
