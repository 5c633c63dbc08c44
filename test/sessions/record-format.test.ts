import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRecord, recordText } from '../../src/sessions/record-format.ts';
import { alice, recordKeyOf, sampleRecord } from './samples.fixture.ts';

test('an opened mailbox is stored under the name that nodes of an earlier version read', () => {
  const impersonation = {
    actor: alice,
    staffSession: recordKeyOf('staff'),
    reason: 'a folder is gone',
    ticket: '4711',
  };
  const before = sampleRecord();
  const record = { ...before, impersonation };
  const text = recordText(record);
  const stored: unknown = JSON.parse(text);
  assert.deepEqual(stored, { ...before, assist: impersonation });
  assert.deepEqual(parseRecord(text), record);
});

test('the record of a user has no impersonation', () => {
  const record = sampleRecord();
  const text = recordText(record);
  assert.doesNotMatch(text, /assist|impersonation/);
  assert.deepEqual(parseRecord(text), record);
});
