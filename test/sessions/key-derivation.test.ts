import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import { createServerKey } from '../../src/sessions/key-derivation.ts';
import {
  addKey,
  makeKeysFile,
  promoteKey,
  readAuditKeys,
  readKeysFile,
  retireKey,
  ringOf,
} from '../../src/sessions/keys-file.ts';
import { alice, bob } from './samples.fixture.ts';

function clockAt(nowMs: number): Clock {
  return { nowMs: () => nowMs };
}

suite('the keys file', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-keys-'));
    file = join(folder, 'keys');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function states(): Promise<readonly string[]> {
    return ((await readKeysFile(file)) ?? []).map((entry) => entry.state);
  }

  test('a missing file is nothing, which is not a failure', async () => {
    assert.equal(await readKeysFile(file), undefined);
  });

  test('a fresh file holds one promoted key that only its owner can read', async () => {
    const [made] = await makeKeysFile(file);
    assert.deepEqual(await readKeysFile(file), [made]);
    assert.equal(made?.state, 'promoted');
    assert.equal(made.secret.length, 32);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await assert.rejects(makeKeysFile(file), { code: 'ERR_KEYS_UNUSABLE', message: /exists, and is not written over/ });
  });

  test('a key is added, promoted, and the old one retired', async () => {
    const [first] = await makeKeysFile(file);
    const second = await addKey(file);
    assert.deepEqual(await states(), ['promoted', 'open']);
    await promoteKey(file, second);
    assert.deepEqual(await states(), ['open', 'promoted']);
    assert.equal(ringOf((await readKeysFile(file)) ?? []).promoted.id, second);
    const ofAudit = await readAuditKeys(file);
    await retireKey(file, first?.id ?? '');
    assert.deepEqual(await readAuditKeys(file), ofAudit);
    assert.ok(!(await readFile(file, 'utf8')).includes(first?.secret.toString('base64') ?? ''));
    assert.equal((await readKeysFile(file))?.length, 1);
    assert.deepEqual(await states(), ['promoted']);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  test('the file says since when a key has its state', async () => {
    await makeKeysFile(file, { clock: clockAt(1_000), randomBytes: (size) => Buffer.alloc(size, 7) });
    const added = await addKey(file, { clock: clockAt(2_000), randomBytes: (size) => Buffer.alloc(size, 8) });
    await promoteKey(file, added, clockAt(3_000));
    await promoteKey(file, added, clockAt(4_000));
    const entries = (await readKeysFile(file)) ?? [];
    assert.deepEqual(
      entries.map(({ id, sinceMs }) => [id, sinceMs]),
      [
        ['07070707', 3_000],
        ['08080808', 3_000],
      ],
    );
  });

  test('what cannot be done is refused with the reason, and changes nothing', async () => {
    await assert.rejects(addKey(file), { code: 'ERR_KEYS_UNUSABLE', message: /does not exist/ });
    const [made] = await makeKeysFile(file);
    const before = await readFile(file, 'utf8');
    await assert.rejects(retireKey(file, made?.id ?? ''), { code: 'ERR_KEYS_UNUSABLE', message: /promote another/ });
    await assert.rejects(promoteKey(file, 'ffffffff'), { message: new RegExp(`no key ffffffff; it has ${made?.id}`) });
    await assert.rejects(retireKey(file, 'ffffffff'), { message: /no key ffffffff/ });
    assert.equal(await readFile(file, 'utf8'), before);
  });

  for (const [mode, why] of [
    [0o444, 'every user may read it'],
    [0o604, 'every user may read it'],
    [0o644, 'every user may read it'],
    [0o660, 'other users may change it'],
    [0o602, 'other users may change it'],
    [0o666, 'other users may change it'],
  ] as const) {
    test(`mode 0${mode.toString(8)} is refused with the remedy`, async () => {
      await makeKeysFile(file);
      await chmod(file, mode);
      const message = new RegExp(
        `^${file} is too open: ${why} \\(mode 0${mode.toString(8)}\\); run: chmod 600 ${file}`,
      );
      await assert.rejects(readKeysFile(file), { code: 'ERR_KEYS_UNUSABLE', message });
    });
  }

  for (const mode of [0o600, 0o400, 0o440, 0o640]) {
    test(`mode 0${mode.toString(8)} is taken: containers and packages hand out secrets so`, async () => {
      const [made] = await makeKeysFile(file);
      await chmod(file, mode);
      assert.deepEqual(await readKeysFile(file), [made]);
    });
  }

  const secret = Buffer.alloc(32, 1).toString('base64');
  const since = '2026-11-22T08:00:00.000Z';
  for (const [what, text, message] of [
    ['an empty file', '', /contains no key: copy the file again/],
    ['two promoted keys', `00000001 promoted ${since} ${secret}\n00000002 promoted ${since} ${secret}\n`, /promotes 2/],
    ['a key twice', `00000001 promoted ${since} ${secret}\n00000001 open ${since} ${secret}\n`, /:2 repeats the key/],
    ['a short secret', `00000001 promoted ${since} c2hvcnQ=\n`, /:1 is not a key/],
    ['another word', `# comment\n\n00000001 primary ${since} ${secret}\n`, /:3 is not a key/],
    ['a dot in the id', `0000.001 promoted ${since} ${secret}\n`, /:1 is not a key/],
  ] as const) {
    test(`${what} is refused, and no secret is told`, async () => {
      await writeFile(file, text, { mode: 0o600 });
      await assert.rejects(readKeysFile(file), (error: Error) => {
        assert.match(error.message, message);
        assert.ok(!error.message.includes(secret));
        return true;
      });
    });
  }
});

suite('a server key', () => {
  const key = createServerKey('00000001', Buffer.alloc(32, 1));
  const other = createServerKey('00000002', Buffer.alloc(32, 2));

  test('derives different values for different purposes, texts and keys', () => {
    const values = [
      key.subkey('form token').export().toString('base64url'),
      key.subkey('cookie signature').export().toString('base64url'),
      key.recordKeyOf('alice@example.test'),
      key.userKeyOf(alice),
      key.userKeyOf(bob),
      other.recordKeyOf('alice@example.test'),
      other.userKeyOf(alice),
      other.subkey('form token').export().toString('base64url'),
      key.sealKeyOf('A'.repeat(43), 'jar').export().toString('base64url'),
      key.sealKeyOf('A'.repeat(43), 'credentials').export().toString('base64url'),
      key.sealKeyOf('B'.repeat(43), 'jar').export().toString('base64url'),
      other.sealKeyOf('A'.repeat(43), 'jar').export().toString('base64url'),
      key.fingerprint,
      other.fingerprint,
    ];
    assert.equal(new Set(values).size, values.length);
  });

  test('derives the same values on every node', () => {
    const elsewhere = createServerKey('00000001', Buffer.alloc(32, 1));
    assert.equal(elsewhere.recordKeyOf('x'), key.recordKeyOf('x'));
    assert.equal(elsewhere.fingerprint, key.fingerprint);
    assert.ok(elsewhere.sealKeyOf('C'.repeat(43), 'jar').equals(key.sealKeyOf('C'.repeat(43), 'jar')));
  });
});
