import type { BrowserContext } from 'playwright-core';

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
