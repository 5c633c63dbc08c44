import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { formatDuration, formatSize, readDuration, readSize } from '../../src/schema/value-parsers.ts';

describe('durations', () => {
  const good: readonly (readonly [text: string, ms: number])[] = [
    ['500ms', 500],
    ['0s', 0],
    ['3s', 3000],
    ['1.5s', 1500],
    ['10 min', 600_000],
    ['12h', 43_200_000],
    ['1.5 h', 5_400_000],
    ['24d', 2_073_600_000],
  ];
  for (const [text, ms] of good) {
    test(`${text} is ${ms} ms`, () => assert.deepEqual(readDuration(text), { kind: 'ok', value: ms }));
  }
  for (const text of [
    '',
    '3',
    's',
    '-3s',
    '3 m',
    '3sec',
    '1h30min',
    '3 s s',
    '1e3s',
    '0x10s',
    '25d',
    '99999999999999s',
  ]) {
    test(`${JSON.stringify(text)} is refused with a remedy`, () => {
      const reading = readDuration(text);
      assert.equal(reading.kind, 'wrong');
      assert.match(reading.kind === 'wrong' ? reading.why : '', /write a number and a unit/);
    });
  }
  test('what is formatted is read back as the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_073_600_000 }), (ms) => {
        assert.deepEqual(readDuration(formatDuration(ms)), { kind: 'ok', value: ms });
      }),
    );
  });
  test('no text makes reading throw, or yields what a timer cannot wait', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d. ]{1,20}(ms|s|min|h|d)$/)), (text) => {
        const reading = readDuration(text);
        assert.ok(reading.kind === 'wrong' || (Number.isInteger(reading.value) && reading.value < 2 ** 31));
      }),
    );
  });
});

describe('sizes', () => {
  const good: readonly (readonly [text: string, bytes: number])[] = [
    ['512 B', 512],
    ['16 KiB', 16_384],
    ['16KiB', 16_384],
    ['1.5 MiB', 1_572_864],
  ];
  for (const [text, bytes] of good) {
    test(`${text} is ${bytes} bytes`, () => assert.deepEqual(readSize(text), { kind: 'ok', value: bytes }));
  }
  for (const text of ['', '16', '16 KB', '16 kib', '-1 B', '99999999999 GiB']) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(readSize(text).kind, 'wrong'));
  }
  test('what is formatted is read back as the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 39 }), (bytes) => {
        assert.deepEqual(readSize(formatSize(bytes)), { kind: 'ok', value: bytes });
      }),
    );
  });
});
