import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { aliceSignedIn, type Fixture, startPages } from './http.fixture.ts';

const images = new URL('../../docs/images/', import.meta.url);
/** Whether the tests rewrite the pictures of the documentation. */
const writesImages = process.env['POSTERN_WRITE_IMAGES'] === '1';

/** Chromium's messages about an answer of 403 or 404, and about our own wish to clear its cache. */
const expectedWords = /^(?:Failed to load resource|Clear-Site-Data header on .*: Cleared data types: "cache")/;

let browser: Browser;
let fixture: Fixture;
before(async () => {
  fixture = await startPages();
  browser = await startChromium();
});
after(async () => {
  await browser.close();
  await fixture[Symbol.asyncDispose]();
});

/** Opens a path in a browser of its own, does something, and fails on any other message in its console. */
async function visit(path: string, options: BrowserContextOptions, act: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
  const complaints: string[] = [];
  try {
    const page = await context.newPage();
    page.on('console', (message) => {
      if (!expectedWords.test(message.text())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(fixture.origin + path);
    await act(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

async function signIn(page: Page, password: string): Promise<void> {
  await page.fill('#user', 'alice@example.test');
  await page.fill('#password', password);
  await page.click('button[type=submit]');
}

async function fail(page: Page): Promise<void> {
  await signIn(page, 'wrong');
  await page.waitForSelector('#problem');
}

async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
    [],
  );
}

async function fits(page: Page): Promise<void> {
  assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0);
}

const looks: readonly (readonly [
  what: string,
  path: string,
  options: BrowserContextOptions,
  act: ((page: Page) => Promise<void>) | undefined,
  image?: string,
])[] = [
  ['in light', '/-/login', { colorScheme: 'light' }, undefined, 'login-light'],
  ['in dark', '/-/login', { colorScheme: 'dark' }, undefined, 'login-dark'],
  ['after a wrong password, 320 px wide', '/-/login', { viewport: { width: 320, height: 640 } }, fail, 'login-narrow'],
  ['in German, after a while away', '/-/login?ended=idle', { locale: 'de-DE' }, undefined, 'login-german'],
  ['after a wrong password, in dark', '/-/login', { colorScheme: 'dark' }, fail],
  ['with forced colours', '/-/login', { forcedColors: 'active' }, fail],
  ['with more contrast, in dark', '/-/login', { contrast: 'more', colorScheme: 'dark' }, undefined],
  ['at a zoom of 400 %', '/-/login', { viewport: { width: 320, height: 200 }, deviceScaleFactor: 4 }, undefined],
  ['in 4K', '/-/login', { viewport: { width: 3840, height: 2160 } }, undefined],
  ['of a page that is not there', '/-/nothing', { colorScheme: 'dark' }, undefined],
];
for (const [what, path, options, act, image] of looks) {
  test(`axe finds nothing, and nothing is cut off, ${what}`, async () => {
    await visit(path, options, async (page) => {
      await act?.(page);
      await accessible(page);
      await fits(page);
      if (writesImages && image !== undefined) {
        await page.screenshot({ path: fileURLToPath(new URL(`${image}.png`, images)) });
      }
    });
  });
}

test('the pages of who is signed in are accessible too', async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await visit('/-/login', { colorScheme }, async (page) => {
      await signIn(page, 'right');
      await page.waitForURL('**/?_task=mail');
      for (const path of ['/-/logout', '/-/login']) {
        await page.goto(fixture.origin + path);
        await accessible(page);
      }
      await page.goto(`${fixture.origin}/-/logout`);
      await page.click('button[type=submit]');
      await page.waitForURL('**/-/login?ended=signed-out');
      assert.match(await page.innerText('main'), /You are signed out/);
    });
  }
});

for (const javaScriptEnabled of [true, false]) {
  describe(`${javaScriptEnabled ? 'with' : 'without'} a script`, () => {
    test('signing in leads to the asked page and its #fragment', async () => {
      await visit('/-/login?next=%2F%3F_task%3Dmail%26_uid%3D7#part-2', { javaScriptEnabled }, async (page) => {
        await fail(page);
        assert.equal(await page.inputValue('#user'), 'alice@example.test');
        await signIn(page, 'right');
        await page.waitForURL('**/?_task=mail&_uid=7#part-2');
      });
    });

    test('the first thing to do has the focus', async () => {
      await visit('/-/login', { javaScriptEnabled }, async (page) => {
        assert.equal(await page.locator(':focus').getAttribute('id'), 'user');
        await fail(page);
        assert.equal(await page.locator(':focus').getAttribute('id'), 'password');
        assert.match((await page.getAttribute('#password', 'aria-describedby')) ?? '', /^problem /);
      });
    });
  });
}

test('the password can be shown, and is hidden again before it is sent', async () => {
  await visit('/-/login', {}, async (page) => {
    await page.fill('#password', 'secret');
    const show = page.getByRole('button', { name: 'Show password' });
    await show.click();
    assert.equal(await page.getAttribute('#password', 'type'), 'text');
    assert.equal(await show.getAttribute('aria-pressed'), 'true');
    await page.evaluate('addEventListener("submit", (event) => event.preventDefault())');
    await page.fill('#user', 'alice');
    await page.click('button[type=submit]');
    assert.equal(await page.getAttribute('#password', 'type'), 'password');
  });
});

test('Caps Lock is pointed out while a password is typed', async () => {
  await visit('/-/login', {}, async (page) => {
    const press = (on: boolean) =>
      page.locator('#password').dispatchEvent('keydown', { key: 'A', modifierCapsLock: on });
    await press(true);
    assert.equal(await page.innerText('#caps-lock'), 'Caps Lock is on.');
    await accessible(page);
    await press(false);
    assert.equal(await page.innerText('#caps-lock'), '');
  });
});

test('the form tells the time zone of the browser', async () => {
  const before = fixture.attempts.length;
  await visit('/-/login', { timezoneId: 'America/New_York' }, async (page) => {
    await signIn(page, 'right');
    await page.waitForURL('**/?_task=mail');
  });
  assert.equal(fixture.attempts[before]?.timeZone, 'America/New_York');
});

test('another language keeps what was asked for, with its #fragment', async () => {
  await visit('/-/login?next=%2F%3F_task%3Dmail#part-2', {}, async (page) => {
    await page.click('text=Deutsch');
    await page.waitForURL('**/-/login?next=%2F%3F_task%3Dmail&lang=de#part-2');
    assert.equal(await page.getAttribute('html', 'lang'), 'de');
    await page.fill('#user', 'alice');
    await page.fill('#password', 'wrong');
    await page.click('button[type=submit]');
    assert.match(await page.innerText('#problem'), /ist falsch/);
  });
});

test('a second click while the first is under way signs in once', async () => {
  const before = fixture.attempts.length;
  const release = Promise.withResolvers<void>();
  const { decide } = fixture;
  fixture.decide = async () => {
    await release.promise;
    return aliceSignedIn();
  };
  try {
    await visit('/-/login', {}, async (page) => {
      await page.fill('#user', 'alice');
      await page.fill('#password', 'right');
      const twice = '(button => { button.click(); button.click(); return button.textContent })';
      const said = await page.evaluate(`${twice}(document.querySelector('button[type=submit]'))`);
      assert.equal(said, 'Signing in …');
      release.resolve();
      await page.waitForURL('**/?_task=mail');
    });
  } finally {
    fixture.decide = decide;
  }
  assert.equal(fixture.attempts.length, before + 1);
});
