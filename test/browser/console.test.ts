import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { type ConsoleFixture, sam, signedIn, startConsole } from '../http/console.fixture.ts';
import { manyBackends, shownBackend } from '../http/console-shown.fixture.ts';
import { assertAccessible, assertNarrow, complaintsOf, picture } from './console.fixture.ts';

const wide = { width: 1280, height: 800 };

let fixture: ConsoleFixture;
let browser: Browser;
let cookies: Parameters<BrowserContext['addCookies']>[0];
before(async () => {
  fixture = await startConsole();
  fixture.grants.set(sam, { roles: ['operator'] });
  fixture.backends = manyBackends();
  const { browser: staff } = await signedIn(fixture);
  cookies = staff.cookie.split('; ').map((pair) => {
    const [name = '', ...value] = pair.split('=');
    return { name, value: value.join('='), url: fixture.origin };
  });
  browser = await startChromium();
});
after(async () => {
  await browser.close();
  await fixture[Symbol.asyncDispose]();
});

/** Opens a page of the console as sam, and fails on anything that the browser complains of. */
async function visit(path: string, options: BrowserContextOptions, act: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext({ viewport: wide, locale: 'en-GB', ...options });
  context.setDefaultTimeout(15_000);
  const complaints = complaintsOf(context);
  try {
    await context.addCookies(cookies);
    const page = await context.newPage();
    await page.goto(fixture.origin + path);
    await act(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

const pages: readonly (readonly [path: string, image?: string])[] = [
  ['/-/backend?name=fra-mail000'],
  ['/-/sessions'],
  ['/-/moves'],
  ['/-/penalties'],
  ['/-/nodes', 'console-nodes'],
  ['/-/statistics', 'console-statistics'],
  ['/-/route?user=alice@example.test'],
  ['/-/link?link=x'],
];

describe('the operators’ console in Chromium', () => {
  for (const [path, image] of pages) {
    test(`${path} is accessible in light, and in dark on a narrow screen without sideways scrolling`, async () => {
      await visit(path, { colorScheme: 'light' }, async (page) => {
        await assertAccessible(page);
        if (image !== undefined) await picture(page, image);
        await assertNarrow(page);
      });
    });
  }

  test('shows 500 backends, and renews them while they are looked at', async () => {
    await visit('/-/backends?group=state', {}, async (page) => {
      await page.getByText('Live: renewed').waitFor();
      assert.equal(await page.locator('tbody th[scope=row]').count(), 500);
      await picture(page, 'console-backends');
      await page.locator('tbody th a').first().focus();
      const focused = await page.evaluate('document.activeElement.textContent');
      fixture.backends = [...manyBackends(), shownBackend('newcomer', { state: 'DOWN' })];
      await page.getByRole('link', { name: 'newcomer' }).waitFor();
      assert.equal(await page.evaluate('document.activeElement.textContent'), focused, 'the focus stays');
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.getByText('Paused.').waitFor();
      fixture.backends = manyBackends();
    });
  });

  test('is accessible with its table, in light and in dark on a narrow screen', async () => {
    fixture.backends = manyBackends().slice(0, 12);
    await visit('/-/backends', { colorScheme: 'light' }, async (page) => {
      await assertAccessible(page);
      await assertNarrow(page);
    });
    fixture.backends = manyBackends();
  });

  test('sets a backend to maintenance without JavaScript, by keyboard, after one more question', async () => {
    await visit('/-/backends?name=fra-mail000', { javaScriptEnabled: false }, async (page) => {
      await page.getByRole('link', { name: 'fra-mail000' }).press('Enter');
      await page.getByLabel('Maintenance: nobody is served').press('Space');
      await page.getByLabel('Reason').first().fill('new disks');
      await page.getByLabel('Users read, in English').fill('Back at six.');
      await page.getByLabel('Users read, in Deutsch').fill('Um sechs geht es weiter.');
      await page.getByRole('button', { name: 'Apply' }).press('Enter');
      await page.getByText('3 people are signed in there').waitFor();
      await page.getByText('Um sechs geht es weiter.').waitFor();
      await page.getByRole('button', { name: /^Yes/ }).press('Enter');
      await page.getByText('The state was set to maintenance.').waitFor();
      assert.equal(fixture.done.at(-1), 'set fra-mail000 MAINT new disks sam@example.test');
    });
  });

  test('says so when the staff session has ended', async () => {
    await visit('/-/backends', {}, async (page) => {
      await page.getByText('Live: renewed').waitFor();
      fixture.clock.nowMs += 16 * 60_000;
      await page.getByText('Your session has ended.').waitFor();
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.waitForURL(/\/-\/login/);
    });
  });
});
