import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../src/schema/did-you-mean.ts';

const keys = ['listen', 'public_url', 'trusted_proxies', 'sessions', 'keys_file', 'webmail', 'imap'];
const slips: readonly (readonly [written: string, meant: string | undefined])[] = [
  ['lisen', 'listen'],
  ['webmial', 'webmail'],
  ['publicUrl', 'public_url'],
  ['public-urls', 'public_url'],
  ['trusted_proxy', 'trusted_proxies'],
  ['session', 'sessions'],
  ['key_file', 'keys_file'],
  ['impa', 'imap'],
  ['x', undefined],
  ['backends', undefined],
  ['', undefined],
];
for (const [written, meant] of slips) {
  test(`${JSON.stringify(written)} means ${meant ?? 'nothing known'}`, () =>
    assert.equal(nearest(written, keys), meant));
}
