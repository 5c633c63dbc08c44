import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { postern } from '../cli/cli.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { startTrustingNginx } from '../integrations/own-web-server.fixture.ts';
import { entrySettings, startRoundcube } from '../integrations/own-roundcube.fixture.ts';
import { key } from '../integrations/roundcube-browser.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { codeOf } from '../support/support.fixture.ts';
import { attackFromMail } from './attack.fixture.ts';

const lab = await withLab('a', 'b', 'c');
const writesImages = process.env['POSTERN_WRITE_IMAGES'] === '1';
const images = new URL('../../docs/images/', import.meta.url);
const secret = 'a-secret-of-the-test-only';
const reason = 'cannot find the letter from Monday';

suite('support, as staff and users see it', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let browser: Browser;
  let staff: BrowserContext;
  let console: Page;
  let appKey = '';
  let recovery: readonly string[] = [];

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-support-'));
    running.defer(() => rm(directory, { recursive: true }));
    const roundcube = await startRoundcube(directory, entrySettings(`127.0.0.11:${lab.port(143)}`));
    running.defer(() => roundcube.stop());
    const { origin: sogo } = running.use(await startTrustingNginx(lab, secret));
    const master = 'master: { user: gateway, password: { file: imap.secret } }';
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        // All three hosts belong to one site, as in production: only their names separate them.
        host: 'mail.post.localhost',
        isDirect: true,
        users: {
          'alice@example.test': 'a',
          'anna@example.test': 'a',
          'sam@example.test': 'b',
          'carol@example.test': 'c',
        },
        files: { 'roundcube.key': key, 'sogo.secret': secret, 'imap.secret': 'gateway-pw' },
        settings: (port) => `support:
  console: http://support.post.localhost:${port}
  assist: http://assist.post.localhost:${port}
  staff: { sam@example.test: { roles: [support, operator, auditor] } }
  never_opened: [anna@example.test]`,
        backends: {
          a: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "${roundcube.origin}/", driver: roundcube, ${master},
      roundcube: { entry_key: { file: roundcube.key } } }`,
          b: `{ imap: "imaps://127.0.0.12:${lab.port(993)}", webmail: "http://127.0.0.12:${lab.port(80)}/", driver: roundcube }`,
          c: `{ imap: "imaps://127.0.0.13:${lab.port(993)}", webmail: "${sogo}/SOGo/", driver: sogo, ${master},
      sogo: { mode: trusted, secret: { file: sogo.secret }, imap_password: { file: imap.secret } } }`,
        },
      }),
    );
    browser = await startChromium();
    running.defer(() => browser.close());
    staff = await newContext();
    console = await staff.newPage();
  });
  after(() => running.disposeAsync());

  async function newContext(): Promise<BrowserContext> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
    });
    context.setDefaultTimeout(15_000);
    return context;
  }

  const at = (host: 'support' | 'assist', path: string) => `http://${host}.post.localhost:${gateway.port}${path}`;
  const run = (...args: readonly string[]) => postern([...args, '-c', gateway.configFile]);
  /** Requests a mailbox at the console. Resolves with the tab in which it is open. */
  async function open(user: string, code: string): Promise<Page> {
    await console.goto(at('support', `/-/users?user=${user}`));
    await console.fill('#reason', reason);
    await console.fill('#ticket', 'T-1234');
    await console.fill('#code', code);
    await console.click('button[value=open]');
    await console.getByRole('heading', { name: 'The mailbox is ready' }).waitFor();
    const [tab] = await Promise.all([staff.waitForEvent('page'), console.click('a.primary')]);
    return tab;
  }

  test('sam gets a second factor with a one-time code from an operator', async () => {
    const { out } = await run('staff', 'enrol', 'sam@example.test');
    const code = /: (\S{19})\n/.exec(out)?.[1] ?? '';
    await console.goto(at('support', '/'));
    await assertAccessible(console);
    await picture(console, 'console-sign-in');
    await console.fill('#user', 'sam');
    await console.fill('#password', 'sam-pw');
    await console.click('button[type=submit].primary');
    await console.fill('#invitation', code);
    await console.click('button[type=submit].primary');
    appKey = (await console.locator('code').first().innerText()).replaceAll(' ', '');
    await assertAccessible(console);
    await console.fill('#code', codeOf(appKey, Date.now()));
    await console.click('button[type=submit].primary');
    await console.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
    recovery = await console.locator('.codes li').allInnerTexts();
    assert.equal(recovery.length, 10);
  });

  test('sam sees a user’s page, and why a mailbox is not opened', async () => {
    await console.goto(at('support', '/-/users?user=alice'));
    await assertAccessible(console);
    await picture(console, 'console-user');
    for (const [user, why] of [
      ['sam', /own mailbox/i],
      ['anna', /is excluded from support access/],
    ] as const) {
      await console.goto(at('support', `/-/users?user=${user}`));
      assert.match(await console.locator('#why-not').innerText(), why);
    }
  });

  test('sam opens alice’s Roundcube: her folders and letters, under a banner, which stops it', async () => {
    const mailbox = await open('alice', codeOf(appKey, Date.now() + 30_000));
    await mailbox.waitForURL(/_task=mail/);
    assert.equal(new URL(mailbox.url()).host, `assist.post.localhost:${gateway.port}`);
    await mailbox.locator('#messagelist tr.message').first().waitFor();
    assert.ok((await mailbox.locator('#mailboxlist li a').allInnerTexts()).length > 2);
    assert.ok(await hasBanner(mailbox));
    await picture(mailbox, 'assist-roundcube');
    const body = await mailbox.locator('body').boundingBox();
    assert.ok((body?.y ?? 0) >= 32, 'the page makes room for the banner');
    // Roundcube's preview is a frame, and has none of its own.
    await mailbox.locator('#messagelist tr.message').first().click();
    const preview = mailbox.frameLocator('#messagecontframe');
    await preview.locator('#message-header').waitFor();
    assert.equal(await preview.locator('postern-assist').count(), 0);
    // Another page of the webmail has one again.
    await mailbox.goto(at('assist', '/?_task=settings'));
    await mailbox.locator('postern-assist').waitFor({ state: 'attached' });
    assert.match(await mailbox.content(), /alice@example\.test/);

    await console.goto(at('support', '/-/opened'));
    assert.match(await console.locator('table').innerText(), /alice@example\.test.*cannot find/s);
    await assertAccessible(console);

    // By keyboard alone: wherever the webmail puts the focus, the button comes first.
    const isReached = () => mailbox.evaluate<boolean>("document.activeElement?.localName === 'postern-assist'");
    for (let left = 60; left > 0 && !(await isReached()); left -= 1) await mailbox.keyboard.press('Shift+Tab');
    assert.ok(await isReached());
    await mailbox.keyboard.press('Enter');
    await mailbox.getByText('You closed the mailbox').waitFor();
    await mailbox.goto(at('assist', '/?_task=mail'));
    await mailbox.getByText('You can open mailboxes from the support console').waitFor();
  });

  test('sam opens carol’s SOGo', async () => {
    const mailbox = await open('carol', recovery[0] ?? '');
    await mailbox.waitForURL(/\/SOGo\//);
    await mailbox.locator('postern-assist').waitFor({ state: 'attached' });
    await mailbox.getByText('carol@example.test').first().waitFor();
    await mailbox.waitForLoadState('networkidle');
    await picture(mailbox, 'assist-sogo');
    for (const folder of ['Drafts', 'Junk']) await mailbox.getByText(folder, { exact: true }).first().waitFor();
    await mailbox.goto(at('assist', '/SOGo/so/carol@example.test/Preferences'));
    await mailbox.locator('postern-assist').waitFor({ state: 'attached' });
    await mailbox.getByText('carol@example.test').first().waitFor();
    await console.goto(at('support', '/-/opened'));
    await console.click('button[name=stop]');
    await eventually(async () => (await mailbox.goto(at('assist', '/SOGo/')))?.url().includes('/-/login') === true);
  });

  test('a script in a mail, on the users’ host, gets nothing of the console and of an opened mailbox', async () => {
    const mailbox = await open('alice', recovery[1] ?? '');
    await mailbox.waitForURL(/_task=mail/);
    const page = await staff.newPage();
    await page.goto(`${gateway.origin}/-/login`);
    await page.fill('#user', 'anna');
    await page.fill('#password', 'Paß "wört" \\1 €');
    await page.click('button[type=submit]');
    await page.waitForURL(/_task=mail/);
    const targets = [
      at('support', '/-/users?user=alice'),
      at('support', '/-/audit.csv'),
      at('support', '/-/opened'),
      at('assist', '/?_task=mail'),
      at('assist', '/?_task=settings'),
    ];
    const answered: [string, number][] = [];
    staff.on('response', (response) => {
      const url = response.url();
      if (!url.startsWith(gateway.origin)) answered.push([url, response.status()]);
    });
    const backends = at('support', '/-/backends');
    const own = `${gateway.origin}/?_task=settings`;
    const seen = await page.evaluate(attackFromMail({ own, targets, backends }));
    assert.deepEqual(seen, ['200 of the own host']);
    for (const url of [...targets, backends])
      assert.ok(
        answered.some(([asked]) => asked === url),
        url,
      );
    for (const [url, status] of answered) assert.equal(status, 403, url);
    answered.length = 0;
    // A window that it opens is out of its reach, too.
    const [popup] = await Promise.all([
      staff.waitForEvent('page'),
      page.evaluate(`void (globalThis.popup = open(${JSON.stringify(targets[3])}))`),
    ]);
    await popup.locator('postern-assist').waitFor({ state: 'attached' });
    assert.equal(await page.evaluate('popup.closed'), true);
    await popup.close();
    await page.close();
    const { out } = await run('audit', 'list', '--event', 'backend-state', '--format', 'json');
    assert.deepEqual(JSON.parse(out), []);
    await mailbox.reload();
    assert.ok(await hasBanner(mailbox), 'it is still open');
    await console.goto(at('support', '/-/opened'));
    await console.click('button[name=stop]');
  });

  test('alice finds the notice at her next sign-in, once', async () => {
    const context = await newContext();
    const page = await context.newPage();
    for (const time of ['first', 'second']) {
      await page.goto(`${gateway.origin}/-/login`);
      await page.fill('#user', 'alice');
      await page.fill('#password', 'alice-pw');
      await page.click('button[type=submit]');
      if (time === 'first') {
        await page.getByText('Your mailbox was opened by support').first().waitFor();
        assert.match(
          await page.locator('main').innerText(),
          /sam@example\.test, for at most 15 minutes\s+Reason: cannot find/,
        );
        await assertAccessible(page);
        await picture(page, 'notice');
        await page.click('button.primary');
      }
      await page.waitForURL(/_task=mail/);
      await context.clearCookies();
    }
  });

  test('the audit says who did what to whom, and verifies', async () => {
    await console.goto(at('support', '/-/audit?actor=sam@example.test'));
    await assertAccessible(console);
    await picture(console, 'console-audit');
    const text = await console.locator('table').innerText();
    for (const event of ['staff-enrolled', 'impersonation-start', 'impersonation-stop', 'subject-told']) {
      assert.match(text, new RegExp(event), event);
    }
    assert.doesNotMatch(text, /alice@example\.test\s+sam@example\.test/);
    const verified = await run('audit', 'verify');
    assert.equal(verified.code, 0, verified.out + verified.err);
  });
});

async function picture(page: Page, name: string): Promise<void> {
  if (writesImages) await page.screenshot({ path: fileURLToPath(new URL(`${name}.png`, images)) });
}

/** By day on a wide screen, and by night on a narrow one, where nothing may be wider than the screen. */
async function assertAccessible(page: Page): Promise<void> {
  const wide = page.viewportSize() ?? { width: 1280, height: 800 };
  for (const [viewport, colorScheme] of [
    [{ ...wide, width: 360 }, 'dark'],
    [wide, 'light'],
  ] as const) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    const { violations } = await new AxeBuilder({ page }).analyze();
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
      [],
    );
    assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0);
  }
}

/** Whether the page has the banner. Its text is out of reach of the page's scripts, and of a test's. */
async function hasBanner(page: Page): Promise<boolean> {
  return (await page.locator('postern-assist').count()) === 1;
}
