import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { driverNames } from '../../src/webmail/registry.ts';
import { abilitiesTable, withTable } from '../../tools/webmail-abilities.ts';

const page = readFileSync(new URL('../../docs/webmails.md', import.meta.url), 'utf8');

test('the table of abilities in docs/webmails.md is what the drivers can; else run npm run docs', async () => {
  assert.equal(withTable(page, await abilitiesTable()), page);
});

test('every driver that a configuration may name has a row', async () => {
  const table = await abilitiesTable();
  for (const name of driverNames) assert.ok(table.includes(`| \`${name}\``), name);
});

test('a table that is stale, and a page without its place, are noticed', () => {
  assert.notEqual(withTable(page, '| old |\n'), page);
  assert.throws(() => withTable('# Webmails\n', ''), /lacks the place/);
});
