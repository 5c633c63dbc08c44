import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { type LabBackend, withLab } from '../lab/lab.ts';

const lab = await withLab('a', 'c', 'd');

/** How a person reads mail in a webmail and signs out by clicking. */
interface Webmail {
  readonly name: string;
  readonly user: string;
  readonly backend: LabBackend;
  /** A row of the list of messages. */
  readonly row: string;
  /** The element with the text of an opened message. */
  readonly message: (page: Page) => Locator;
  readonly signOut: string;
  /** Handles what a person meets after a click on a message in a lost session; undefined if the message just opens. */
  readonly heals?: (page: Page, message: Locator) => Promise<unknown>;
}

const roundcube = {
  row: '#messagelist tr.message',
  message: (page: Page) => page.frameLocator('#messagecontframe').locator('#messagebody'),
  signOut: '#taskmenu a.logout',
  // The loaded page has the token of the lost session.
  heals: (page: Page) => page.reload(),
};
const webmails: readonly Webmail[] = [
  {
    name: 'SOGo',
    user: 'carol',
    backend: 'c',
    row: 'md-list-item',
    message: (page) => page.locator('#messageDetails, .msg-body').first(),
    signOut: 'a[href*="logoff"]',
  },
  {
    name: 'Horde',
    user: 'dave',
    backend: 'd',
    row: '.vpRow',
    message: (page) => page.locator('#previewMsg'),
    signOut: '#horde-logout a',
    // Its script reloads the page.
    heals: (page, message) => Promise.all([page.waitForEvent('load'), message.click()]),
  },
  { name: 'Roundcube by HTTP Basic', user: 'alice', backend: 'a', ...roundcube },
  { name: 'Roundcube by trusted fields', user: 'mia', backend: 'a', ...roundcube },
];

suite('other webmails than Roundcube’s form, in Chromium', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let browser: Browser;
  before(async () => {
    const imap = (host: number) => `imap: "imaps://127.0.0.${host}:${lab.port(993)}"`;
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: {
          'carol@example.test': 'c',
          'dave@example.test': 'd',
          'alice@example.test': 'basic',
          'mia@example.test': 'header',
        },
        files: { 'header.secret': 'lab-shared-secret' },
        backends: {
          c: `{ ${imap(13)}, webmail: "http://127.0.0.13:${lab.port(80)}/SOGo/", driver: sogo }`,
          d: `{ ${imap(14)}, webmail: "http://127.0.0.14:${lab.port(80)}/horde/", driver: horde }`,
          basic: `{ ${imap(11)}, webmail: "http://127.0.0.11:${lab.port(81)}/", driver: basic,
      basic: { signed_out: { location: /labsso-logged-out } } }`,
          header: `{ ${imap(11)}, webmail: "http://127.0.0.11:${lab.port(82)}/?_task=mail", driver: header,
      header: { user_field: X-Sso-User, secret_field: X-Sso-Secret, secret: { file: header.secret },
        signed_out: { removes_cookie: roundcube_sessauth, path: / } } }`,
        },
      }),
    );
    browser = await startChromium();
    running.defer(() => browser.close());
  });
  after(() => running.disposeAsync());

  for (const { name, user, backend, row, message, signOut, heals } of webmails) {
    test(`${name}: ${user} reads, reads on when the webmail has lost the session, and signs out`, async () => {
      const context = await browser.newContext({ locale: 'en-US', extraHTTPHeaders: { 'x-forwarded-proto': 'http' } });
      context.setDefaultTimeout(15_000);
      const page = await context.newPage();
      const subject = (number: number) => page.locator(row, { hasText: `Nachricht ${number}` }).first();
      const read = async (number: number): Promise<void> => {
        await subject(number).click();
        await message(page).getByText(`Text der Nachricht ${number}`).first().waitFor();
      };
      await page.goto(gateway.origin);
      await page.fill('#user', user);
      await page.fill('#password', `${user}-pw`);
      await page.click('button[type=submit]');
      await read(8);
      await lab.expire(backend);
      await heals?.(page, subject(7));
      await read(7);

      await page.click(signOut);
      await page.waitForURL(/\/-\/login/);
      await page.goto(gateway.origin);
      assert.match(page.url(), /\/-\/login/);
      await context.close();
    });
  }
});
