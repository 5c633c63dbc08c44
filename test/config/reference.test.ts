import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOutside } from '../../src/config/referenced-files.ts';
import { configShape } from '../../src/config/schema.ts';
import { configSchema, referenceExamples, referenceFiles, staleReferenceFiles } from '../../tools/config-reference.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { load, someCertificate } from './config.fixture.ts';

test('the reference and the JSON schema in docs/ are what the schema says; else run npm run docs', async () => {
  assert.deepEqual(await staleReferenceFiles(new URL('../../', import.meta.url)), []);
});

test('what is stale is named', async () => {
  assert.deepEqual(await staleReferenceFiles(new URL('./', import.meta.url)), [...(await referenceFiles()).keys()]);
});

test('the examples of the reference are one configuration, and it loads', async (t) => {
  assert.deepEqual([...referenceExamples.keys()], Object.keys(configShape(createOutside('.', {}))));
  const { cert, key } = makeCertificate('DNS:webmail.example.org');
  const config = await load(t, {
    'postern.yaml': [...referenceExamples.values()].join('\n'),
    'ca.crt': someCertificate,
    'fullchain.pem': cert,
    'privkey.pem': key,
    'logo.svg': '<svg/>',
    'logo-dark.svg': '<svg/>',
    'redis.password': 'secret\n',
    'backends.d/more.yaml': 'backends: { b4: mx4.internal }\n',
  });
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
