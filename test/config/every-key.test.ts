import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Secret } from '../../src/core/secrets.ts';
import { referenceFiles } from '../../tools/config-reference.ts';
import { loadExamples } from './config.fixture.ts';

const src = new URL('../../src/', import.meta.url);
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: withoutComments(readFileSync(new URL(name, src), 'utf8')) }));
const config = files.filter(({ name }) => name.startsWith('config/'));
const elsewhere = files
  .filter(({ name }) => !name.startsWith('config/'))
  .map(({ text }) => text)
  .join('\n');

test('each property of a configuration is read outside of src/config', async (t) => {
  const properties = new Set<string>();
  // `written` has the keys of the file, which only the reading of the file uses.
  const { written: _, ...loaded } = await loadExamples(t);
  collectProperties(loaded, properties);
  // Properties that may be left out are added by name.
  for (const { text } of config) {
    for (const [, names = ''] of text.matchAll(/\bdefined\(\{([^}]*)\}/g)) {
      for (const [name] of names.matchAll(/\w+/g)) properties.add(name);
    }
  }
  assert.ok(properties.has('headerFields') && properties.has('sentinelPassword'), 'the properties are found');
  const unread = [...properties].filter((name) => /[A-Z]/.test(name) && !isRead(name, elsewhere));
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

/** Whether some code reads the property: after a dot, or out of an object. */
function isRead(name: string, text: string): boolean {
  return new RegExp(`\\.${name}\\b|[{,]\\s*(?:\\.\\.\\.)?${name}\\s*[,:}=]`).test(text);
}

/** The names of all properties of a value, but not those of maps by name, of secrets and of settings of drivers. */
function collectProperties(value: unknown, properties: Set<string>): void {
  if (typeof value !== 'object' || value === null || value instanceof Secret || ArrayBuffer.isView(value)) return;
  if (Array.isArray(value) || value instanceof Map) {
    for (const each of value.values()) collectProperties(each, properties);
    return;
  }
  for (const [name, each] of Object.entries(value)) {
    properties.add(name);
    if (name !== 'driverSettings') collectProperties(each, properties);
  }
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
