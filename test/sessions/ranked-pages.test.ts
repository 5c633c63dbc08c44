import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRecordKey, type RecordKey } from '../../src/core/names.ts';
import { rankedPages } from '../../src/sessions/ranked-pages.ts';

const pageSize = 10;

function recordKey(at: number): RecordKey {
  const key = String(at).padStart(43, 'k');
  assert.ok(isRecordKey(key));
  return key;
}

/** A sorted set of this many sessions, and how often it was read. */
function setOf(size: number) {
  const members = Array.from({ length: size }, (_, at) => ({ value: recordKey(at), score: at }));
  let reads = 0;
  return {
    reads: () => reads,
    read: async (from: number, to: number) => {
      reads += 1;
      return members.slice(Math.max(0, size + from), Math.max(0, size + to + 1));
    },
  };
}

describe('pages of a sorted set of sessions', () => {
  for (const size of [0, 7, 250]) {
    it(`need few reads from a place far behind the end of ${size} sessions`, async () => {
      const { read, reads } = setOf(size);
      const found: number[] = [];
      for await (const page of rankedPages(read, pageSize, { at: 100, rank: 999_999_999, key: recordKey(100) }))
        found.push(...page.map(({ at }) => at));
      const behind = Array.from({ length: Math.min(size, 100) }, (_, index) => Math.min(size, 100) - 1 - index);
      assert.deepEqual(found, behind);
      assert.ok(reads() < 30 + 2 * (size / pageSize), `${reads()} reads`);
    });
  }

  it('go on behind a place whose rank is too low or too high, each session once', async () => {
    for (const rank of [0, 90, 149, 150, 160, 200, 249]) {
      const { read } = setOf(250);
      const found: number[] = [];
      for await (const page of rankedPages(read, pageSize, { at: 100, rank, key: recordKey(100) }))
        found.push(...page.map(({ at }) => at));
      assert.equal(found.length, 100);
      assert.deepEqual([found[0], found.at(-1), new Set(found).size], [99, 0, 100]);
    }
  });
});
