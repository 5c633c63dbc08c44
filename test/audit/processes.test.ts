import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { placedTexts } from '../../src/audit/file.ts';
import { verify } from '../../src/audit/verify.ts';
import { eventually } from '../eventually.fixture.ts';
import { spawn } from '../programs.ts';
import { auditIn, key, newFile } from './audit.fixture.ts';

const program = fileURLToPath(new URL('writer.fixture.ts', import.meta.url));

/** A process that writes into the file; `limitKiB`: no file of its grows beyond that. */
function writer(file: string, count?: number, limitKiB?: number) {
  const args = [program, file, key.secret.toString('hex'), ...(count === undefined ? [] : [String(count)])];
  // The signal of the limit is ignored, so that the write fails instead.
  const limited = ['-c', `trap '' XFSZ; ulimit -f ${limitKiB}; exec "$0" "$@"`, process.execPath, ...args];
  const child = limitKiB === undefined ? spawn(process.execPath, args) : spawn('bash', limited);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  return {
    said: () => said,
    promised: () => said.split('written ').length - 1,
    kill: () => child.kill('SIGKILL'),
    ended: once(child, 'close'),
  };
}

const verified = (file: string) =>
  verify(placedTexts([file]), {
    keyOf: (id) => (id === key.id ? key.secret : undefined),
    anchors: [],
    belongsHere: () => true,
    olderRemoved: false,
  });

describe('an audit that several processes write', () => {
  it('holds all that they were promised, though one was killed in the midst of it', async () => {
    const file = newFile();
    const steady = [writer(file, 60), writer(file, 60)];
    const killed = writer(file);
    await eventually(() => killed.promised() >= 20);
    // Also while it is written there is nothing to find.
    for (let i = 0; i < 5; i += 1) assert.deepEqual((await verified(file)).findings, []);
    killed.kill();
    await Promise.all([...steady, killed].map(({ ended }) => ended));
    const { findings, lines, chains } = await verified(file);
    assert.deepEqual(findings, []);
    assert.equal(chains, 3);
    assert.ok(lines >= 120 + killed.promised());
  });
});

describe('a disk that fills up in the midst of a line', () => {
  it('refuses the event; the torn line is told from tampering, and the audit goes on when there is room again', async () => {
    const file = newFile();
    const full = writer(file, 1000, 16);
    await full.ended;
    assert.match(
      full.said(),
      /refused: PosternError: the audit .* cannot be written: (?:EFBIG|the disk accepted only part)/,
    );
    assert.equal(statSync(file).size, 16 * 1024);
    assert.ok(!readFileSync(file, 'utf8').endsWith('\n'));
    await using later = auditIn(file);
    await later.record({ event: 'role-used', actor: 'eve' });
    const { findings, notes, lines } = await verified(file);
    assert.deepEqual(findings, []);
    assert.equal(lines, full.promised() + 2);
    assert.match(
      notes.join('\n'),
      new RegExp(`audit\\.jsonl:${full.promised() + 1} was cut off by a crash or a full disk`),
    );
  });
});
