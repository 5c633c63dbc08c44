import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRecordKey, type RecordKey, shortSessionId } from '../../src/core/names.ts';
import { isSessionMeant, shortSessionIds } from '../../src/core/session.ts';

function keyOf(beginning: string): RecordKey {
  const text = beginning.padEnd(43, 'a');
  assert.ok(isRecordKey(text));
  return text;
}

function shortOf(text: string): string {
  assert.ok(isRecordKey(text));
  return shortSessionId(text);
}

describe('the short id of a session', () => {
  it('is the beginning of its keyed hash', () => {
    assert.equal(shortOf(`4fQ_x9Zk${'a'.repeat(35)}`), '4fQ_x9Zk');
  });

  it('never looks like an option of a command', () => {
    assert.equal(shortOf(`--4fQ_x9Zk${'a'.repeat(33)}`), '4fQ_x9Zk');
  });

  it('is longer in a list where two would be the same', () => {
    const keys = ['4fQ_x9ZkA', '4fQ_x9ZkAB', '-4fQ_x9ZkC', 'other'].map(keyOf);
    assert.deepEqual(
      [...shortSessionIds(keys).values()].toSorted(),
      ['4fQ_x9ZkAB', '4fQ_x9ZkAa', '4fQ_x9ZkC', 'otheraaa'].toSorted(),
    );
    assert.deepEqual(shortSessionIds([]), new Map());
  });

  it('means a session, as does more of the id, but not less', () => {
    const key = keyOf('-4fQ_x9ZkAB');
    for (const text of ['4fQ_x9Zk', '4fQ_x9ZkAB', key]) assert.ok(isSessionMeant(key, text), text);
    for (const text of ['4fQ_x9Z', '4fQ_x9ZkB', '', 'fQ_x9ZkABa']) assert.ok(!isSessionMeant(key, text), text);
  });
});
