import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { BackendHost } from '../../src/core/backend.ts';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { Ingress } from '../../src/core/http.ts';
import { createRequestHeaders } from '../../src/proxy/request-headers.ts';
import { responseHeaders, UpstreamHead } from '../../src/proxy/response-headers.ts';
import { TestSession } from './gate.fixture.ts';
import { headOf } from './heads.fixture.ts';

const ingress: Ingress = {
  publicUrl: { origin: 'https://mail.example.test', authority: 'mail.example.test', secure: true },
  hostKind: 'public',
  requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
  client: { address: '203.0.113.7', port: 4711, userAgent: 'Browser/1' },
};
const rebuild = createRequestHeaders({ alsoDropped: ['x-house-user'] });
const own = [
  'Host',
  'mail.example.test',
  'X-Forwarded-For',
  '203.0.113.7',
  'X-Forwarded-Proto',
  'https',
  'X-Forwarded-Host',
  'mail.example.test',
  'X-Request-Id',
  '4bf92f3577b34da6a3ce929d0e0e4736',
  'Traceparent',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
];

function sent(
  fields: readonly string[],
  options: { jar?: CookieJar; rest?: string; method?: string; driverFields?: [string, string][] } = {},
): string[] {
  const jar = options.jar ?? new CookieJar(() => false);
  return rebuild(headOf(options.method ?? 'GET', '/', fields), {
    ingress,
    jar,
    cookieRest: options.rest ?? '',
    driverFields: options.driverFields ?? [],
    nowMs: 1000,
  });
}

test('a browser’s own fields go on as they came, and the gateway’s own follow', () => {
  const fields = [
    'Host',
    'x',
    'User-Agent',
    'B',
    'ACCEPT',
    'text/html',
    'X-Requested-With',
    'XMLHttpRequest',
    'X-XSRF-TOKEN',
    't',
    'Accept',
    '*/*',
  ];
  assert.deepEqual(sent(fields), [...fields.slice(2), ...own]);
});

const forged = [
  'X-Request-Id',
  'Traceparent',
  'Tracestate',
  'X-Forwarded-For',
  'X-Forwarded-Proto',
  'X-Forwarded-Host',
  'X-Forwarded-User',
  'X-Forwarded-Server',
  'X-Forwarded',
  'Forwarded',
  'X-Real-IP',
  'X-Client-IP',
  'True-Client-IP',
  'CF-Connecting-IP',
  'X-Cluster-Client-IP',
  'X-Originating-IP',
  'X-Remote-Addr',
  'Remote-User',
  'X-Remote-User',
  'X-WebObjects-Remote-User',
  'X-WebObjects-Server-Url',
  'X-Sso-User',
  'X-Sso-Secret',
  'X-Postern-User',
  'Proxy',
  'Proxy-Authorization',
  'Proxy-Connection',
  'Authorization',
  'X-Auth-Request-User',
  'X-Authenticated-User',
  'Ssl-Client-Cert',
  'X-SSL-Client-Verify',
  'X-Original-URL',
  'X-Original-Host',
  'X-Rewrite-URL',
  'X-Host',
  'X-HTTP-Method-Override',
  'X-Method-Override',
  'X-HTTP-Method',
  'X-House-User',
  'Expect',
  'Upgrade',
  'TE',
  'Trailer',
  'Keep-Alive',
  'HTTP2-Settings',
  'Cookie',
] as const;

test('no field that claims an address, an identity or another target goes on, in any case or spelling', () => {
  const spelling = fc.tuple(
    fc.constantFrom(...forged),
    fc.constantFrom('-', '_', '.'),
    fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
  );
  fc.assert(
    fc.property(spelling, ([name, separator, upper]) => {
      const spelt = Array.from(name.replaceAll('-', separator))
        .map((char, i) => (upper[i] === true ? char.toUpperCase() : char.toLowerCase()))
        .join('');
      assert.deepEqual(sent([spelt, 'forged']), own);
    }),
  );
});

test('names other than letters, digits and hyphens do not go on', () => {
  assert.deepEqual(sent(['X_Anything', 'v', 'X.Y', 'v', "X'Z", 'v', 'X!', 'v']), own);
});

test('fields named in Connection do not go on, but the gateway’s own do', () => {
  const fields = [
    'Connection',
    'keep-alive, X-One, X-Forwarded-For, Cookie',
    'X-One',
    '1',
    'X-Two',
    '2',
    'connection',
    'x-three',
    'X-Three',
    '3',
  ];
  const jar = new CookieJar(() => true);
  jar.absorb('sid=1; HttpOnly', '/', 1000);
  assert.deepEqual(sent(fields, { jar }), ['X-Two', '2', ...own, 'Cookie', 'sid=1']);
});

test('a length goes on only with a body', () => {
  assert.deepEqual(sent(['Content-Length', '0']), own);
  assert.deepEqual(sent(['Content-Length', '3'], { method: 'POST' }), ['Content-Length', '3', ...own]);
});

test('the driver’s fields stand in the place of any others of the same name', () => {
  const driverFields: [string, string][] = [
    ['X-Webmail-User', 'alice'],
    ['Authorization', 'Basic x'],
    ['x-forwarded-host', 'other'],
  ];
  const fields = ['X-WEBMAIL-USER', 'mallory', 'Accept', '*/*'];
  assert.deepEqual(sent(fields, { driverFields }), [
    'Accept',
    '*/*',
    ...own.slice(0, 6),
    ...own.slice(8),
    ...driverFields.flat(),
  ]);
});

test('many ranges do not go on, a few do', () => {
  assert.deepEqual(sent(['Range', `bytes=${Array.from({ length: 200 }, (_, i) => `${i}-${i}`).join(',')}`]), own);
  assert.deepEqual(sent(['Range', 'bytes=0-99,200-']), ['Range', 'bytes=0-99,200-', ...own]);
});

test('only codings that the gateway can decode are requested', () => {
  assert.deepEqual(sent(['Accept-Encoding', 'gzip, dcb, br;q=0.5, foo']).slice(0, 2), [
    'Accept-Encoding',
    'gzip, br;q=0.5',
  ]);
  assert.deepEqual(sent(['Accept-Encoding', 'dcz']).slice(0, 2), ['Accept-Encoding', 'identity']);
});

test('the backend gets the jar’s cookies and those of the browser that the jar does not keep', () => {
  const jar = new CookieJar((name) => name === 'roundcube_sessid');
  jar.absorb('roundcube_sessid=S1; path=/; HttpOnly', '/', 1000);
  jar.absorb('roundcube_sessauth=-del-; path=/; HttpOnly; Max-Age=0', '/', 1000);
  const rest =
    'colorMode=dark; roundcube_sessid=forged; roundcube_sessauth=forged; roundcube.sessid=forged; bad name=x; =y; XSRF-TOKEN=t';
  assert.deepEqual(sent([], { jar, rest }).slice(-2), ['Cookie', 'roundcube_sessid=S1; colorMode=dark; XSRF-TOKEN=t']);
});

test('a name that the driver owns is dropped from the browser also when the jar is empty', () => {
  const jar = new CookieJar((name) => name === 'sid');
  assert.deepEqual(sent([], { jar, rest: 'sid=forged' }), own);
});

const host: BackendHost = {
  name: 'a',
  imap: { hostname: '127.0.0.11', port: 993, security: 'tls', trust: {} },
  webmail: { origin: 'http://127.0.0.11', landing: '/', trust: {} },
};

function received(
  fields: readonly string[],
  options: { status?: number; generation?: number; session?: TestSession } = {},
): string[] {
  const session = options.session ?? new TestSession('alice', 'a', (name) => name === 'sid');
  return responseHeaders(new UpstreamHead(options.status ?? 200, fields), {
    to: { session, ingress, host, head: headOf('GET', '/mail/x?y') },
    generation: options.generation ?? 0,
    nowMs: 1000,
    isOwnCookie: (name) => name.toLowerCase().startsWith('__host-postern'),
  });
}

/** Fields with which one webmail would decide for the sign-in page, for the other webmails and for days to come. */
const originWide = `
  Strict-Transport-Security NEL Report-To Reporting-Endpoints Accept-CH Accept-CH-Lifetime Critical-CH Expect-CT
  Public-Key-Pins Public-Key-Pins-Report-Only Origin-Agent-Cluster Set-Cookie2 Set-Login Sec-Session-Registration
  Secure-Session-Registration Shared-Storage-Write Attribution-Reporting-Register-Source Observe-Browsing-Topics
  Activate-Storage-Access Use-As-Dictionary Authentication-Info X-Sendfile X-Reproxy-URL ACCEPT-ch nel
`
  .trim()
  .split(/\s+/);

test('what a webmail says of its own pages and files goes on', () => {
  const fields = `Content-Security-Policy Permissions-Policy X-Frame-Options Referrer-Policy Cross-Origin-Opener-Policy
    Cache-Control Content-Disposition DAV Allow MS-Server-ActiveSync MS-ASProtocolVersions Retry-After Vary Link
    X-DNS-Prefetch-Control X-Robots-Tag Sec-WebSocket-Accept Accept-Ranges Access-Control-Allow-Origin`
    .split(/\s+/)
    .flatMap((name) => [name, 'v']);
  assert.deepEqual(received(fields), fields);
});

test('fields of the hop, and those that speak for our origin, do not reach the browser', () => {
  const dropped = [
    'Connection',
    'keep-alive, X-Hop',
    'X-Hop',
    '1',
    'Keep-Alive',
    'timeout=5',
    'Transfer-Encoding',
    'chunked',
    'Trailer',
    'X-T',
    'Upgrade',
    'h2c',
    'Proxy-Authenticate',
    'Basic',
    'Clear-Site-Data',
    '"cookies"',
    'Alt-Svc',
    'h3=":443"',
    'Service-Worker-Allowed',
    '/',
    'WWW-Authenticate',
    'Basic',
    'X-Accel-Redirect',
    '/x',
    'X-Sso-Session',
    'alice',
    ...originWide.flatMap((name) => [name, 'v']),
  ];
  assert.deepEqual(received([...dropped, 'Content-Type', 'text/html', 'ETag', '"x"']), [
    'Content-Type',
    'text/html',
    'ETag',
    '"x"',
    'Cache-Control',
    'private, no-store',
  ]);
});

test('values with control characters do not reach the browser', () => {
  assert.deepEqual(received(['X-A', 'a\u0000b', 'X-B', 'ok', 'X-C', 'a\u007f']), ['X-B', 'ok']);
});

test('a 204 has no length', () => {
  assert.deepEqual(received(['Content-Length', '5'], { status: 204 }), []);
});

const urls: readonly [from: string, to: string][] = [
  ['http://127.0.0.11/roundcube/', 'https://mail.example.test/roundcube/'],
  ['http://127.0.0.11', 'https://mail.example.test'],
  ['HTTP://127.0.0.11:80/x?y#z', 'https://mail.example.test/x?y#z'],
  ['//127.0.0.11/x', 'https://mail.example.test/x'],
  ['http://user:pw@127.0.0.11/x', 'https://mail.example.test/x'],
  ['http://mail.example.test/roundcube/', 'https://mail.example.test/roundcube/'],
  ['https://mail.example.test/x', 'https://mail.example.test/x'],
  ['/relative?u=http://127.0.0.11/', '/relative?u=http://127.0.0.11/'],
  ['?_task=mail', '?_task=mail'],
  ['https://elsewhere.test/', 'https://elsewhere.test/'],
  ['http://127.0.0.11.evil.test/', 'http://127.0.0.11.evil.test/'],
  ['http://127.0.0.11:8080/', 'http://127.0.0.11:8080/'],
];

for (const [from, to] of urls) {
  test(`Location ${from} becomes ${to}`, () => {
    assert.deepEqual(received(['Location', from, 'content-location', from]), ['Location', to, 'content-location', to]);
  });
}

test('the URL in Refresh is made public', () => {
  assert.deepEqual(received(['Refresh', '5; URL=http://127.0.0.11/x']), [
    'Refresh',
    '5; URL=https://mail.example.test/x',
  ]);
  assert.deepEqual(received(['Refresh', '5']), ['Refresh', '5']);
});

test('cookies for the session stay in the jar, others go on without a domain, and the jar is written', () => {
  const session = new TestSession('alice', 'a', (name) => name === 'sid');
  const lines = [
    'Set-Cookie',
    'sid=S1; Path=/',
    'set-cookie',
    'other=1; HttpOnly; Path=/',
    'Set-Cookie',
    'colorMode=dark; Domain=example.test; Path=/; SameSite=Lax',
  ];
  assert.deepEqual(received(lines, { session }), ['Set-Cookie', 'colorMode=dark; Path=/; SameSite=Lax']);
  assert.equal(session.jar.header('/', 1000), 'sid=S1; other=1');
  assert.equal(session.savedJars, 1);
  received(['Set-Cookie', 'sid=S1; Path=/'], { session });
  assert.equal(session.savedJars, 1, 'nothing changed, nothing is written');
});

test('a backend cannot set the gateway’s own cookie', () => {
  assert.deepEqual(
    received(['Set-Cookie', ' __Host-Postern=x; Path=/; Secure', 'Set-Cookie', '=__Host-postern=x']),
    [],
  );
});

test('cookies of an answer whose request left before the last silent sign-in are ignored', () => {
  const session = new TestSession('alice', 'a', (name) => name === 'sid');
  session.jar.renew(new CookieJar(() => true));
  assert.deepEqual(received(['Set-Cookie', 'sid=old', 'Set-Cookie', 'colorMode=x'], { session, generation: 0 }), []);
  assert.equal(session.jar.header('/', 1000), '');
});
