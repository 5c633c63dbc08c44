import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { basicPathOf, createBasicPaths } from '../../src/proxy/basic-requests.ts';
import { parseBasic } from '../../src/proxy/basic-upstream-request.ts';
import { backendA } from '../login/login.fixture.ts';

const paths = [{ prefix: '/dav' }, { prefix: '/Microsoft-Server-ActiveSync' }];

function read(bytes: Buffer): string | undefined {
  const parsed = parseBasic(`bAsIc  ${bytes.toString('base64')}`);
  return parsed === undefined ? undefined : `${parsed.user}|${parsed.password.reveal()}`;
}

test('Basic credentials are read as UTF-8, and as Latin-1 where they are none', () => {
  assert.equal(read(Buffer.from('anna:Paß "wört" \\1 €')), 'anna|Paß "wört" \\1 €');
  assert.equal(read(Buffer.from('anna:Paß', 'latin1')), 'anna|Paß');
  assert.equal(read(Buffer.from(':')), '|');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (user, password) => {
      const name = user.replaceAll(':', '');
      if (`${name}${password}`.includes('\ufffd')) return;
      assert.equal(read(Buffer.from(`${name}:${password}`)), `${name}|${password}`);
    }),
  );
});

test('a client path covers itself and what is below it, and no way out of it', () => {
  const basicPaths = createBasicPaths([{ ...backendA, basicPaths: paths }]);
  assert.ok(basicPaths !== undefined);
  const covered = ['/dav', '/dav/', '/dav?x', '/dav/a/../', '/dav//x', '/dav/%2Ex/y', '/dav/...', '/dav/a%2Fb'];
  assert.deepEqual(
    covered.filter((target) => !basicPaths.covers(target)),
    ['/dav/a/../'],
  );
  const others = [
    '/',
    '/da',
    '/davx',
    '/DAV',
    '//dav',
    '/dav/..',
    '/dav/%2e%2E/x',
    '/dav/.%2e\\x',
    '/dav/x/./y',
    '/dav/%5c..%5c',
  ];
  for (const target of others) assert.ok(!basicPaths.covers(target), target);
});

test('of nested paths the longest serves, and only on the backend that has it', () => {
  const sync = { prefix: '/dav/sync', elsewhere: { a: 'http://127.0.0.1:81' } };
  const backend = { ...backendA, basicPaths: [...paths, sync] };
  assert.equal(basicPathOf(backend, '/dav/sync/x?y'), sync);
  assert.equal(basicPathOf(backend, '/dav/synchronous')?.prefix, '/dav');
  assert.equal(basicPathOf({ ...backendA, basicPaths: [] }, '/dav/sync'), undefined);
  assert.equal(createBasicPaths([backendA]), undefined);
});
