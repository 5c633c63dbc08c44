import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { apiRoutes } from '../../src/admin/api.ts';

const methods = ['get', 'put', 'post', 'delete', 'patch'];

test('docs/openapi.yaml describes exactly the operations that there are', () => {
  const document = parse(readFileSync(new URL('../../docs/openapi.yaml', import.meta.url), 'utf8'));
  const described: string[] = [];
  for (const [path, item] of Object.entries<Record<string, { operationId: string }>>(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (methods.includes(method)) described.push(`${operation.operationId}: ${method.toUpperCase()} ${path}`);
    }
  }
  // Only asked for what it is, not called.
  const routes = apiRoutes(new Proxy(Object.create(null), { get: () => undefined }));
  assert.deepEqual(described.sort(), routes.map(({ name, method, path }) => `${name}: ${method} ${path}`).sort());
});

test('every change asks for a reason, and every reference leads somewhere', () => {
  const text = readFileSync(new URL('../../docs/openapi.yaml', import.meta.url), 'utf8');
  const document = parse(text);
  for (const [, reference = ''] of text.matchAll(/\$ref: "#\/([^"]+)"/g)) {
    const found = reference.split('/').reduce((part, key) => part?.[key], document);
    assert.ok(found !== undefined, reference);
  }
  for (const [path, item] of Object.entries<Record<string, { requestBody?: unknown }>>(document.paths)) {
    for (const method of ['put', 'post', 'delete']) {
      const operation = item[method];
      if (operation !== undefined) assert.ok(operation.requestBody !== undefined, `${method} ${path}`);
    }
  }
});
