import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { alice, bob, type Person } from '../../demo/people.ts';
import { startChromium } from '../chromium.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';
import { complaintsOf } from './console.fixture.ts';

const program = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));

/** Starts the demo, waits for its ready line, and resolves with its URL. */
async function startDemo(started: AsyncDisposableStack): Promise<string> {
  const child = spawn(process.execPath, [program, '--port', String(await freePort())], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.defer(async () => {
    const gone = once(child, 'exit');
    if (child.exitCode !== null || !child.kill('SIGINT')) return;
    await gone;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const [, origin] = /^ready (\S+)$/.exec(line) ?? [];
    if (origin !== undefined) {
      child.stdout.resume();
      return origin;
    }
  }
  throw new Error('the demo ended before it was ready');
}

suite('the demo, in Chromium', { concurrency: false }, () => {
  const started = new AsyncDisposableStack();
  let browser: Browser;
  let origin: string;
  before(async () => {
    origin = await startDemo(started);
    browser = await startChromium();
    started.defer(() => browser.close());
  });
  after(() => started.disposeAsync());

  /** Signs in with a new browser, does something, and fails on any message of its console. */
  async function visit(person: Person, act: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext({ baseURL: origin, locale: 'en-GB' });
    context.setDefaultTimeout(15_000);
    const complaints = complaintsOf(context);
    try {
      const page = await context.newPage();
      await page.goto('/');
      await page.fill('#user', person.address);
      await page.fill('#password', person.password);
      await page.click('button[type=submit]');
      await page.waitForURL('**/mail/INBOX');
      await act(page);
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
    }
  }

  for (const person of [alice, bob]) {
    test(`${person.name} signs in, and the page says which backend it is from`, async () => {
      await visit(person, async (page) => {
        assert.equal(await page.innerText('.user'), person.address);
        assert.equal(await page.innerText('.brand .backend'), `backend ${person.backend}`);
        assert.equal(await page.innerText('footer strong'), person.backend);
      });
    });
  }

  test('a letter with an attachment goes from alice on a to bob on b', async () => {
    await visit(alice, async (page) => {
      await page.click('text=Write');
      await page.fill('[name=to]', bob.address);
      await page.fill('[name=subject]', 'Across, in a browser');
      await page.fill('textarea', 'With a file.');
      await page.setInputFiles('[type=file]', { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('yeast') });
      await page.click('main button.primary');
      await page.waitForURL('**/mail/INBOX?sent=1');
    });
    await visit(bob, async (page) => {
      await page.click('text=Across, in a browser');
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('.attachments a')]);
      assert.equal(download.suggestedFilename(), 'a.txt');
    });
  });

  test('“What arrived” shows a live poll, event stream and WebSocket, and a lost session is healed', async () => {
    await visit(alice, async (page) => {
      await page.click('nav >> text=What arrived');
      await page.locator('[data-live=socket]', { hasText: 'backend a' }).waitFor();
      await page.locator('[data-live=events]', { hasText: 'from backend a' }).waitFor();
      await page.locator('[data-live=poll]', { hasText: 'backend a:' }).waitFor();
      await page.click('text=Forget me');
      await page.waitForURL('**/arrived');
      assert.equal(await page.innerText('.user'), alice.address);
    });
  });

  test('signing out in the webmail ends it all: the way back shows the sign-in page', async () => {
    await visit(bob, async (page) => {
      await page.click('text=Sign out');
      await page.waitForURL('**/-/login*');
      await page.goBack();
      await page.waitForURL('**/-/login*');
      assert.equal(await page.locator('#password').count(), 1);
    });
  });
});
