import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { createNoSessionAnswer } from '../../src/proxy/failure.ts';
import { headOf } from './heads.fixture.ts';

const driver: WebmailDriver = {
  ownsCookie: () => false,
  masterEntry: { kind: 'own-account' },
  signIn: () => Promise.reject(new Error('unused')),
  signOut: () => Promise.resolve(),
  judge: () => 'alive',
  lostAnswer: (head, loginPath) =>
    head.target.includes('_remote=1') || head.target.includes('_framed=1')
      ? { status: 200, headers: [], body: `driver ${loginPath}` }
      : undefined,
};
const noSession = createNoSessionAnswer({
  drivers: () => [driver],
  framePage: () => ({ status: 401, headers: [], body: 'frame' }),
  challenge: (target) => (target.startsWith('/dav') ? { status: 401, headers: [], body: 'challenge' } : undefined),
});
const origin = 'https://mail.example.test';

const page = ['Sec-Fetch-Mode', 'navigate', 'Sec-Fetch-Dest', 'document'];
const frame = ['Sec-Fetch-Mode', 'navigate', 'Sec-Fetch-Dest', 'iframe'];
const script = ['Sec-Fetch-Mode', 'cors', 'Sec-Fetch-Dest', 'empty', 'Accept', 'text/html'];
const old = ['Accept', 'text/html,application/xhtml+xml'];

const answers: readonly [name: string, head: ReturnType<typeof headOf>, status: number, what: string | RegExp][] = [
  ['a page', headOf('GET', '/mail?a=1&b=2', page), 303, `${origin}/-/login?next=%2Fmail%3Fa%3D1%26b%3D2`],
  ['the root', headOf('GET', '/', page), 303, `${origin}/-/login`],
  ['a HEAD of a page', headOf('HEAD', '/x', page), 303, `${origin}/-/login?next=%2Fx`],
  [
    'a page whose target would leave the origin',
    headOf('GET', '//evil.test/', page),
    303,
    `${origin}/-/login?next=%2F%2Fevil.test%2F`,
  ],
  ['a page with a target of 3,000 characters', headOf('GET', `/${'x'.repeat(3000)}`, page), 303, `${origin}/-/login`],
  ['a page that a driver would know', headOf('GET', '/?_framed=1', page), 303, /next=/],
  ['a page of an old browser', headOf('GET', '/x', old), 303, `${origin}/-/login?next=%2Fx`],
  ['a frame of an old browser that a driver knows', headOf('GET', '/?_framed=1', old), 200, 'driver /-/login'],
  ['a script that a driver knows', headOf('POST', '/?_remote=1', script), 200, 'driver /-/login'],
  ['another script', headOf('GET', '/api', script), 401, /sign-in-required/],
  [
    'a script of an old browser',
    headOf('GET', '/api', [...old, 'X-Requested-With', 'XMLHttpRequest']),
    401,
    /sign-in-required/,
  ],
  ['a frame', headOf('GET', '/x', frame), 401, 'frame'],
  ['a form', headOf('POST', '/x', page), 401, 'frame'],
  ['a form of an old browser', headOf('POST', '/x', old), 401, 'frame'],
  [
    'an image',
    headOf('GET', '/x.png', ['Sec-Fetch-Mode', 'no-cors', 'Sec-Fetch-Dest', 'image']),
    401,
    /sign-in-required/,
  ],
  ['something without any hint', headOf('GET', '/x', []), 401, /sign-in-required/],
];

for (const [name, head, status, what] of answers) {
  test(`without a session ${name} gets ${status}`, () => {
    const answer = noSession(head, origin);
    assert.equal(answer.status, status);
    const location = answer.headers.find(([field]) => field === 'Location')?.[1];
    const text = location ?? answer.body;
    if (typeof what === 'string') assert.equal(text, what);
    else assert.match(text, what);
  });
}

test('the sign-in page is told why the session ended', () => {
  const answer = noSession(headOf('GET', '/x', page), origin, 'idle');
  assert.deepEqual(answer.headers[0], ['Location', `${origin}/-/login?next=%2Fx&ended=idle`]);
  assert.equal(noSession(headOf('POST', '/?_remote=1', script), origin, 'idle').body, 'driver /-/login?ended=idle');
});

test('on paths of Basic clients nobody is redirected to the sign-in page', () => {
  for (const fields of [page, frame, script, old, []]) {
    assert.equal(noSession(headOf('GET', '/dav/alice?_remote=1', fields), origin, 'idle').body, 'challenge');
  }
});

test('each 401 has a challenge, and nothing else has', () => {
  const challenge = ['WWW-Authenticate', 'Cookie realm="sign-in", form-action="/-/login"'];
  for (const fields of [frame, script, []]) {
    assert.deepEqual(noSession(headOf('POST', '/x', fields), origin).headers.at(-1), challenge);
  }
  const { headers } = noSession(headOf('GET', '/x', page), origin);
  assert.ok(!headers.some(([name]) => name === 'WWW-Authenticate'));
});
