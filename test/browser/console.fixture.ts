import type { BrowserContext } from 'playwright-core';

/** What Chromium says of an answer of 4xx or 5xx that a page shows, and of our own wish to clear its cache. */
const expectedWords = /^(?:Failed to load resource|Clear-Site-Data header on .*: Cleared data types: "cache")/;

/** Collects every word of the consoles of a browser that is not expected: errors, and what a policy forbade. */
export function complaintsOf(context: BrowserContext): readonly string[] {
  const complaints: string[] = [];
  context.on('console', (message) => {
    if (!expectedWords.test(message.text())) complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(error.error().message));
  return complaints;
}
