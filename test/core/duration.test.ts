import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../../src/core/duration.ts';

const cases: readonly (readonly [text: string, ms: number | undefined])[] = [
  ['500ms', 500],
  ['3s', 3000],
  [' 10 min ', 600_000],
  ['1.5 h', 5_400_000],
  ['24d', 24 * 86_400_000],
  ['25d', undefined],
  ['3', undefined],
  ['3 weeks', undefined],
  ['-3s', undefined],
  ['s', undefined],
  ['', undefined],
  ['1e3s', undefined],
];
for (const [text, ms] of cases) {
  test(`${JSON.stringify(text)} is ${ms ?? 'no duration'}`, () => assert.equal(parseDuration(text), ms));
}
