import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import request from 'supertest';
import type { LoginOutcome } from '../../src/login/attempt.ts';
import { portOf } from '../ports.fixture.ts';
import { openLogin, setCookies, submitLogin, tokenIn } from './browser-like.fixture.ts';
import { aliceSignedIn, startPages, storeAway } from './http.fixture.ts';

describe('an attempt that leads nowhere', () => {
  const outcomes: readonly (readonly [LoginOutcome, status: number, says: RegExp])[] = [
    [{ kind: 'rejected' }, 403, /The user name or password is incorrect/],
    [{ kind: 'refused', reason: 'Unpaid since <May>' }, 403, /right now: Unpaid since &lt;May&gt;/],
    [{ kind: 'expired' }, 403, /expired/],
    [{ kind: 'contact-admin' }, 403, /administrator/],
    [{ kind: 'insecure' }, 403, /because of a configuration error/],
    [{ kind: 'malformed', field: 'user' }, 400, /does not look like a user name/],
    [{ kind: 'malformed', field: 'password' }, 400, /password is too long or contains invalid characters/],
    [{ kind: 'busy' }, 503, /Many people are signing in/],
    [
      { kind: 'unavailable', code: 'ERR_IMAP_UNAVAILABLE', source: 'imap', retryable: true },
      503,
      /a mail server is not responding, or the user name or password is incorrect/,
    ],
    [
      { kind: 'unavailable', code: 'ERR_DIRECTORY_UNAVAILABLE', source: 'directory', retryable: true },
      503,
      /Your password is not the problem/,
    ],
  ];
  for (const [outcome, status, says] of outcomes) {
    test(`(${Object.values(outcome).join(', ')}) is told with ${status}, the name kept and the reference of the log`, async () => {
      await using fixture = await startPages();
      fixture.decide = async () => outcome;
      const page = await openLogin(fixture);
      const reply = await submitLogin(fixture, page, { user: '"><script>alice' });
      assert.equal(reply.status, status);
      assert.match(reply.text, says);
      assert.match(reply.text, /role="alert" tabindex="-1"/);
      assert.match(reply.text, /value="&quot;&gt;&lt;script&gt;alice"/);
      assert.ok(reply.text.includes(fixture.attempts[0]?.reference ?? 'none'));
      assert.match(reply.text, /<title>Error: /);
      assert.equal(reply.get('Retry-After'), status === 503 ? '60' : undefined);
      assert.ok(!reply.text.includes('value="right"'));
      assert.notEqual(tokenIn(reply.text), '');
      assert.equal(fixture.sessions.stored.size, 0);
    });
  }

  const missing: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ user: '' }, /enter your user name/],
    [{ user: '   ' }, /enter your user name/],
    [{ password: '' }, /enter your password/],
  ];
  for (const [fields, says] of missing) {
    test(`for want of a field (${JSON.stringify(fields)}) asks nobody`, async () => {
      await using fixture = await startPages();
      const reply = await submitLogin(fixture, await openLogin(fixture), fields);
      assert.equal(reply.status, 400);
      assert.match(reply.text, says);
      assert.deepEqual(fixture.attempts, []);
    });
  }

  for (const extra of ['&password=x', '&user=x', '&password[]=x', '&__proto__=x&constructor=y']) {
    test(`does not take a field that comes twice or as a list (${extra})`, async () => {
      await using fixture = await startPages();
      const page = await openLogin(fixture);
      const reply = await request(fixture.server)
        .post('/-/login')
        .set('Cookie', page.cookie)
        .set('Content-Type', 'application/x-www-form-urlencoded')
        .send(`user=alice&password=wrong&token=${page.token}${extra}`);
      assert.ok([400, 403].includes(reply.status));
      for (const attempt of fixture.attempts) assert.equal(attempt.password.reveal(), 'wrong');
    });
  }

  test('because of broken UTF-8 never reaches a server as something else', async () => {
    await using fixture = await startPages();
    const page = await openLogin(fixture);
    for (const bytes of ['%ff', '%c3', '%ed%a0%80', '%c0%80']) {
      await request(fixture.server)
        .post('/-/login')
        .set('Cookie', page.cookie)
        .set('Content-Type', 'application/x-www-form-urlencoded')
        .send(`user=alice&password=pw${bytes}&token=${page.token}`);
    }
    assert.equal(fixture.attempts.length, 4);
    for (const attempt of fixture.attempts) assert.match(attempt.password.reveal(), /\ufffd/);
  });

  test('because the session could not be stored is a 503, with nobody signed in', async () => {
    await using fixture = await startPages();
    fixture.decide = async () => {
      fixture.sessions.away = true;
      return aliceSignedIn();
    };
    const reply = await submitLogin(fixture, await openLogin(fixture));
    assert.equal(reply.status, 503);
    assert.match(reply.text, /Your password is not the problem/);
    assert.deepEqual(
      setCookies(reply).filter((line) => line.startsWith('postern=')),
      [],
    );
  });

  test('because of a fault of ours is a page with a reference and status 500', async () => {
    await using fixture = await startPages();
    fixture.decide = async () => {
      throw new TypeError('secret detail');
    };
    const reply = await submitLogin(fixture, await openLogin(fixture));
    assert.equal(reply.status, 500);
    assert.match(reply.text, /Reference: [0-9A-Z]{4}-[0-9A-Z]{4}/);
    assert.doesNotMatch(reply.text, /secret detail/);
  });

  test('because a part failed while it was tried is a 503', async () => {
    await using fixture = await startPages();
    fixture.decide = async () => {
      throw storeAway();
    };
    assert.equal((await submitLogin(fixture, await openLogin(fixture))).status, 503);
  });
});

test('an unknown user and a wrong password differ in nothing but the reference, the token and the name', async () => {
  await using fixture = await startPages();
  const page = await openLogin(fixture);
  const bare = async (user: string) => {
    const { status, text, headers } = await submitLogin(fixture, page, { user, password: 'wrong' });
    const plain = text
      .replace(/[0-9A-Z]{4}-[0-9A-Z]{4}/g, 'REF')
      .replace(/name="token" value="[^"]*"/, '')
      .replaceAll(user, 'USER');
    return { status, plain, names: Object.keys(headers), length: user.length };
  };
  assert.deepEqual(await bare('alice'), await bare('nobod'));
});

test('a client that hangs up ends the login', async () => {
  await using fixture = await startPages();
  const page = await openLogin(fixture);
  const started = Promise.withResolvers<AbortSignal>();
  fixture.decide = async (_attempt, gone) => {
    started.resolve(gone);
    await once(gone, 'abort');
    throw gone.reason;
  };
  const port = portOf(fixture.server);
  const headers = { cookie: page.cookie, 'content-type': 'application/x-www-form-urlencoded' };
  const client = httpRequest({ host: '127.0.0.1', port, method: 'POST', path: '/-/login', headers });
  client.on('error', () => {});
  client.end(new URLSearchParams({ user: 'alice', password: 'x', token: page.token }).toString());
  const gone = await started.promise;
  const ended = once(gone, 'abort');
  client.destroy();
  await ended;
  assert.equal(gone.aborted, true);
});
