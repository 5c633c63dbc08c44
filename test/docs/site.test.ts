import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { runProgram } from '../programs.ts';
import { pages, root } from './pages.fixture.ts';

const site = join(root, 'dist/site');

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
};

/** A plain server of files: all that the site needs. */
async function serveSite(): Promise<{ readonly server: Server; readonly origin: string }> {
  const server = createServer(({ url = '/' }, response) => {
    const path = new URL(url, 'http://site').pathname;
    const file = [path, `${path}.html`, join(path, 'index.html')]
      .map((name) => join(site, name))
      .find((name) => extname(name) !== '' && existsSync(name));
    response.setHeader('content-type', types[extname(file ?? '')] ?? 'application/octet-stream');
    response.writeHead(file === undefined ? 404 : 200).end(file === undefined ? '' : readFileSync(file));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
  return { server, origin: `http://127.0.0.1:${address.port}` };
}

describe('the site of the docs below a path of its server', () => {
  it('takes and links everything there', async () => {
    const env = { DOCS_BASE: '/postern/' };
    await runProgram(process.execPath, ['tools/docs-site.ts'], { cwd: root, timeoutMs: 240_000, env });
    const asks = /\b(?:src|href)="(\/[^"]*)"/g;
    const found = globSync('**/*.html', { cwd: site }).flatMap((file) =>
      [...readFileSync(join(site, file), 'utf8').matchAll(asks)].map(([, to = '']) => to),
    );
    assert.ok(found.some((to) => to.endsWith('.svg')) && found.some((to) => to.endsWith('.json')));
    assert.deepEqual(
      found.filter((to) => !to.startsWith('/postern/')),
      [],
    );
  });
});

describe('the site of the docs', () => {
  let browser: Browser;
  let server: Server;
  let origin: string;

  before(async () => {
    // A dead link fails it.
    await runProgram(process.execPath, ['tools/docs-site.ts'], { cwd: root, timeoutMs: 240_000 });
    ({ server, origin } = await serveSite());
    browser = await startChromium();
  });
  after(async () => {
    await browser?.close();
    server?.close();
    server?.closeAllConnections();
  });

  it('has every page of docs/', () => {
    const missing = pages
      .filter((page) => page.startsWith('docs/'))
      .filter((page) => !existsSync(join(site, page.slice('docs/'.length).replace(/\.md$/, '.html'))));
    assert.deepEqual(missing, []);
  });

  it('takes nothing from another server', async () => {
    const asks = /<(?:script|link|img|iframe|source|video|audio)\b[^>]*\b(?:src|href|srcset)="(?:https?:)?\/\/[^"]*"/g;
    for (const file of globSync('**/*.html', { cwd: site })) {
      assert.deepEqual([...readFileSync(join(site, file), 'utf8').matchAll(asks)].map(String), [], file);
    }
    const page = await browser.newPage();
    const elsewhere: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) elsewhere.push(request.url());
    });
    for (const path of ['/', '/support', '/operate']) await page.goto(`${origin}${path}`, { waitUntil: 'networkidle' });
    assert.deepEqual(elsewhere, []);
    await page.close();
  });

  it('finds what is searched, and leads there', async () => {
    const page = await browser.newPage();
    await page.goto(origin);
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('searchbox').fill('keepalived');
    const first = page.locator('#localsearch-list a').first();
    await first.click();
    await page.waitForURL(/load-balancers/);
    await page.close();
  });

  it('lists the pages under questions', async () => {
    const page = await browser.newPage({ viewport: { width: 1300, height: 900 } });
    await page.goto(`${origin}/operate`);
    const texts = await page.locator('.VPSidebar h2').allInnerTexts();
    assert.ok(texts.every((text) => text.endsWith('?')) && texts.length >= 6, texts.join('\n'));
    await page.close();
  });
});
