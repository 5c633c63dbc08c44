import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { ScriptedImap } from '../passdb/scripted-imap.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';

const program = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const html = { 'Content-Type': 'text/html; charset=utf-8' };

/** Workers that webmails leave behind: how each answers what a tab asks for. */
const workers: readonly (readonly [what: string, answer: string])[] = [
  ['passes on what a tab asks for', 'fetch(event.request)'],
  ['looks into its cache first', 'caches.match(event.request).then((kept) => kept ?? fetch(event.request))'],
];

suite('what browsers have kept, in Chromium', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let browser: Browser;
  let imap: ScriptedImap;
  let caFile: string;
  let webmail: number;
  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-left-'));
    running.defer(() => rm(folder, { recursive: true }));
    const certificate = makeCertificate('IP:127.0.0.1');
    caFile = join(folder, 'ca.crt');
    await writeFile(caFile, certificate.cert);
    imap = running.use(
      await ScriptedImap.start({
        greeting: '* OK [CAPABILITY IMAP4rev1] ready.',
        certificate,
        answer: (turn) => turn.say(`${turn.tag} OK done`),
      }),
    );
    const server = createServer((request, response) => {
      // No Cache-Control, as in small webmails.
      response.writeHead(200, html).end(`<!doctype html><title>Mail</title><h1>Secret letter at ${request.url}</h1>`);
    });
    webmail = await listening(server);
    running.defer(() => closed(server));
    browser = await startChromium();
    running.defer(() => browser.close());
  });
  after(() => running.disposeAsync());

  /** The gateway on this port, before a webmail whose pages name no caching. */
  function gatewayOn(port: number): Promise<OwnGateway> {
    const line = `{ imap: "imaps://127.0.0.1:${imap.port}", webmail: "http://127.0.0.1:${webmail}/", driver: none }`;
    const users = { 'alice@example.test': 'a' };
    return startGateway({ port, isDirect: true, caFile, users, backends: { a: line } });
  }

  async function withPage(origin: string, act: (page: Page, context: BrowserContext) => Promise<void>): Promise<void> {
    const context = await browser.newContext({ baseURL: origin, locale: 'en-GB' });
    context.setDefaultTimeout(15_000);
    await act(await context.newPage(), context);
    await context.close();
  }

  for (const [what, answer] of workers) {
    test(`a service worker from before the gateway, which ${what}, locks nobody out and goes`, async () => {
      const port = await freePort();
      const origin = `http://127.0.0.1:${port}`;
      await withPage(origin, async (page) => {
        const before = await startOldWebmail(port, answer);
        await page.goto('/');
        await page.waitForFunction('navigator.serviceWorker.controller !== null');
        await closed(before);
        await using gateway = await gatewayOn(port);
        assert.equal(gateway.origin, origin);
        await page.goto('/-/login');
        await signIn(page);
        await page.waitForFunction('navigator.serviceWorker.getRegistration().then((found) => found === undefined)');
        await page.goto('/mail/7');
        assert.equal(await page.innerText('h1'), 'Secret letter at /mail/7');
      });
    });
  }

  test('after a kick, Back shows the sign-in page and no mail, though the webmail names no caching', async () => {
    await using gateway = await gatewayOn(await freePort());
    await withPage(gateway.origin, async (page, context) => {
      await page.goto('/-/login');
      await signIn(page);
      await page.goto('/mail/1');
      await page.goto('/mail/2');
      await runProgram(process.execPath, [
        program,
        'kick',
        'alice',
        '--reason',
        'left the house',
        '-c',
        gateway.configFile,
      ]);
      const tab = await context.newPage();
      await tab.goto('/mail/2');
      await tab.waitForURL(/\/-\/login/);
      await page.goBack();
      await page.waitForURL(/\/-\/login/);
      await page.locator('#password').waitFor();
      assert.doesNotMatch(await page.content(), /Secret letter/);
      await page.goBack();
      assert.doesNotMatch(await page.content(), /Secret letter/);
    });
  });
});

async function signIn(page: Page): Promise<void> {
  await page.fill('#user', 'alice');
  await page.fill('#password', 'alice-pw');
  await page.click('button[type=submit]');
  await page.locator('h1', { hasText: 'Secret letter' }).waitFor();
}

/** A webmail without a gateway, whose page has registered a worker for all of its origin. */
async function startOldWebmail(port: number, answer: string): Promise<Server> {
  const script = `self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', (event) => event.respondWith(${answer}));`;
  const server = createServer((request, response) => {
    if (request.url === '/sw.js') response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(script);
    else response.writeHead(200, html).end("<script>navigator.serviceWorker.register('/sw.js')</script>");
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function closed(server: Server): Promise<void> {
  const done = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await done;
}
