import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { SessionRecord } from '../../src/core/session.ts';
import { eventually } from '../eventually.fixture.ts';
import { type EmbeddedNode, startEmbeddedNode } from './running-node.fixture.ts';
import { alice } from './samples.fixture.ts';

const hourMs = 3_600_000;

function unsigned(record: SessionRecord): SessionRecord {
  const { sealedTimes, ...others } = record;
  assert.notEqual(sealedTimes, undefined);
  return others;
}

suite('sessions that 0.1.0 opened, for whose times nobody vouches', () => {
  let embedded: EmbeddedNode;
  let cookie: string;
  beforeEach(async () => {
    embedded = await startEmbeddedNode();
    ({ cookie } = await embedded.node.signIn(alice));
  });
  afterEach(() => embedded[Symbol.asyncDispose]());

  /** Changes the stored record, as 0.1.0 would have written it, or an attacker who can write to the store. */
  async function rewrite(change: (record: SessionRecord) => SessionRecord): Promise<void> {
    const { key, record } = await embedded.node.session(cookie);
    assert.equal(await embedded.store.rewrite(key, change(record)), 'written');
  }

  test('do not count, as a rule', async () => {
    await rewrite(unsigned);
    await using other = await embedded.start();
    assert.equal((await other.find(cookie)).kind, 'none');
  });

  test('count until the time that the operator set, and no longer, whatever end they claim', async () => {
    await rewrite((record) => unsigned({ ...record, absoluteEndMs: record.absoluteEndMs + 1000 * hourMs }));
    const acceptUnsignedUntilMs = embedded.clock.nowMs() + hourMs / 4;
    await using other = await embedded.start({ acceptUnsignedUntilMs });
    const { record, password } = await other.session(cookie);
    assert.equal(record.absoluteEndMs, acceptUnsignedUntilMs);
    assert.notEqual(password, undefined);
    embedded.clock.advance(hourMs / 4);
    assert.notEqual((await other.find(cookie)).kind, 'found');
    await using later = await embedded.start({ acceptUnsignedUntilMs });
    assert.notEqual((await later.find(cookie)).kind, 'found');
  });

  test('are told from those whose times were changed, which never count', async () => {
    await rewrite((record) => ({ ...record, absoluteEndMs: record.absoluteEndMs + hourMs }));
    await using other = await embedded.start({ acceptUnsignedUntilMs: embedded.clock.nowMs() + hourMs });
    assert.equal((await other.find(cookie)).kind, 'none');
  });

  test('are no others: a node that has seen who vouches for the times does not take the session without', async () => {
    await using other = await embedded.start({ acceptUnsignedUntilMs: embedded.clock.nowMs() + hourMs });
    assert.equal((await other.find(cookie)).kind, 'found');
    await rewrite(unsigned);
    embedded.clock.advance(60_000);
    await eventually(async () => (await other.find(cookie)).kind === 'none');
  });
});
