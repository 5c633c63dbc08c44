import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import request from 'supertest';
import type { Closure } from '../../src/core/placement.ts';
import type { EndReason, SessionFinder } from '../../src/core/session.ts';
import { codeProblem } from '../../src/http/console/second-factor.ts';
import { formLifetimeMs } from '../../src/http/forms.ts';
import { closureText } from '../../src/http/gateway-answers.ts';
import { createViews } from '../../src/http/views.ts';
import { openLogin, submitLogin, tokenIn, withCookies } from '../http/browser-like.fixture.ts';
import { halfSignedIn, signedIn, staffBrowser, startConsole } from '../http/console.fixture.ts';
import { branding, startPages, views } from '../http/http.fixture.ts';
import { backendName } from '../login/named.fixture.ts';

const english = views.locales.choose('en', undefined);
const german = views.locales.choose('de', undefined);
const nowMs = Date.UTC(2030, 0, 31, 4);
const maintenance: Closure = {
  kind: 'maintenance',
  backend: backendName('a'),
  sinceMs: nowMs - 60_000,
  untilMs: Date.UTC(2030, 0, 31, 6),
  texts: {},
};

/** The pages for a browser whose session ended for this reason. */
async function afterEnd(reason: EndReason) {
  const fixture = await startPages();
  const live: SessionFinder = { find: () => ({ kind: 'ended', reason, rest: '' }) };
  Object.assign(fixture.sessions.live, live);
  return fixture;
}

function inZone(timeZone: string | undefined): string {
  return closureText(english, maintenance, { as: 'user', timeZone, nowMs }).text;
}

function picture(name: string) {
  return { contentType: 'image/svg+xml', body: Buffer.from(`<svg id="${name}"/>`) };
}

describe('a page without a session says how the session ended', () => {
  const said: readonly (readonly [EndReason, RegExp, RegExp])[] = [
    ['ended-elsewhere', /ended from another device.*change your password/, /von einem anderen Gerät.*Passwort/],
    ['kicked', /ended by the administrator/, /Die Administration hat/],
    ['too-many', /on too many devices/, /auf zu vielen Geräten/],
    ['idle', /away for a while, so we/, /nicht aktiv/],
  ];
  for (const [reason, inEnglish, inGerman] of said) {
    for (const path of ['/-/sessions', '/-/logout']) {
      it(`leads from ${path} to a sign-in page that says ${reason}`, async () => {
        await using fixture = await afterEnd(reason);
        const reply = await request(fixture.server).get(path);
        assert.equal(reply.get('Location'), `/-/login?ended=${reason}`);
      });
    }
    it(`tells ${reason} at the sign-in page itself, whoever led there`, async () => {
      await using fixture = await afterEnd(reason);
      for (const query of ['', '?ended=signed-out', '?next=%2Fmail']) {
        const { text } = await request(fixture.server).get(`/-/login${query}`);
        assert.match(text, inEnglish);
        assert.doesNotMatch(text, /You are signed out/);
      }
      assert.match((await request(fixture.server).get('/-/login').set('Accept-Language', 'de')).text, inGerman);
    });
  }

  it('tells nobody who is signed in of an end', async () => {
    await using fixture = await startPages();
    const page = await openLogin(fixture);
    const cookie = withCookies(page.cookie, await submitLogin(fixture, page));
    const { text } = await request(fixture.server).get('/-/login?ended=signed-out').set('Cookie', cookie);
    assert.match(text, /signed in as alice/);
    assert.doesNotMatch(text, /role="status">You/);
  });
});

describe('who wanted to sign in while nobody is served', () => {
  const cases: readonly (readonly [Closure['kind'], boolean, RegExp, RegExp])[] = [
    ['maintenance', true, /safe\. Please try again after January 31, 2030 at 7:00 AM\./, /nach dem 31\. Januar 2030/],
    ['maintenance', false, /safe\. Since January 31, 2030/, /sicher\. Seit/],
    [
      'drain',
      true,
      /not accepting new sign-ins right now\. Please try again after/,
      /keine neuen Anmeldungen an\. Bitte/,
    ],
    ['down', false, /is not responding\. Your mail is safe\. Since/, /antwortet nicht/],
    ['moving', false, /less than a minute\./, /weniger als eine Minute/],
  ];
  for (const [kind, isNamed, inEnglish, inGerman] of cases) {
    it(`reads what is so (${kind}${isNamed ? ', with an end' : ''}), and when to come again, once`, async () => {
      await using fixture = await startPages();
      fixture.nowMs = nowMs;
      const { untilMs, ...open } = maintenance;
      const closure: Closure = { ...open, kind, ...(isNamed && untilMs !== undefined ? { untilMs } : {}) };
      fixture.decide = async () => ({ kind: 'closed', closure });
      for (const [language, says] of [
        ['en', inEnglish],
        ['de', inGerman],
      ] as const) {
        const page = await openLogin(fixture);
        const { text } = await submitLogin(
          fixture,
          page,
          { time_zone: 'Europe/Berlin' },
          { headers: { 'Accept-Language': language } },
        );
        assert.match(text, says);
        assert.doesNotMatch(text, /not signed out|stay signed in|nicht abgemeldet|bleiben angemeldet|by itself/);
        assert.equal(/data-count-down/.test(text), !isNamed);
      }
    });
  }

  it('reads of no end that has passed', () => {
    const late = { as: 'visitor', timeZone: undefined, nowMs: Date.UTC(2030, 0, 31, 7) } as const;
    assert.match(closureText(english, maintenance, late).text, /Since January 31, 2030 at 3:59 AM UTC\.$/);
  });

  it('reads times in the own zone where it is known, else in UTC that is named; no number is taken for a month', () => {
    assert.match(inZone('Europe/Berlin'), /Expected until January 31, 2030 at 7:00 AM\./);
    assert.match(inZone(undefined), /Expected until January 31, 2030 at 6:00 AM UTC\./);
  });

  it('is another person than staff who open a mailbox, and than a user with a session', () => {
    const texts = (['user', 'visitor', 'staff'] as const).map(
      (as) =>
        closureText(german, { ...maintenance, texts: { de: 'Neue Platten.' } }, { as, timeZone: undefined, nowMs })
          .text,
    );
    assert.match(texts[0] ?? '', /^Neue Platten\. Voraussichtlich/);
    assert.match(texts[1] ?? '', /^Neue Platten\. Bitte versuchen/);
    assert.match(texts[2] ?? '', /^Der Mailserver dieses Postfachs wird gewartet\. Voraussichtlich/);
  });
});

describe('a browser that keeps no cookies', () => {
  it('is told so, each time, with the name of the site, and not that the page is old', async () => {
    await using fixture = await startPages();
    const first = await openLogin(fixture);
    let token = first.token;
    for (const _turn of [1, 2, 3]) {
      const reply = await submitLogin(fixture, { cookie: '', token });
      assert.equal(reply.status, 403);
      assert.match(reply.text, /blocks cookies or has deleted ours\. Allow cookies for 127\.0\.0\.1/);
      assert.doesNotMatch(reply.text, /open for too long/);
      token = tokenIn(reply.text);
    }
    assert.deepEqual(fixture.attempts, []);
  });

  it('is not what a page is that was open overnight', async () => {
    await using fixture = await startPages();
    const page = await openLogin(fixture);
    fixture.nowMs += formLifetimeMs + 1;
    assert.match((await submitLogin(fixture, { ...page, cookie: '' })).text, /open for too long/);
  });

  it('is not what another site is that sends our form, nor a forged one', async () => {
    await using fixture = await startPages();
    const { token } = await openLogin(fixture);
    const foreign = { initiator: { 'Sec-Fetch-Site': 'cross-site' } };
    assert.match((await submitLogin(fixture, { cookie: '', token }, {}, foreign)).text, /open for too long/);
    assert.match((await submitLogin(fixture, { cookie: '', token: 'x' })).text, /open for too long/);
  });

  it('is told so at the console, too', async () => {
    await using fixture = await startConsole();
    const browser = staffBrowser(fixture);
    await browser.get('/-/login');
    browser.cookie = '';
    const reply = await browser.post('/-/login', { user: 'sam', password: 'right' });
    assert.match(reply.text, /blocks cookies.*support\.localhost/);
  });
});

describe('a code that does not count', () => {
  it('is answered with what can be done about it: by the operator who made it, or by the phone', async () => {
    await using fixture = await startConsole();
    const browser = staffBrowser(fixture);
    await browser.get('/-/login');
    await browser.post('/-/login', { user: 'sam', password: 'right' });
    await browser.get('/-/enrol');
    const reply = await browser.post('/-/enrol', { invitation: 'xxxx-xxxx-xxxx-xxxx' });
    assert.match(reply.text, /one-time code is wrong or no longer valid\. Ask the operator/);
    assert.doesNotMatch(reply.text, /clock|phone/);
    assert.match(codeProblem({ kind: 'wrong' }, 0, 'app'), /your app shows now.*clock of your phone/);
  });

  it('is a problem of its field, in a panel before all else', async () => {
    await using fixture = await startConsole();
    const { browser } = await signedIn(fixture);
    await browser.get('/-/users?user=alice@example.test');
    const form = { user: 'alice@example.test', do: 'open', reason: 'lost her folders', minutes: '15', code: '000000' };
    const { text, status } = await browser.post('/-/users', form);
    assert.equal(status, 403);
    assert.match(text, /<title>Error: alice@example\.test/);
    assert.match(text, /id="code"[^>]*aria-describedby="problem code-hint" aria-invalid="true" autofocus/);
    const order = ['id="open"', 'id="problem"', 'id="code"', 'id="home"'].map((mark) => text.indexOf(mark));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.equal(text.split('id="open"').length, 2, 'one panel');
    assert.equal(text.split('autofocus').length, 2, 'one field');
  });
});

describe('what slows a user down', () => {
  it('is said in one sentence, which is about the next sign-in', async () => {
    await using fixture = await startConsole();
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/users?user=alice@example.test');
    assert.match(text, /<p>Slowed down: the next sign-in waits up to 4 s\.<\/p>/);
    assert.doesNotMatch(text, /wrong passwords?\b.*minutes/);
  });
});

describe('the part that has a problem', () => {
  it('is named to staff with the cause, and without it to whom nobody knows', async () => {
    await using fixture = await startConsole();
    const half = await halfSignedIn(fixture);
    fixture.away.add('roles');
    const { text } = await half.browser.get('/-/factor');
    assert.match(text, /There is a problem with the directory\. Nothing was changed\. Cause: away/);
    const stranger = staffBrowser(fixture);
    await stranger.get('/-/login');
    const refused = await stranger.post('/-/login', { user: 'sam', password: 'right' });
    assert.match(refused.text, /There is a problem with the directory\. Nothing was changed\./);
    assert.doesNotMatch(refused.text, /Cause/);
  });

  it('hides nothing of the second factor behind what this node happens to know', async () => {
    await using fixture = await startConsole();
    const { browser } = await signedIn(fixture);
    const half = staffBrowser(fixture);
    await half.get('/-/login');
    await half.post('/-/login', { user: 'sam', password: 'right' });
    fixture.away.add('state');
    assert.equal((await half.get('/-/factor')).status, 503);
    // The page shows facts even without an explanation.
    assert.equal((await browser.get('/-/users?user=alice@example.test')).status, 200);
  });
});

describe('a logo', () => {
  const logos = { logo: picture('light'), logoDark: picture('dark') };
  const cases = [
    {
      scheme: 'auto',
      ...logos,
      scheme_: 'light dark',
      picture: /media="\(prefers-color-scheme: dark\)" srcset="[^"]*logo-dark.*src="[^"]*logo\?/s,
    },
    { scheme: 'light', ...logos, scheme_: 'only light', picture: /src="[^"]*logo\?/ },
    { scheme: 'dark', ...logos, scheme_: 'dark', picture: /src="[^"]*logo-dark\?/ },
    { scheme: 'auto', logo: logos.logo, scheme_: 'light dark', picture: /src="[^"]*logo\?/ },
    { scheme: 'dark', logo: logos.logo, scheme_: 'dark', picture: /src="[^"]*logo\?/ },
  ] as const;
  for (const { scheme_: colourScheme, picture: shown, ...given } of cases) {
    it(`is the one that can be read (${given.scheme}, ${'logoDark' in given ? 'two' : 'one'})`, async () => {
      await using fixture = await startPages({ views: createViews({ ...branding, ...given }) });
      const { text } = await request(fixture.server).get('/-/login');
      assert.match(text, shown);
      assert.match(text, new RegExp(`name="color-scheme" content="${colourScheme}"`));
      assert.equal(/<source/.test(text), given.scheme === 'auto' && 'logoDark' in given);
      const styles = await request(fixture.server).get(/href="([^"]*accent\.css[^"]*)"/.exec(text)?.[1] ?? '');
      assert.equal(styles.text.includes('--page:'), given.scheme !== 'light', 'the colours of a dark page');
      assert.equal(styles.text.includes('@media'), given.scheme === 'auto');
    });
  }
});
