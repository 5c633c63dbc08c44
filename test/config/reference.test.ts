import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configShape } from '../../src/config/config.ts';
import { createReferencedFiles } from '../../src/config/referenced-files.ts';
import { configSchema, referenceExamples, referenceFiles, staleReferenceFiles } from '../../tools/config-reference.ts';
import { loadExamples } from './config.fixture.ts';

test('the reference and the JSON schema in docs/ are what the schema says; else run npm run docs', async () => {
  assert.deepEqual(await staleReferenceFiles(new URL('../../', import.meta.url)), []);
});

test('what is stale is named', async () => {
  assert.deepEqual(await staleReferenceFiles(new URL('./', import.meta.url)), [...(await referenceFiles()).keys()]);
});

test('the examples of the reference are one configuration, and it loads', async (t) => {
  assert.deepEqual([...referenceExamples.keys()], Object.keys(configShape(createReferencedFiles('.', {}))));
  const config = await loadExamples(t);
  assert.deepEqual([...config.backends.keys()], ['b1', 'b2', 'b2s', 'farm', 'b3', 'old', 'b4']);
});

test('every key has a description', async () => {
  const schema = await configSchema();
  const silent: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key !== 'properties') walk(value, path);
      else for (const [name, part] of Object.entries(value ?? {})) visit(part, `${path}.${name}`);
    }
  };
  const visit = (node: unknown, path: string) => {
    if (typeof node === 'object' && node !== null && !('description' in node)) silent.push(path);
    walk(node, path);
  };
  walk(schema, '');
  assert.deepEqual(silent, []);
});
