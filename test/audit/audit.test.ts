import assert from 'node:assert/strict';
import { appendFileSync, chownSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { isGenuine, parseLine } from '../../src/audit/line.ts';
import type { AuditEvent } from '../../src/core/audit.ts';
import { PosternError } from '../../src/core/error.ts';
import { auditIn, key, linesOf, newFile, start } from './audit.fixture.ts';

const opened: AuditEvent = {
  event: 'impersonation-start',
  actor: 'sam@example.test',
  subject: 'alice@example.test',
  address: '192.0.2.7',
  facts: { reason: 'she cannot find her folders', minutes: 15, told: true },
};

describe('the audit', () => {
  it('has written a line when it says so, for its owner alone to read', async () => {
    await using audit = auditIn(newFile());
    await audit.record(opened);
    assert.equal(statSync(audit.file).mode & 0o777, 0o600);
    const [line] = linesOf(audit.file);
    assert.ok(line);
    const { chain } = line.said;
    assert.match(chain, /^[0-9a-f]{16}$/);
    assert.deepEqual(line.said, { ...opened, timeMs: start, node: 'node-1', chain, sequence: 1 });
    assert.equal(line.previous, undefined);
    assert.equal(line.key, key.id);
    assert.ok(isGenuine(line, key));
  });

  it('chains what comes at once in the order in which it came', async () => {
    await using audit = auditIn(newFile());
    const actors = Array.from({ length: 50 }, (_, index) => `staff-${index}`);
    await Promise.all(actors.map((actor) => audit.record({ event: 'role-used', actor })));
    const lines = linesOf(audit.file);
    assert.deepEqual(
      lines.map(({ said }) => said.actor),
      actors,
    );
    for (const [index, line] of lines.entries()) {
      assert.equal(line.said.sequence, index + 1);
      assert.equal(line.previous, lines[index - 1]?.mac);
    }
  });

  it('lets no value end a line, begin another, or hide in a terminal', async () => {
    await using audit = auditIn(newFile());
    const forged = `sam"}\n{"event":"x"}\r\u2028\u0085\u001b[2J\u202e\u{e0041}`;
    await audit.record({ event: 'role-used', actor: forged, subject: forged, facts: { [forged]: forged } });
    const text = readFileSync(audit.file, 'utf8');
    assert.equal(text.split('\n').length, 2);
    assert.match(text, /^[\x20-\x7e]+\n$/);
    const [line] = linesOf(audit.file);
    assert.equal(line?.said.actor, forged);
    assert.deepEqual(line?.said.facts, { [forged]: forged });
  });

  it('writes any text as one genuine line that reads as it was meant', async () => {
    await using audit = auditIn(newFile());
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (text) => {
        await audit.record({ event: 'role-used', actor: text });
        const line = linesOf(audit.file).at(-1);
        assert.equal(line?.said.actor, text);
        assert.ok(line !== undefined && isGenuine(line, key));
      }),
      { numRuns: 100 },
    );
  });

  it('cuts what is too long, so that a line stays a line', async () => {
    await using audit = auditIn(newFile());
    await audit.record({ event: 'role-used', actor: 'a'.repeat(100_000) });
    assert.equal(linesOf(audit.file)[0]?.said.actor.length, 1000);
  });

  it('knows whether it can be written: not after a line that could not, nor where no file can be opened', async () => {
    const file = newFile();
    await using audit = auditIn(file);
    assert.equal(await audit.isWritable(), true);
    mkdirSync(`${file}.folder`);
    await using nowhere = auditIn(`${file}.folder`);
    assert.equal(await nowhere.isWritable(), false);
    await using full = auditIn('/dev/full');
    await assert.rejects(full.record(opened));
    assert.equal(await full.isWritable(), false);
  });

  it('refuses at once where the disk is full, and raises an alarm', async () => {
    await using audit = auditIn('/dev/full');
    const before = performance.now();
    await assert.rejects(audit.record(opened), (error) => {
      assert.ok(error instanceof PosternError);
      assert.equal(error.code, 'ERR_AUDIT_UNAVAILABLE');
      assert.equal(error.source, 'audit');
      assert.match(error.message, /\/dev\/full cannot be written: ENOSPC/);
      return true;
    });
    assert.ok(performance.now() - before < 1000);
    assert.deepEqual(audit.alarms, ['ERR_AUDIT_UNAVAILABLE']);
  });

  it('belongs to the owner of its folder, also where a command of root made it', async () => {
    const folder = dirname(newFile());
    mkdirSync(folder);
    if (process.getuid?.() === 0) chownSync(folder, 65_534, 65_534);
    await using audit = auditIn(join(folder, 'audit.jsonl'));
    await audit.record(opened);
    assert.equal(statSync(audit.file).uid, statSync(folder).uid);
  });

  it('goes on with its chain under another key', async () => {
    let current = key;
    await using audit = auditIn(newFile(), { key: () => current });
    await audit.record(opened);
    current = { id: 'fedcba98', secret: Buffer.alloc(32, 7) };
    await audit.record(opened);
    const [first, second] = linesOf(audit.file);
    assert.equal(second?.previous, first?.mac);
    assert.ok(second !== undefined && isGenuine(second, current) && !isGenuine(second, key));
  });

  it('says at the start that it cannot be written, and nothing where it can', async () => {
    await using good = auditIn(newFile());
    await good.open();
    assert.deepEqual(good.alarms, []);
    assert.equal(statSync(good.file).size, 0);
    await using bad = auditIn(join(good.file, 'audit.jsonl'));
    await bad.open();
    assert.deepEqual(bad.alarms, ['ERR_AUDIT_UNAVAILABLE']);
    await assert.rejects(bad.record(opened), { code: 'ERR_AUDIT_UNAVAILABLE', message: /ENOTDIR|EEXIST/ });
  });

  it('goes on in a file of the same name when the old one was renamed', async () => {
    await using audit = auditIn(newFile());
    await audit.record(opened);
    renameSync(audit.file, `${audit.file}.1`);
    await audit.record(opened);
    const [older] = linesOf(`${audit.file}.1`);
    const [newer] = linesOf(audit.file);
    assert.equal(newer?.said.sequence, 2);
    assert.equal(newer?.previous, older?.mac);
  });

  it('ends the torn line of a crash, and is not glued to it', async () => {
    const file = newFile();
    await using before = auditIn(file);
    await before.record(opened);
    appendFileSync(file, '{"time":"2026-01-01T00:00:00.000Z","event":"imperso');
    await using after = auditIn(file);
    await after.open();
    await after.record(opened);
    await after.record(opened);
    const warning = 'audit-torn';
    assert.deepEqual(after.alarms, [warning, warning]);
    const texts = readFileSync(file, 'utf8').trimEnd().split('\n');
    assert.deepEqual(
      texts.map((text) => parseLine(text)?.said.sequence),
      [1, undefined, 1, 2],
    );
  });

  it('lets several processes write into one file, each its own chain', async () => {
    const file = newFile();
    await using one = auditIn(file);
    await using two = auditIn(file);
    const both = [one, two].flatMap((audit, index) =>
      Array.from({ length: 20 }, () => audit.record({ event: 'role-used', actor: `process ${index}` })),
    );
    await Promise.all(both);
    const lines = linesOf(file);
    assert.equal(lines.length, 40);
    for (const chain of new Set(lines.map(({ said }) => said.chain))) {
      const own = lines.filter(({ said }) => said.chain === chain);
      assert.deepEqual(
        own.map(({ said }) => said.sequence),
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    }
  });
});

describe('the list of the audit', () => {
  it('shows what fits, newest first, over rotated files, and no more than asked for', async () => {
    await using audit = auditIn(newFile());
    const record = (actor: string, subject: string) => audit.record({ event: 'penalty-lifted', actor, subject });
    await record('sam', 'alice');
    await record('eve', 'alice');
    renameSync(audit.file, `${audit.file}.1`);
    audit.passMs(60_000);
    await record('sam', 'bob');
    await record('sam', 'alice');
    const subjects = async (...asked: Parameters<typeof audit.list>) =>
      (await audit.list(...asked)).map(({ actor, subject }) => `${actor} ${subject}`);
    assert.deepEqual(await subjects({}, 3), ['sam alice', 'sam bob', 'eve alice']);
    assert.deepEqual(await subjects({ actor: 'sam', subject: 'alice' }, 9), ['sam alice', 'sam alice']);
    assert.deepEqual(await subjects({ sinceMs: start + 60_000 }, 9), ['sam alice', 'sam bob']);
    assert.deepEqual(await subjects({ untilMs: start + 60_000 }, 9), ['eve alice', 'sam alice']);
    assert.deepEqual(await subjects({ event: 'failover' }, 9), []);
    assert.deepEqual(await subjects({ node: 'node-2' }, 9), []);
    assert.deepEqual(await subjects({ node: 'node-1' }, 0), []);
  });

  it('is empty before there is a file, and passes over what is no line', async () => {
    await using audit = auditIn(newFile());
    assert.deepEqual(await audit.list({}, 9), []);
    await audit.record(opened);
    appendFileSync(audit.file, `not a line\n${'x'.repeat(3_000_000)}\n`);
    await audit.record({ ...opened, actor: 'eve' });
    assert.deepEqual(
      (await audit.list({}, 9)).map(({ actor }) => actor),
      ['eve', 'sam@example.test'],
    );
  });

  it('finds every line in a file of many chunks', async () => {
    await using audit = auditIn(newFile());
    await Promise.all(
      Array.from({ length: 900 }, (_, index) =>
        audit.record({ event: 'role-used', actor: `${'ä'.repeat(index % 300)}${index}` }),
      ),
    );
    const listed = await audit.list({}, 10_000);
    assert.deepEqual(
      listed.map(({ sequence }) => sequence),
      Array.from({ length: 900 }, (_, index) => 900 - index),
    );
  });
});
