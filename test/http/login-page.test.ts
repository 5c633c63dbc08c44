import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import request from 'supertest';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { LoginOutcome } from '../../src/login/attempt.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { openLogin, setCookies, submitLogin, withCookies } from './browser-like.fixture.ts';
import { aliceSignedIn, startPages } from './http.fixture.ts';

type SignedIn = Extract<LoginOutcome, { kind: 'signed-in' }>;

describe('the sign-in page', () => {
  test('is a form that works without a script and that password managers know', async () => {
    await using fixture = await startPages();
    const { status, text, headers } = await request(fixture.server).get('/-/login');
    assert.equal(status, 200);
    assert.match(text, /<form method="post"(?![^>]*action)/);
    assert.match(text, /name="user"[^>]*autocomplete="username"/);
    assert.match(text, /name="password" type="password" autocomplete="current-password"/);
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  });

  test('lets nothing run or load but our own files, and nobody frame it', async () => {
    await using fixture = await startPages();
    const { headers, text } = await request(fixture.server).get('/-/login');
    assert.equal(
      headers['content-security-policy'],
      "default-src 'none';script-src 'self';style-src 'self';img-src 'self';form-action 'self';base-uri 'none';frame-ancestors 'none'",
    );
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['referrer-policy'], 'same-origin');
    assert.equal(headers['x-powered-by'], undefined);
    assert.doesNotMatch(text, /<style|\sstyle=|<script>|\son\w+=/);
  });

  for (const secure of [true, false]) {
    test(`sets the cookie that its form is bound to, and no other (${secure ? 'https' : 'http'})`, async () => {
      await using fixture = await startPages({ secure });
      const lines = setCookies(await request(fixture.server).get('/-/login'));
      const name = secure ? '__Host-postern-form' : 'postern-form';
      assert.equal(lines.length, 1);
      assert.match(
        lines[0] ?? '',
        new RegExp(
          `^${name}=[\\w-]{22}; Max-Age=7200; Path=/; Expires=[^;]+; HttpOnly; ${secure ? 'Secure; ' : ''}SameSite=Lax$`,
        ),
      );
    });
  }

  test('asks browsers to stay on HTTPS, where they came over it', async () => {
    for (const secure of [true, false]) {
      await using fixture = await startPages({ secure });
      const reply = await request(fixture.server).get('/-/login');
      assert.equal(reply.get('Strict-Transport-Security'), secure ? 'max-age=31536000' : undefined);
    }
  });

  test('sets no cookie for HEAD', async () => {
    await using fixture = await startPages();
    const reply = await request(fixture.server).head('/-/login');
    assert.equal(reply.status, 200);
    assert.deepEqual(setCookies(reply), []);
  });

  test('says why the last session ended, if the code is one that we know', async () => {
    await using fixture = await startPages();
    const idle = await request(fixture.server).get('/-/login?ended=idle');
    assert.match(idle.text, /You were away for a while/);
    for (const code of ['', 'idle&ended=idle', 'toString', '<b>', '__proto__']) {
      const { status, text } = await request(fixture.server).get(`/-/login?ended=${code}`);
      assert.equal(status, 200);
      assert.doesNotMatch(text, /role="status">\w/);
    }
  });

  test('is shown although the store is away', async () => {
    await using fixture = await startPages();
    const page = await openLogin(fixture);
    const cookie = withCookies(page.cookie, await submitLogin(fixture, page));
    fixture.sessions.away = true;
    const reply = await request(fixture.server).get('/-/login').set('Cookie', cookie);
    assert.equal(reply.status, 200);
    assert.doesNotMatch(reply.text, /signed in as/);
  });
});

describe('signing in', () => {
  test('opens a session with what was typed and leads to where the webmail lands', async () => {
    await using fixture = await startPages();
    const password = ' Paß "wört" \\1 € + %2B & = \t';
    fixture.decide = async () => aliceSignedIn();
    const reply = await submitLogin(fixture, await openLogin(fixture), { password, time_zone: 'Europe/Berlin' });
    assert.equal(reply.status, 303);
    assert.equal(reply.get('Location'), '/?_task=mail');
    assert.equal(reply.get('Cache-Control'), 'no-store');
    const [attempt] = fixture.attempts;
    assert.equal(attempt?.user, 'alice');
    assert.equal(attempt?.password.reveal(), password);
    assert.equal(attempt?.client.address, '192.0.2.7');
    assert.equal(attempt?.publicOrigin, fixture.origin);
    const [session] = fixture.sessions.opened;
    assert.equal(session?.timeZone, 'Europe/Berlin');
    assert.equal(session?.password?.reveal(), password);
    assert.equal(session?.host, 'a');
  });

  for (const zone of ['', 'Mars/Olympus', '../etc/passwd', 'x'.repeat(100), 'Europe/Berlin\r\nX: y']) {
    test(`takes no time zone from ${JSON.stringify(zone.slice(0, 30))}`, async () => {
      await using fixture = await startPages();
      await submitLogin(fixture, await openLogin(fixture), { time_zone: zone });
      assert.equal(fixture.attempts[0]?.timeZone, undefined);
    });
  }

  test('leads back to the page that was asked for, never to another host', async () => {
    await using fixture = await startPages();
    const asked = '/?_task=mail&_mbox=Sent&_uid=7#top';
    const page = await openLogin(fixture, loginFor(asked));
    assert.equal((await submitLogin(fixture, page, {}, { target: loginFor(asked) })).get('Location'), asked);
    for (const foreign of ['//evil.example', 'https://evil.example/', '/\\evil.example', '/']) {
      const reply = await submitLogin(fixture, page, {}, { target: loginFor(foreign) });
      assert.equal(reply.get('Location'), '/?_task=mail');
    }
    for (const query of ['next=/x&next=/y', 'next[]=/x', 'next[a]=/x', 'Next=/x']) {
      const reply = await submitLogin(fixture, page, {}, { target: `/-/login?${query}` });
      assert.equal(reply.get('Location'), '/?_task=mail');
    }
  });

  test('does not follow a webmail that lands on another host', async () => {
    await using fixture = await startPages();
    fixture.decide = async () => ({ ...signedIn(), landing: '//evil.example/' });
    const reply = await submitLogin(fixture, await openLogin(fixture));
    assert.equal(reply.get('Location'), '/');
  });

  test('goes on where a fresh webmail session can, with the fragment', async () => {
    await using fixture = await startPages();
    const target = loginFor('/?_task=mail&_action=compose&_id=7#top');
    const reply = await submitLogin(fixture, await openLogin(fixture, target), {}, { target });
    assert.equal(reply.get('Location'), '/?_task=mail&_action=compose#top');
  });

  test('hands on the cookies that the webmail wants in the browser', async () => {
    await using fixture = await startPages();
    fixture.decide = async () => ({ ...signedIn(), browserCookies: ['XSRF-TOKEN=abc; path=/SOGo/'] });
    const lines = setCookies(await submitLogin(fixture, await openLogin(fixture)));
    assert.equal(lines.length, 3);
    assert.ok(lines.some((line) => line.startsWith('postern=')));
    assert.ok(lines.includes('XSRF-TOKEN=abc; path=/SOGo/'));
  });

  test('again as another user replaces the session, clears the cache and takes back the cookies of the first', async () => {
    await using fixture = await startPages();
    const jar = new CookieJar(() => false);
    jar.absorb('colorMode=dark; path=/', '/', fixture.nowMs);
    fixture.decide = async () => ({ ...signedIn(), jar });
    const first = await openLogin(fixture);
    const cookie = withCookies(first.cookie, await submitLogin(fixture, first));

    const second = await openLogin(fixture, '/-/login', cookie);
    fixture.decide = async () => ({
      ...signedIn(),
      user: canonicalUser('bob@example.test'),
      backend: backendName('b'),
    });
    const reply = await submitLogin(fixture, second);
    assert.equal(reply.get('Clear-Site-Data'), '"cache"');
    assert.ok(setCookies(reply).some((line) => line.startsWith('colorMode=; Path=/; Expires=Thu, 01 Jan 1970')));
    assert.deepEqual(fixture.signedOut, ['alice@example.test']);
    assert.deepEqual(
      [...fixture.sessions.stored.values()].map(({ record }) => record.user),
      ['bob@example.test'],
    );
  });

  test('again as the same user keeps the cache', async () => {
    await using fixture = await startPages();
    const first = await openLogin(fixture);
    const once = await submitLogin(fixture, first);
    assert.equal(once.get('Clear-Site-Data'), undefined);
    const page = await openLogin(fixture, '/-/login', withCookies(first.cookie, once));
    assert.equal((await submitLogin(fixture, page)).get('Clear-Site-Data'), undefined);
    assert.equal(fixture.sessions.stored.size, 1);
  });

  test('after another user has signed out clears the cache, and names that user to nobody', async () => {
    await using fixture = await startPages();
    const first = await openLogin(fixture);
    const alice = await submitLogin(fixture, first);
    const note = setCookies(alice).find((line) => line.startsWith('postern-last=')) ?? '';
    assert.match(note, /^postern-last=[\w-]{43}; Max-Age=34560000; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Lax$/);
    const [last = ''] = note.split(';');
    // The session has ended: the note is all that the browser still has.
    const withNote = async (user: string) => {
      fixture.decide = async () => ({ ...signedIn(), user: canonicalUser(user) });
      const page = await openLogin(fixture);
      return submitLogin(fixture, { ...page, cookie: `${page.cookie}; ${last}` });
    };
    assert.equal((await withNote('alice@example.test')).get('Clear-Site-Data'), undefined);
    assert.equal((await withNote('bob@example.test')).get('Clear-Site-Data'), '"cache"');
  });

  test('shows who is signed in already, and the way back to the mail', async () => {
    await using fixture = await startPages();
    const page = await openLogin(fixture);
    const cookie = withCookies(page.cookie, await submitLogin(fixture, page));
    const { text } = await request(fixture.server).get('/-/login?next=/%3F_task%3Dmail').set('Cookie', cookie);
    assert.match(text, /signed in as alice@example\.test/);
    assert.match(text, /href="\/\?_task=mail"/);
  });
});

function loginFor(next: string): string {
  return `/-/login?next=${encodeURIComponent(next)}`;
}

function signedIn(): SignedIn {
  const outcome = aliceSignedIn();
  assert.ok(outcome.kind === 'signed-in');
  return outcome;
}
