import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { referenceFiles } from '../../tools/config-reference.ts';

const src = new URL('../../src/', import.meta.url);
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: withoutComments(readFileSync(new URL(name, src), 'utf8')) }));
const config = files.filter(({ name }) => name.startsWith('config/'));
const elsewhere = files
  .filter(({ name }) => !name.startsWith('config/'))
  .map(({ text }) => text)
  .join('\n');

test('each property of a configuration is read outside of src/config', () => {
  const declared = config.find(({ name }) => name === 'config/config.ts')?.text ?? '';
  const properties = new Set([...declared.matchAll(/\breadonly (\w+)\??:/g)].map(([, name = '']) => name));
  assert.ok(properties.has('headerFields') && properties.has('keepAliveMs'), 'the declarations are found');
  // `written` and `file` serve the reading itself.
  const own = new Set(['written']);
  const unread = [...properties].filter((name) => !own.has(name) && !isRead(name, elsewhere));
  assert.deepEqual(unread, []);
});

test('each key of the schema is declared and then read, by its own name', async () => {
  const keys = new Set<string>();
  collect(JSON.parse((await referenceFiles()).get('docs/postern.schema.json') ?? '{}'), keys);
  assert.ok(keys.has('header_fields') && keys.has('keep_alive'), 'the schema is walked');
  const all = files.map(({ text }) => text).join('\n');
  const unread = [...keys].filter((key) => [...all.matchAll(new RegExp(`\\b${key}\\b`, 'g'))].length < 2);
  assert.deepEqual(unread, []);
});

/** Whether something takes the property: behind a dot, or out of an object. */
function isRead(name: string, text: string): boolean {
  return new RegExp(`\\.${name}\\b|[{,]\\s*(?:\\.\\.\\.)?${name}\\s*[,:}=]`).test(text);
}

/** The names of all keys of maps whose keys the schema names. */
function collect(schema: unknown, keys: Set<string>): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'properties' && typeof value === 'object' && value !== null) {
      for (const key of Object.keys(value)) keys.add(key);
    }
    collect(value, keys);
  }
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
}
