import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { type GatewayProcess, startGatewayProcess } from '../proxy/gateway-process.fixture.ts';
import { recorded } from '../webmail/fake-roundcube.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const html = { 'Content-Type': 'text/html; charset=UTF-8' };
const secondFactor = await readFieldInput('W1-2fa.response');

const warning = (text: string): string =>
  `<script>rcmail.display_message(${JSON.stringify(text)},"warning",0);</script>`;

type SignInAnswer = (response: ServerResponse, form: URLSearchParams) => void;

/** The sign-in of Roundcube: one session, whose cookie is `auth1` from the mailbox on. */
class Roundcube {
  /** The answer to a name and a password. */
  signIn: SignInAnswer = () => {};
  /** The answer instead of the sign-in form. */
  form: (response: ServerResponse) => void = (response) => {
    response.writeHead(200, { ...html, 'Set-Cookie': 'roundcube_sessid=s0; path=/; HttpOnly' });
    response.end(recorded('sign-in-page.html'));
  };
  readonly asked: string[] = [];
  isForgetful = false;
  readonly server: Server = createServer((request, response) => void this.#answer(request, response));

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
    // Without the gateway's own health checks.
    if (url.includes('_task=')) this.asked.push(`${method} ${url}${form.has('_pass') ? ' with a password' : ''}`);
    if (method === 'POST') return this.signIn(response, form);
    if (url === '/?_task=login') return this.form(response);
    const isIn = !this.isForgetful && /roundcube_sessauth=auth1/.test(headers.cookie ?? '');
    response.writeHead(200, html).end(recorded(isIn ? 'mailbox.html' : 'lost-page.html'));
  }
}

/** A plugin that asks for a code after the password; the code is 123456. */
const wantsCode: SignInAnswer = (response, form) => {
  if (form.get('_code_2FA') === '123456') {
    const cookies = ['roundcube_sessid=s1; path=/; HttpOnly', 'roundcube_sessauth=auth1; path=/; HttpOnly'];
    response.writeHead(302, { Location: '/?_task=mail&_token=T1', 'Set-Cookie': cookies }).end();
  } else response.socket?.end(secondFactor);
};

suite('Roundcube has an answer of its own to the right password', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  let roundcube: Roundcube;
  let gateway: GatewayProcess;
  before(async () => {
    roundcube = new Roundcube();
    const port = await listening(roundcube.server);
    opened.defer(() => void roundcube.server.close());
    opened.defer(() => roundcube.server.closeAllConnections());
    gateway = opened.use(
      await startGatewayProcess((yaml) =>
        yaml.replace(/( {2}b: .*webmail: )"[^"]*"/, `$1"http://127.0.0.1:${port}/", driver: roundcube`),
      ),
    );
  });
  after(() => opened.disposeAsync());

  async function submitSignIn(lang = 'en') {
    const browser = new Browser(gateway.origin);
    const form = fieldsIn(await browser.text(`/-/login?lang=${lang}`));
    form.set('user', 'bob');
    form.set('password', 'bread&butter');
    return { browser, landed: await browser.submit(`/-/login?lang=${lang}`, form) };
  }

  const passwordsSent = (): number => roundcube.asked.filter((line) => line.endsWith('with a password')).length;

  /** The answer to the script of a page with this token. */
  async function script(browser: Browser, token: string): Promise<string> {
    const response = await fetch(`${gateway.origin}/?_task=mail&_action=refresh&_remote=1`, {
      headers: { cookie: browser.cookieField, 'x-roundcube-request': token },
    });
    return response.text();
  }

  test('a second factor: its page is shown, as often as it is asked for, and leads to the mailbox', async () => {
    roundcube.signIn = wantsCode;
    roundcube.asked.length = 0;
    const { browser, landed } = await submitSignIn();
    assert.equal(landed.path, '/?_task=mail');
    assert.match(landed.body.toString(), /<title>2-Factor Authentication<\/title>[\s\S]*name="_code_2FA"/);
    assert.match(await browser.text('/?_task=mail'), /_code_2FA/, 'loaded again');
    assert.match(await browser.text('/?_task=settings'), /_code_2FA/, 'in another tab');
    assert.match(await script(browser, 'older'), /session_error/, 'the script of an older page');
    assert.equal(roundcube.asked.length, 2, 'none of it went to Roundcube');

    const code = fieldsIn(landed.body.toString());
    code.set('_code_2FA', '000000');
    assert.match((await browser.submit('/?_task=login', code)).body.toString(), /_code_2FA/, 'a wrong code');
    code.set('_code_2FA', '123456');
    const mailbox = await browser.submit('/?_task=login', code);
    assert.equal(mailbox.path, '/?_task=mail&_token=T1');
    assert.match(mailbox.body.toString(), /"task":"mail"/);
    assert.match(await browser.text('/?_task=mail'), /"task":"mail"/);
    assert.equal(passwordsSent(), 1);
  });

  test('a second factor after a lost session: the page once more, and nothing goes round in circles', async () => {
    roundcube.signIn = wantsCode;
    const { browser, landed } = await submitSignIn();
    const code = fieldsIn(landed.body.toString());
    code.set('_code_2FA', '123456');
    await browser.submit('/?_task=login', code);
    roundcube.asked.length = 0;
    roundcube.isForgetful = true;
    assert.match(await browser.text('/?_task=mail'), /_code_2FA/);
    for (let i = 0; i < 5; i += 1) assert.match(await script(browser, 'older'), /session_error/);
    assert.match(await browser.text('/?_task=mail'), /_code_2FA/);
    assert.equal(passwordsSent(), 1);
    roundcube.isForgetful = false;
    assert.match((await browser.submit('/?_task=login', code)).body.toString(), /"task":"mail"/);
  });

  test('a page that is none of Roundcube’s is not shown', async () => {
    roundcube.signIn = (response) => response.writeHead(200, html).end('<h1>Blocked by a filter</h1>');
    const { landed } = await submitSignIn();
    assert.equal(landed.status, 503);
    assert.doesNotMatch(landed.body.toString(), /Blocked/);
  });

  const refusals: readonly (readonly [what: string, status: number, body: string, en: RegExp, de: RegExp])[] = [
    [
      'no connection to its mail server',
      401,
      warning('Connection to storage server failed.'),
      /Your password is correct, but the webmail cannot reach the mail server/,
      /Ihr Passwort stimmt, aber der Webmailer erreicht den Mailserver nicht/,
    ],
    [
      'the same, in its own language',
      401,
      warning('Verbindung zum Speicherserver fehlgeschlagen.'),
      /cannot reach the mail server/,
      /erreicht den Mailserver nicht/,
    ],
    [
      'too many attempts',
      401,
      warning('Too many failed login attempts. Try again later.'),
      /has blocked sign-ins for a while after too many attempts/,
      /nach zu vielen Versuchen/,
    ],
    ['a ban by 403', 403, 'Forbidden', /after too many attempts/, /nach zu vielen Versuchen/],
    ['a limit by 429', 429, 'Too Many Requests', /after too many attempts/, /nach zu vielen Versuchen/],
    [
      'something unknown',
      401,
      warning('Never heard of.'),
      /cannot sign you in right now/,
      /Anmeldung geht gerade nicht/,
    ],
  ];
  for (const [what, status, body, en, de] of refusals) {
    test(`${what} has words of its own, and is no wrong password`, async () => {
      roundcube.signIn = (response) => response.writeHead(status, html).end(body);
      for (const [lang, text] of [
        ['en', en],
        ['de', de],
      ] as const) {
        const { landed } = await submitSignIn(lang);
        assert.equal(landed.status, 503);
        assert.match(landed.body.toString(), text);
      }
    });
  }

  test('a ban that meets the form already has the same words', async (t) => {
    const { form } = roundcube;
    t.after(() => void (roundcube.form = form));
    roundcube.form = (response) => void response.writeHead(403, html).end('Forbidden');
    assert.match((await submitSignIn()).landed.body.toString(), /after too many attempts/);
  });
});
