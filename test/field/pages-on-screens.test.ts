import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import express from 'express';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { createBanner } from '../../src/http/banner.ts';
import { createViews } from '../../src/http/views.ts';
import { startChromium } from '../chromium.fixture.ts';
import { halfSignedIn, startConsole } from '../http/console.fixture.ts';
import { branding, startPages, views } from '../http/http.fixture.ts';
import { liveSession } from '../login/live-session.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { session } from '../support/staff.fixture.ts';

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

async function visit(options: BrowserContextOptions, act: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  context.setDefaultTimeout(15_000);
  try {
    await act(await context.newPage());
  } finally {
    await context.close();
  }
}

async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
    [],
  );
}

/** A page of a webmail under the banner of `user`'s mailbox, which `actor` opened. */
async function startMailbox(user: string, actor: string) {
  const impersonation = {
    actor: canonicalUser(actor),
    staffSession: session('sam'),
    reason: 'cannot find the letter from Monday, and asks where it might be',
    ticket: 'T-1234',
  };
  const live = liveSession({ user: canonicalUser(user), absoluteEndMs: Date.now() + 600_000, impersonation });
  const clock = { nowMs: () => Date.now() };
  const bannerOf = createBanner({
    assets: views.assistAssets,
    locales: views.locales,
    tokens: { issue: () => 'token', check: () => false, isRecent: () => false, mark: () => '', isMark: () => false },
    clock,
    randomBytes,
  });
  const app = express();
  app.use(views.assistAssets.serve);
  app.use((_request, response) => {
    const head = { method: 'GET', target: '/', header: () => 'en' };
    const publicUrl = { origin, authority: new URL(origin).host, secure: false };
    const client = { address: '127.0.0.1', port: 1, userAgent: undefined };
    const { html } = bannerOf(live, head, {
      publicUrl,
      hostKind: 'assist',
      client,
      requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
    });
    response.type('html');
    response.end(`<!doctype html><title>Mail</title><head>${html}</head><body><h1>INBOX</h1></body>`);
  });
  const server = createServer(app);
  const port = await listening(server);
  const origin = `http://127.0.0.1:${port}`;
  return {
    origin,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('the banner of an opened mailbox', () => {
  const long = `${'christina.'.repeat(6)}bauer@department-of-mail.example.org`;
  for (const width of [320, 360, 700, 1280]) {
    for (const user of ['alice@example.test', long]) {
      it(`shows whose it is in full, ${width} wide (${user.length} letters), and the page makes room`, async () => {
        await using mailbox = await startMailbox(user, 'sam.with.a.rather.long.name@support.example.test');
        await visit({ viewport: { width, height: 640 } }, async (page) => {
          // Its text is out of reach of the page's scripts, unless they run first.
          await page.addInitScript(
            "const attach = Element.prototype.attachShadow; Element.prototype.attachShadow = function () { return attach.call(this, { mode: 'open' }); };",
          );
          await page.goto(mailbox.origin);
          const subject = page.locator('postern-assist strong');
          await subject.waitFor();
          await page.waitForFunction(
            "getComputedStyle(document.querySelector('postern-assist').shadowRoot.querySelector('.bar')).position === 'fixed'",
          );
          assert.equal(await subject.innerText(), user);
          const seen = await page.evaluate<{
            clipped: boolean;
            right: number;
            bar: number;
            top: number;
            over: number;
          }>(`(() => {
            const root = document.querySelector('postern-assist').shadowRoot;
            const strong = root.querySelector('strong');
            const range = document.createRange();
            range.selectNodeContents(strong);
            const text = range.getBoundingClientRect();
            const bar = root.querySelector('.bar').getBoundingClientRect();
            return {
              clipped: text.top < bar.top || text.bottom > bar.bottom || text.left < bar.left,
              right: text.right,
              bar: bar.bottom,
              top: document.querySelector('h1').getBoundingClientRect().top,
              over: root.querySelector('form').getBoundingClientRect().right - innerWidth,
            };
          })()`);
          assert.ok(!seen.clipped && seen.right <= width, JSON.stringify(seen));
          assert.ok(seen.top >= seen.bar && seen.over <= 0, JSON.stringify(seen));
        });
      });
    }
  }
});

describe('the opening form of the console that comes back', () => {
  for (const viewport of [
    { width: 1100, height: 760 },
    { width: 1100, height: 500 },
    { width: 360, height: 640 },
  ]) {
    it(`shows what is wrong within the window, beside the field that has the focus (${viewport.width} × ${viewport.height})`, async () => {
      await using fixture = await startConsole();
      const { nextCode } = await halfSignedIn(fixture);
      await visit({ viewport }, async (page) => {
        await page.goto(`${fixture.origin}/-/login`);
        await page.fill('#user', 'sam');
        await page.fill('#password', 'right');
        await page.click('button.primary');
        await page.fill('#code', nextCode());
        await page.click('button.primary');
        await page.goto(`${fixture.origin}/-/users?user=alice@example.test`);
        await page.fill('#reason', 'lost her folders');
        await page.fill('#code', '000000');
        await page.click('button[value=open]');
        await page.locator('#problem').waitFor();
        assert.equal(await page.evaluate('document.activeElement.id'), 'code');
        const [problem, field] = [
          await page.locator('#problem').boundingBox(),
          await page.locator('#code').boundingBox(),
        ];
        assert.ok(problem !== null && field !== null);
        assert.ok(problem.y >= 0 && field.y + field.height <= viewport.height, JSON.stringify([problem, field]));
        assert.ok(field.y - (problem.y + problem.height) < 40, 'it stands beside it');
        assert.equal(await page.inputValue('#reason'), 'lost her folders');
        await accessible(page);
        assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0);
      });
    });
  }
});

describe('the sign-in page that comes back in a low window, as over a keyboard on the screen', () => {
  for (const viewport of [
    { width: 360, height: 400 },
    { width: 1100, height: 420 },
    { width: 640, height: 320 },
  ]) {
    it(`shows what is wrong, and the field that has the focus (${viewport.width} × ${viewport.height})`, async () => {
      await using fixture = await startPages();
      await visit({ viewport }, async (page) => {
        await page.goto(`${fixture.origin}/-/login`);
        await page.fill('#user', 'alice');
        await page.fill('#password', 'wrong');
        await page.click('button.primary');
        await page.locator('#problem').waitFor();
        const [problem, field] = [
          await page.locator('#problem').boundingBox(),
          await page.locator('#password').boundingBox(),
        ];
        assert.ok(problem !== null && field !== null);
        const isSeen = problem.y >= 0 && field.y + field.height <= viewport.height;
        assert.ok(isSeen, JSON.stringify([problem, field]));
      });
    });
  }
});

function picture(colour: string) {
  const text = `<text y="30" fill="${colour}">Example</text>`;
  const body = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="160" height="40">${text}</svg>`);
  return { contentType: 'image/svg+xml', body };
}

describe('the sign-in page of an operator with a logo', () => {
  const logos = { logo: picture('#111'), logoDark: picture('#eee') };
  for (const [scheme, colorScheme, shown, isDark] of [
    ['auto', 'light', 'logo', false],
    ['auto', 'dark', 'logo-dark', true],
    ['light', 'dark', 'logo', false],
    ['dark', 'light', 'logo-dark', true],
  ] as const) {
    it(`shows the one for its ground (scheme ${scheme}, a browser that wants ${colorScheme})`, async () => {
      await using fixture = await startPages({ views: createViews({ ...branding, ...logos, scheme }) });
      await visit({ colorScheme }, async (page) => {
        await page.goto(`${fixture.origin}/-/login`);
        const source = await page.evaluate<string>("document.querySelector('.logo').currentSrc");
        assert.equal(new URL(source).pathname, `/-/static/${shown}`);
        const [ground, text] = await page.evaluate<[string, string]>(
          "(() => { const style = getComputedStyle(document.querySelector('.card')); return [style.backgroundColor, style.color]; })()",
        );
        assert.deepEqual(
          [ground, text],
          isDark ? ['rgb(31, 35, 41)', 'rgb(232, 235, 239)'] : ['rgb(255, 255, 255)', 'rgb(27, 32, 39)'],
        );
        await accessible(page);
      });
    });
  }
});
