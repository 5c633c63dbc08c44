import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import type { BrowserContext, Page } from 'playwright-core';

/** Chromium's messages about a shown answer of 4xx or 5xx, and about our own Clear-Site-Data. */
const expectedWords = /^(?:Failed to load resource|Clear-Site-Data header on .*: Cleared data types: "cache")/;

/** Collects the unexpected console messages of a browser: errors, and violations of a policy. */
export function complaintsOf(context: BrowserContext): readonly string[] {
  const complaints: string[] = [];
  context.on('console', (message) => {
    if (!expectedWords.test(message.text())) complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(error.error().message));
  return complaints;
}

/** Fails on anything by which a page keeps somebody out. */
export async function assertAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
    [],
  );
}

/** Holds a page against a narrow screen in the dark. */
export async function assertNarrow(page: Page): Promise<void> {
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 360, height: 740 });
  await assertAccessible(page);
  assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0);
}

const images = new URL('../../docs/images/', import.meta.url);

/** Takes a picture for the documents, when they are made anew. */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env['POSTERN_WRITE_IMAGES'] === '1')
    await page.screenshot({ path: fileURLToPath(new URL(`${name}.png`, images)) });
}
