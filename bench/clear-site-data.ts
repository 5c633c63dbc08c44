import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { listening } from '../test/ports.fixture.ts';

/**
 * Measures what `Clear-Site-Data: "cache"` costs a browser with a full cache: navigations with it and without it in
 * turn.
 */
const files = 3000;
const fileBytes = 110_000;
const rounds = 3;

const body = Buffer.alloc(fileBytes, 'mail ');
const server = createServer((request, response) => {
  if (request.url?.startsWith('/file/') === true) {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'private, max-age=3600' }).end(body);
    return;
  }
  const clears = request.url === '/with' ? { 'Clear-Site-Data': '"cache"' } : {};
  response.writeHead(200, { 'Content-Type': 'text/html', 'Cache-Control': 'no-store', ...clears });
  response.end('<!doctype html><title>page</title>');
});

/** Reads all files, so that the browser caches them. */
const fill = `(async () => {
  const names = Array.from({ length: ${files} }, (_, index) => '/file/' + index);
  const work = async () => { for (let name = names.pop(); name !== undefined; name = names.pop()) await (await fetch(name)).arrayBuffer(); };
  await Promise.all([1, 2, 3, 4, 5, 6].map(work));
})()`;

async function navigationMs(context: BrowserContext, origin: string, target: string): Promise<number> {
  const page = await context.newPage();
  await page.goto(`${origin}/start`);
  await page.evaluate(fill);
  const startedAt = performance.now();
  await page.goto(origin + target);
  const ms = performance.now() - startedAt;
  await page.close();
  return Math.round(ms);
}

const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'));
const origin = `http://127.0.0.1:${await listening(server)}`;
const context = await chromium.launchPersistentContext(folder, {
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disk-cache-size=2000000000'],
});
try {
  const times = { '/without': [] as number[], '/with': [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    for (const target of ['/without', '/with'] as const)
      times[target].push(await navigationMs(context, origin, target));
  }
  console.log(
    `A navigation in Chromium with ${files} files of ${fileBytes / 1000} KB in its cache, ${rounds} rounds, in ms:\n`,
  );
  console.log('| | least | median | most |\n| --- | --- | --- | --- |');
  for (const [target, taken] of Object.entries(times)) {
    const sorted = taken.toSorted((a, b) => a - b);
    const [least, median, most] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((index) => sorted[index]);
    console.log(`| ${target.slice(1)} the field | ${least} | ${median} | ${most} |`);
  }
} finally {
  await context.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
}
