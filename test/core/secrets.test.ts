import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { format, inspect } from 'node:util';
import * as fc from 'fast-check';
import { Secret } from '../../src/core/secrets.ts';

const printers: readonly (readonly [name: string, print: (secret: Secret) => string])[] = [
  ['String()', (secret) => String(secret)],
  ['a template', (secret) => `<${secret.toString()}>`],
  ['JSON', (secret) => JSON.stringify({ secret })],
  ['inspect', (secret) => inspect(secret, { showHidden: true, depth: 9 })],
  ['inspect of what holds it', (secret) => inspect({ deep: [{ secret }] }, { showHidden: true, depth: 9 })],
  ['format', (secret) => format('%s %j %o %O', secret, secret, secret, secret)],
  ['an error', (secret) => inspect(new Error('failed', { cause: { secret } }))],
  ['its keys', (secret) => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret).map(String)])],
  ['a copy', (secret) => JSON.stringify(Object.assign({}, secret))],
];

describe('a secret', () => {
  for (const [name, print] of printers) {
    test(`is not shown by ${name}`, () => {
      fc.assert(
        fc.property(fc.string({ minLength: 8, unit: 'grapheme' }), (value) => {
          // A value that is part of the placeholder itself would be found in any case.
          fc.pre(!'[secret] '.includes(value.trim()));
          assert.ok(!print(new Secret(value)).includes(value));
        }),
      );
    });
  }

  test('is opened with reveal, byte for byte', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (value) => new Secret(value).reveal() === value));
  });
});
