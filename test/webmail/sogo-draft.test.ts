import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { withLab } from '../lab/lab.ts';

const lab = await withLab('c');

async function fillIn(page: Page, user: string): Promise<void> {
  await page.fill('#user', user);
  await page.fill('#password', `${user}-pw`);
  await page.click('button[type=submit]');
  await page.waitForURL(/\/SOGo\/so\/.*\/Mail/);
}

/** What one types the text into: in SOGo 5.8 the body of a frame (CKEditor 4), later an element of the page (CKEditor 5). */
async function editorIn(dialog: Locator): Promise<Locator> {
  const either = dialog.locator('iframe.cke_wysiwyg_frame, .ck-editor__editable').first();
  await either.waitFor();
  const isFrame = await either.evaluate((element) => element.tagName === 'IFRAME');
  return isFrame ? either.contentFrame().locator('body') : either;
}

/** A letter to clara in the editor, neither saved nor sent. */
async function writeLetter(page: Page) {
  const dialog = page.locator('md-dialog');
  await page.click('[aria-label="Write a new message"]');
  // Its animation takes seconds.
  await page.locator('md-fab-actions md-icon', { hasText: 'open_in_browser' }).dispatchEvent('click');
  await dialog.locator('md-chips input').first().fill('clara@example.test');
  await page.keyboard.press('Enter');
  await dialog.locator('input[name=subject]').fill('Kept');
  const editor = await editorIn(dialog);
  await editor.click();
  await editor.fill('This text must stay.');
  const button = (icon: string) => dialog.locator('button', { has: page.locator(`md-icon[aria-label=${icon}]`) });
  return { editor, save: button('save'), send: button('send').first() };
}

suite('a letter in SOGo while the session of the gateway ends', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let browser: Browser;
  before(async () => {
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'carol@example.test': 'c', 'clara@example.test': 'c' },
        sessions: 'idle_timeout: 40 min, absolute_timeout: 60 min',
        backends: {
          c: `{ imap: "imaps://127.0.0.13:${lab.port(993)}", webmail: "http://127.0.0.13:${lab.port(80)}/SOGo/", driver: sogo }`,
        },
      }),
    );
    browser = await startChromium();
    running.defer(() => browser.close());
  });
  after(() => running.disposeAsync());

  const pass = (minutes: number) => gateway.setClock(gateway.nowMs() - Date.now() + minutes * 60_000);
  const endings: readonly (readonly [how: string, end: (other: Page) => Promise<void>])[] = [
    ['by idleness', () => pass(41)],
    [
      'after its longest time, whatever it is used',
      async (other) => {
        await pass(35);
        await other.goto(gateway.origin);
        await other.waitForURL(/\/SOGo\/so\/.*\/Mail/);
        await pass(26);
      },
    ],
    [
      'by a sign-out in another tab',
      async (other) => {
        await other.goto(`${gateway.origin}/-/logout`);
        await other.click('button[type=submit]');
        await other.waitForURL(/\/-\/login/);
      },
    ],
  ];
  for (const [how, end] of endings) {
    test(`${how}: the text stays, and goes out after signing in in another tab`, async () => {
      const context = await browser.newContext({ locale: 'en-US', extraHTTPHeaders: { 'x-forwarded-proto': 'http' } });
      const [page, other] = [await context.newPage(), await context.newPage()];
      await page.goto(gateway.origin);
      await fillIn(page, 'carol');
      const { editor, save, send } = await writeLetter(page);
      await end(other);

      await save.click();
      const note = page.locator('md-toast');
      await note.getByText('Your session has ended. What you have written is still here').waitFor();
      assert.equal(await note.getByRole('link', { name: 'Sign in' }).getAttribute('target'), '_blank');
      await send.click();
      await page.locator('md-dialog').getByText('sign in again in a new tab, then repeat').waitFor();
      await page.locator('md-dialog').getByRole('button', { name: 'Close' }).last().click();
      // CKEditor 5 fills an empty element with word joiners.
      assert.equal((await editor.innerText()).replaceAll('\u2060', '').trim(), 'This text must stay.');

      await other.goto(gateway.origin);
      await fillIn(other, 'carol');
      const sent = page.waitForResponse((response) => response.url().endsWith('/send'));
      await send.click();
      assert.equal((await sent).status(), 200);
      await page.locator('md-dialog').waitFor({ state: 'detached' });
      await context.close();
    });
  }
});
