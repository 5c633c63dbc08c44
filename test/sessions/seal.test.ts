import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { areTimesSealed, openSealed, seal, type SealedFor, sealTimes } from '../../src/sessions/record-format.ts';
import { alice, backendNamed, bob, recordKeyOf, sampleKey } from './samples.fixture.ts';

const sealKey = sampleKey.sealKeyOf('S'.repeat(43), 'credentials');
const belongsTo: SealedFor = {
  key: recordKeyOf('one'),
  user: alice,
  backend: backendNamed('a'),
  purpose: 'credentials',
  createdAtMs: 1_000,
  absoluteEndMs: 2_000,
};

suite('sealed text', () => {
  test('opens to exactly what was sealed, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        assert.equal(openSealed(sealKey, seal(sealKey, text, belongsTo), belongsTo), text);
      }),
    );
  });

  test('is never the same twice, and shows nothing of the text', () => {
    const sealed = [seal(sealKey, 'alice-pw', belongsTo), seal(sealKey, 'alice-pw', belongsTo)];
    assert.notEqual(sealed[0], sealed[1]);
    assert.match(sealed[0] ?? '', /^1\.[\w-]+$/);
    assert.ok(!Buffer.from((sealed[0] ?? '').slice(2), 'base64url').includes('alice-pw'));
  });

  for (const [what, differing] of [
    ['session', { key: recordKeyOf('two') }],
    ['user', { user: bob }],
    ['backend', { backend: backendNamed('b') }],
    ['purpose', { purpose: 'jar' }],
  ] as const) {
    test(`does not open for another ${what}`, () => {
      const sealed = seal(sealKey, 'alice-pw', belongsTo);
      assert.equal(openSealed(sealKey, sealed, { ...belongsTo, ...differing }), undefined);
    });
  }

  test('of the times vouches for this session, its beginning and its end alone', () => {
    const sealed = sealTimes(sealKey, belongsTo);
    assert.ok(areTimesSealed(sealKey, sealed, belongsTo));
    for (const differing of [{ createdAtMs: 1_001 }, { absoluteEndMs: 2_001 }, { key: recordKeyOf('two') }]) {
      assert.ok(!areTimesSealed(sealKey, sealed, { ...belongsTo, ...differing }), JSON.stringify(differing));
    }
    assert.ok(!areTimesSealed(sealKey, seal(sealKey, '', belongsTo), belongsTo));
  });

  test('does not open with the secret of another cookie', () => {
    const sealed = seal(sealKey, 'alice-pw', belongsTo);
    assert.equal(openSealed(sampleKey.sealKeyOf('T'.repeat(43), 'credentials'), sealed, belongsTo), undefined);
  });

  test('does not open when any bit was turned', () => {
    const bytes = Buffer.from(seal(sealKey, 'alice-pw', belongsTo).slice(2), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const turned = Buffer.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(openSealed(sealKey, `1.${turned.toString('base64url')}`, belongsTo), undefined);
    }
  });

  test('never throws on what is no sealed text', () => {
    for (const text of ['', '1', '1.', '2.abc', '1.AAAA', `1.${'A'.repeat(37)}`]) {
      assert.equal(openSealed(sealKey, text, belongsTo), undefined);
    }
    fc.assert(fc.property(fc.string(), (text) => assert.equal(openSealed(sealKey, `1.${text}`, belongsTo), undefined)));
  });
});
