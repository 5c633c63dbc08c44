import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { deviceName } from '../../src/core/text.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

const keysOn = (page: string) => [...page.matchAll(/name="end" value="([\w-]{43})"/g)].map(([, key = '']) => key);

async function submit(browser: Browser, end: string, page?: string) {
  const form = fieldsIn(page ?? (await browser.text('/-/sessions')));
  form.set('end', end);
  return browser.submit('/-/sessions', form);
}

describe('the page of a user’s own sessions', () => {
  let running: RunningGateway;
  before(async () => {
    running = await startRunning();
  });
  after(() => running[Symbol.asyncDispose]());

  const signIn = async (user: string, password: string) => (await running.signIn(user, password)).browser;

  it('lists them, and ends one or all others', async () => {
    const [here, there, elsewhere] = [
      await signIn('alice', 'wonderland'),
      await signIn('alice', 'wonderland'),
      await signIn('alice', 'wonderland'),
    ];
    const page = await here.text('/-/sessions');
    assert.match(page, /This device/);
    assert.match(page, /From 127\.0\.0\.1, since/);
    const [newest = ''] = keysOn(page);
    assert.equal(keysOn(page).length, 2);
    await submit(here, newest, page);
    assert.match((await elsewhere.open('/mail/INBOX')).path, /ended=ended-elsewhere/);
    assert.match(await there.text('/mail/INBOX'), /backend a/);
    await submit(here, 'others');
    assert.match((await there.open('/mail/INBOX')).path, /ended=ended-elsewhere/);
    assert.match(await here.text('/mail/INBOX'), /backend a/);
    assert.deepEqual(keysOn(await here.text('/-/sessions')), []);
    const ends = running.logged.filter(({ event }) => event === 'session-end');
    assert.deepEqual(
      ends.map(({ fields: { reason, by } }) => [reason, by]),
      Array.from({ length: 2 }, () => ['ended-elsewhere', 'alice@example.test']),
    );
  });

  it('ends nothing of somebody else, and nothing without its own token', async () => {
    const alice = await signIn('alice', 'wonderland');
    const other = await signIn('alice', 'wonderland');
    const bob = await signIn('bob', 'bread&butter');
    const [alicesKey = ''] = keysOn(await other.text('/-/sessions'));
    await submit(bob, alicesKey);
    await alice.submit('/-/sessions', new URLSearchParams({ end: 'others' }));
    const foreign = fieldsIn(await bob.text('/-/sessions'));
    foreign.set('end', 'others');
    await alice.submit('/-/sessions', foreign);
    for (const browser of [alice, other]) assert.match(await browser.text('/mail/INBOX'), /backend a/);
  });

  it('leads who is not signed in to the sign-in page', async () => {
    assert.equal((await new Browser(running.origin).open('/-/sessions')).path, '/-/login');
  });
});

describe('the name of a device', () => {
  const names: readonly (readonly [userAgent: string, name: string | undefined])[] = [
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0', 'Firefox, Windows'],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15',
      'Safari, macOS',
    ],
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/128.0.0.0 Safari/537.36', 'Chrome, Linux'],
    ['Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/128.0 Safari/537.36 Edg/128.0', 'Edge, Windows'],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1 CriOS/128.0 Safari/604.1',
      'Chrome, iPhone',
    ],
    ['Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/128.0 Mobile Safari/537.36', 'Chrome, Android'],
    ['curl/8', undefined],
    ['', undefined],
  ];
  for (const [userAgent, name] of names) {
    it(`is ${name ?? 'not known'} for ${userAgent.slice(0, 60)}`, () => assert.equal(deviceName(userAgent), name));
  }
});
