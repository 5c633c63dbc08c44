import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { after, before, suite, test } from 'node:test';
import type { Browser } from 'playwright-core';
import type { SignInIdentity } from '../../src/core/identity.ts';
import type { WebmailSignIn } from '../../src/core/webmail.ts';
import { createConnections } from '../../src/proxy/connections.ts';
import { createExchange } from '../../src/proxy/exchange.ts';
import { create } from '../../src/webmail/form.ts';
import { startChromium } from '../chromium.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { defaultLimits } from '../proxy/gate.fixture.ts';
import {
  clock,
  field,
  going,
  hostWith,
  identity,
  responseOf,
  scriptedExchange,
} from '../webmail/scripted-exchange.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const urlEncoded = 'application/x-www-form-urlencoded';

interface Sent {
  readonly method: string;
  readonly target: string;
  readonly type: string | undefined;
  /** The body in Latin-1. */
  readonly body: string;
  readonly origin: string | undefined;
  readonly referer: string | undefined;
}

interface Case {
  readonly what: string;
  readonly html: string;
  readonly contentType?: string;
  readonly user?: string;
  readonly password?: string;
  readonly method?: 'GET';
  /** The action of the form; `login`, relative to the page, if left out. */
  readonly target?: string;
  readonly type?: string;
  readonly body: string;
}

const fields = '<input name="user"><input name="pass" type="password">';
const typed = 'user=alice&pass=alice-pw';
const post = (content: string, attributes = ''): string =>
  `<!doctype html><form method="post" action="login" ${attributes}>${content}</form>`;

/** A multipart body with the boundary B. */
function parts(...each: readonly (readonly [name: string, value: string])[]): string {
  const written = each.map(([name, value]) => `--B\r\nContent-Disposition: form-data; ${name}\r\n\r\n${value}\r\n`);
  return `${written.join('')}--B--\r\n`;
}

const cases: readonly Case[] = [
  {
    what: 'the button that a script enables once the fields are filled',
    html: post(
      `${fields}<button type="button" name="eye">o</button><button id="b" name="go" value="1" disabled>In</button>
       <script>document.addEventListener('input', () => { document.getElementById('b').disabled = false; });</script>`,
    ),
    body: `${typed}&go=1`,
  },
  { what: 'the pressed button', html: post(`${fields}<button name="go" value="1">In</button>`), body: `${typed}&go=1` },
  {
    what: 'the first of several buttons, none that does not submit',
    html: post(
      `${fields}<input type="reset" name="r"><button type="button" name="b">x</button><input type="submit" name="go"><input type="submit" name="forgot">`,
    ),
    body: `${typed}&go=Submit`,
  },
  {
    what: 'a picture as a button',
    html: post(`${fields}<input type="image" name="go" alt="go" value="x">`),
    body: `${typed}&go.x=0&go.y=0`,
  },
  {
    what: 'a picture without a name',
    html: post(`${fields}<input type="image" alt="go">`),
    body: `${typed}&x=0&y=0`,
  },
  {
    what: 'checked boxes and radio buttons, the last of two that are checked',
    html: post(
      `<input type="checkbox" name="a" checked><input type="checkbox" name="b" value="1"><input type="checkbox" name="c" value="2" checked>
       <input type="radio" name="r" value="1" checked><input type="radio" name="r" value="2" checked><input type="radio" name="s" value="1">${fields}<button>In</button>`,
    ),
    body: `a=on&c=2&r=2&${typed}`,
  },
  {
    what: 'lists: what is chosen, else the first option that can be',
    html: post(
      `<select name="a"><option value="x" disabled>x<option value="y">y<option>z</select><select name="b"><option>one<option selected> two  words </select>
       <select name="c" multiple><option selected>1<option>2<option selected>3</select><select name="d" size="2"><option>1</select>
       <select name="e"><optgroup disabled><option>1</optgroup><optgroup><option>2</optgroup></select>${fields}<button>In</button>`,
    ),
    body: `a=y&b=two+words&c=1&c=3&e=2&${typed}`,
  },
  {
    what: 'a text area, without the line end behind its tag and with line ends as they are sent',
    html: post(`<textarea name="t">\n1\n2 &amp; &lt;b&gt;</textarea>${fields}<button>In</button>`),
    body: `t=1%0D%0A2+%26+%3Cb%3E&${typed}`,
  },
  {
    what: 'nothing that is disabled, by itself or by its group',
    html: post(
      `<input type="hidden" name="a" value="1" disabled><fieldset disabled><legend><input name="b" value="2"></legend><input name="c" value="3"><legend><input name="d" value="4"></legend></fieldset>
       <select name="e" disabled><option>1</select>${fields}<button>In</button>`,
    ),
    body: `b=2&${typed}`,
  },
  {
    what: 'controls outside of the form that name it, in the order of the page',
    html: `<!doctype html><input form="f" type="hidden" name="a" value="1"><form method="post" action="login" id="f">${fields}</form>
           <input form="f" type="hidden" name="b" value="2"><button form="f" name="go" value="3">In</button><input type="hidden" name="c" value="4">`,
    body: `a=1&${typed}&b=2&go=3`,
  },
  {
    what: 'what the button says of the way',
    html: `<!doctype html><form action="elsewhere" method="get">${fields}<button formaction="login?x=1" formmethod="post" formenctype="multipart/form-data" name="go" value="1">In</button></form>`,
    target: 'login?x=1',
    type: 'multipart/form-data; boundary=B',
    body: parts(['name="user"', 'alice'], ['name="pass"', 'alice-pw'], ['name="go"', '1']),
  },
  {
    what: 'plain text',
    html: post(`<input type="hidden" name="t" value="a&#10;b">${fields}<button>In</button>`, 'enctype="text/plain"'),
    type: 'text/plain',
    body: 't=a\r\nb\r\nuser=alice\r\npass=alice-pw\r\n',
  },
  {
    what: 'the base of the page',
    html: `<!doctype html><head><base href="/deep/er/"></head>${post(`${fields}<button>In</button>`).replace('<!doctype html>', '')}`,
    target: '/deep/er/login',
    body: typed,
  },
  {
    what: 'a form that names no address, on a page with a base',
    html: `<!doctype html><head><base href="/deep/"></head><form method="post">${fields}<button>In</button></form>`,
    target: 'page',
    body: typed,
  },
  {
    what: 'a form that is sent by GET, whose query takes the place of any other',
    html: `<!doctype html><form action="login?old=1">${fields}<button>In</button></form>`,
    method: 'GET',
    target: `login?${typed}`,
    body: '',
  },
  {
    what: 'parts, with a file that nobody chose',
    html: post(
      `<input type="hidden" name="a&quot;b" value="1"><input type="file" name="f">${fields}<button>In</button>`,
      'enctype="multipart/form-data"',
    ),
    user: 'ä',
    type: 'multipart/form-data; boundary=B',
    body: parts(
      ['name="a%22b"', '1'],
      ['name="f"; filename=""\r\nContent-Type: application/octet-stream', ''],
      ['name="user"', Buffer.from('ä').toString('latin1')],
      ['name="pass"', 'alice-pw'],
    ),
  },
  {
    what: 'the coding that the form accepts, and its name',
    html: post(
      `<input type="hidden" name="_charset_">${fields}<button>In</button>`,
      'accept-charset="nonsense, ISO-8859-1 utf-8"',
    ),
    password: 'Paß€日',
    body: '_charset_=windows-1252&user=alice&pass=Pa%DF%80%26%2326085%3B',
  },
  {
    what: 'the coding of the page, by its head',
    html: post(`${fields}<button>In</button>`),
    contentType: 'text/html; charset=iso-8859-2',
    password: 'Łódź',
    body: 'user=alice&pass=%A3%F3d%BC',
  },
  {
    what: 'the coding of the page, by its meta, in parts',
    html: `<!doctype html><head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"></head>${post(`${fields}<button>In</button>`, 'enctype="multipart/form-data"').replace('<!doctype html>', '')}`,
    contentType: 'text/html',
    password: 'Paß',
    type: 'multipart/form-data; boundary=B',
    body: parts(['name="user"', 'alice'], ['name="pass"', 'Pa\u00df']),
  },
  {
    what: 'a form that stands where HTML has no place for it',
    html: `<!doctype html><table><form method="post" action="login"><tr><td><input type="hidden" name="t" value="1">${fields}</td></tr><tr><td><button>In</button></td></tr></form></table>`,
    body: `t=1&${typed}`,
  },
  {
    what: 'no form of a script, a comment, a drawing’s script or a template',
    html: `<!doctype html><script>"<form action=/evil><input name=pass>"</script><!-- <form action="/evil"><input name="pass"></form> -->
           <svg><script/><title>x</title></svg><template><form action="/evil"><input name="pass"></form></template>
           ${post(`${fields}<button>In</button>`).replace('<!doctype html>', '')}`,
    body: typed,
  },
  {
    what: 'two fields of one name, as frameworks write a box with a default',
    html: post(
      `<input type="hidden" name="remember" value="0"><input type="checkbox" name="remember" value="1" checked>${fields}<button>In</button>`,
    ),
    body: `remember=0&remember=1&${typed}`,
  },
  {
    what: 'Ä in a name, a line end in a prefilled field, blanks and signs',
    html: post(
      `<input type="hidden" name="ä" value="1"><input type="hidden" name="h" value="a&#10;b"><input name="t" value="a&#10;b">${fields}<button>In</button>`,
    ),
    password: "-_.*~!'() +&=%",
    body: '%C3%A4=1&h=a%0D%0Ab&t=ab&user=alice&pass=-_.*%7E%21%27%28%29+%2B%26%3D%25',
  },
];

suite('a sign-in form is sent as a browser sends it', { concurrency: false }, () => {
  const sent: Sent[] = [];
  const pages = new Map<string, Case>();
  let server: Server;
  let origin = '';
  let browser: Browser;
  const connections = createConnections();
  const exchange = createExchange({ connections, limits: () => defaultLimits });

  before(async () => {
    server = createServer((request, response) => {
      const page = request.method === 'GET' ? pages.get(request.url ?? '') : undefined;
      if (page === undefined) void record(request).then(() => response.end('in'));
      else response.setHeader('Content-Type', page.contentType ?? 'text/html; charset=utf-8').end(page.html);
    });
    origin = `http://127.0.0.1:${await listening(server)}`;
    browser = await startChromium();
  });
  after(async () => {
    await browser.close();
    await connections.close();
    server.closeAllConnections();
    server.close();
  });

  async function record(request: IncomingMessage): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) if (part instanceof Buffer) parts.push(part);
    if (request.url === '/favicon.ico') return;
    const boundary = /boundary=(\S+)/.exec(request.headers['content-type'] ?? '')?.[1] ?? '\0';
    const bytes = Buffer.concat(parts).toString('latin1');
    sent.push({
      method: request.method ?? '',
      target: request.url ?? '',
      type: request.headers['content-type']?.replace(boundary, 'B'),
      body: bytes.replaceAll(boundary, 'B'),
      origin: request.headers.origin,
      referer: request.headers.referer,
    });
  }

  const wanted = (each: Case, path: string): Sent => ({
    method: each.method ?? 'POST',
    target: new URL(each.target ?? 'login', origin + path).href.slice(origin.length),
    type: each.method === 'GET' ? undefined : (each.type ?? urlEncoded),
    body: each.body,
    origin: each.method === 'GET' ? undefined : origin,
    referer: origin + path,
  });

  for (const [index, each] of cases.entries()) {
    const path = `/${index}/page`;
    pages.set(path, each);

    test(`by the gateway: ${each.what}`, async () => {
      sent.length = 0;
      const driver = create({
        exchange,
        clock,
        settings: { page: path, user_field: 'user', password_field: 'pass', success: { status: 200 }, failure: [] },
      });
      const as: SignInIdentity = {
        ...identity(each.password ?? 'alice-pw', each.user ?? 'alice'),
        publicOrigin: origin,
      };
      const outcome: WebmailSignIn = await driver.signIn(hostWith('/', origin), as, going);
      assert.equal(outcome.kind, 'signed-in');
      assert.deepEqual(sent, [wanted(each, path)]);
    });

    test(`by Chromium: ${each.what}`, async () => {
      sent.length = 0;
      const page = await browser.newPage();
      await page.goto(origin + path);
      await page.fill('[name=user]', each.user ?? 'alice');
      await page.fill('[name=pass]', each.password ?? 'alice-pw');
      await page.press('[name=pass]', 'Enter');
      await page.waitForURL((url) => url.pathname !== path || sent.length > 0);
      await page.close();
      assert.deepEqual(sent, [wanted(each, path)]);
    });
  }
});

test('the form of a web server in front of Exchange is sent as its comment says that a browser does', async () => {
  const html = (await readFieldInput('W3-owa-form.html')).toString('utf8');
  const [, browserSends = ''] = /sends:\s*(\S+)/.exec(html) ?? [];
  const bodies: (string | undefined)[] = [];
  const driver = create({
    exchange: {
      send: (_host, request) => {
        bodies.push(request.body);
        const body = request.method === 'GET' ? html : '';
        const status = request.method === 'GET' ? 200 : 302;
        return Promise.resolve({ status, header: () => undefined, setCookies: ['sessionid=1; path=/'], body });
      },
    },
    clock,
    settings: {
      page: '/login',
      user_field: 'username',
      password_field: 'password',
      success: { status: 302, sets_cookie: 'sessionid' },
      failure: { status: 200 },
    },
  });
  const outcome = await driver.signIn(hostWith('/owa/'), identity('alice-pw', 'alice'), going);
  assert.equal(outcome.kind, 'signed-in');
  assert.deepEqual(bodies, [undefined, browserSends]);
  assert.match(browserSends, /&SubmitCreds=Log\+On$/);
});

test('a sign-in that checks for forged requests as Django does is passed, behind the public address', async () => {
  const page = `<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="TOKEN">
    <input type="text" name="username" autofocus required><input type="password" name="password" required>
    <input type="submit" value="log in"><input type="hidden" name="next" value="/mail/"></form>`;
  const exchange = scriptedExchange((request) => {
    if (request.method === 'GET') return responseOf(200, page, {}, ['csrftoken=TOKEN; Path=/; SameSite=Lax']);
    const isSecure = field(request, 'x-forwarded-proto') === 'https';
    const own = `${isSecure ? 'https' : 'http'}://${field(request, 'host')}`;
    const { origin: referrer } = new URL(field(request, 'referer') ?? 'http://nowhere');
    const form = new URLSearchParams(request.body);
    const isForged =
      field(request, 'origin') !== own ||
      referrer !== own ||
      !(field(request, 'cookie') ?? '').includes(`csrftoken=${form.get('csrfmiddlewaretoken')}`);
    if (isForged) return responseOf(403, 'CSRF verification failed.');
    if (form.get('password') !== 'right')
      return responseOf(200, 'Please enter a correct username and password.', { 'content-type': 'text/html' });
    return responseOf(302, '', { location: form.get('next') ?? '' }, ['sessionid=S; HttpOnly; Path=/; SameSite=Lax']);
  });
  const driver = create({
    exchange,
    clock,
    settings: {
      page: '/accounts/login/?next=/mail/',
      user_field: 'username',
      password_field: 'password',
      success: { status: 302, sets_cookie: 'sessionid' },
      failure: { status: 200, text: 'Please enter a correct' },
      lost: { status: 302, location: '/accounts/login/' },
    },
  });
  const outcome = await driver.signIn(hostWith('/mail/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(outcome.landing, '/mail/');
  assert.deepEqual(await driver.signIn(hostWith('/mail/'), identity('wrong'), going), { kind: 'rejected' });
});
