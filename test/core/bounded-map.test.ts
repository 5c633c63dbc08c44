import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedMap } from '../../src/core/bounded-map.ts';

test('a bounded map drops the entry that was set longest ago', () => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1).set('b', 2);
  map.set('a', 3);
  map.set('c', 4);
  assert.deepEqual(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  );
});

test('reading an entry of a bounded map does not keep it', () => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1).set('b', 2);
  assert.equal(map.get('a'), 1);
  map.set('c', 3);
  assert.deepEqual([...map.keys()], ['b', 'c']);
});
