import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRecordKey } from '../../src/core/names.ts';
import { shortSessionId } from '../../src/core/session.ts';

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
});
