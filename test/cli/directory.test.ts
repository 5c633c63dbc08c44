import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createVouchedStateStore, type StateKeys } from '../../src/backends/vouched-state-store.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { makeKeysFile, ringOf } from '../../src/sessions/keys-file.ts';
import { filesOf } from '../config/config.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';
import { bin, postern } from './cli.fixture.ts';

/** Backends where nothing listens, a map, and a hash for the rest. */
async function site(t: TestContext, weights = 'a: 1, b: 1') {
  const [imap, webmail] = await freePorts(2);
  const backend = (host: string) =>
    `{ imap: "imaps://${host}:${imap}", webmail: "http://${host}:${webmail}/", driver: none }`;
  const yaml = (some: string) => `public_url: http://127.0.0.1:8080
directory:
  default_domain: mail.test
  sources: [{ type: map, file: users.map, domains: [mail.test] }, { type: hash, weights: { ${some} } }]
backends: { a: ${backend('127.0.0.1')}, b: ${backend('127.0.0.2')} }
`;
  return filesOf(t, { 'old.yaml': yaml(weights), 'new.yaml': yaml('a: 0, b: 1'), 'users.map': 'alice: a\nbob: b\n' });
}

/** The state of a gateway that has run in this folder, as it keeps it and as a file; it has made its keys. */
async function stateIn(cwd: string) {
  const { sessions } = await loadConfig(join(cwd, 'old.yaml'), { env: {} });
  assert.ok(sessions.store.kind === 'embedded');
  const bare = createSqliteStateStore(sessions.store.file);
  const ring = ringOf(await makeKeysFile(sessions.keysFile));
  const keys: StateKeys = { current: () => ring, meet: async () => 'none' };
  const vouched = createVouchedStateStore({ store: bare, keys, clock: systemClock, log: silentLog });
  return { bare, vouched, keysFile: sessions.keysFile, [Symbol.asyncDispose]: () => bare[Symbol.asyncDispose]() };
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `u${index}\n`).join('');

describe('postern lookup -', () => {
  test('answers each line of standard input in its order, past empty ones, and ends with the worst', async (t) => {
    const cwd = await site(t);
    const { code, out, err } = await postern(['lookup', '-c', 'old.yaml', '-'], {
      cwd,
      input: 'bob\n\nno*body\nalice',
    });
    assert.deepEqual([code, err], [1, '']);
    assert.equal(
      out,
      'bob\tb\t1 map\tbob@mail.test\tfound\n' +
        'no*body\t-\t-\t-\tmalformed: forbidden-character\n' +
        'alice\ta\t1 map\talice@mail.test\tfound\n',
    );
  });

  test('takes many lines in one process, as JSON lines too', async (t) => {
    const cwd = await site(t);
    const args = ['lookup', '-c', 'old.yaml', '--format', 'json', '-'];
    const { code, out } = await postern(args, { cwd, input: numbered(20_000) });
    assert.equal(code, 0);
    const typed = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).typed);
    assert.deepEqual(typed, numbered(20_000).trimEnd().split('\n'));
  });
});

/** Looks the users of a file up on a terminal. */
function lookUpOnTerminal(cwd: string, input: string): Promise<string> {
  const command = `${process.execPath} ${bin} lookup -c old.yaml - < ${input} > homes.tsv`;
  return runProgram('script', ['--quiet', '--command', command, '/dev/null'], { cwd });
}

describe('the progress of postern lookup -', () => {
  test('counts up to the lines of the file, and ends with what they add up to', async (t) => {
    const cwd = await site(t);
    await writeFile(join(cwd, 'names.txt'), `alice\n\nno*body\n${numbered(100_000)}`);
    const shown = await lookUpOnTerminal(cwd, 'names.txt');
    assert.match(shown, /\d of 100,002 users, [\d,]+ a second/);
    assert.match(shown, /\r100,002 users, 100,001 found, 1 malformed(?:, in \d+ s)?\.\r?\n/);
  });
});

describe('postern directory', () => {
  test('compare names who would live elsewhere, and how many: 1 for some, 0 for none', async (t) => {
    const cwd = await site(t);
    const some = await postern(['directory', 'compare', 'old.yaml', 'new.yaml'], { cwd, input: numbered(200) });
    assert.equal(some.code, 1, some.err);
    const lines = some.out.trimEnd().split('\n');
    const moved = lines.filter((line) => /^u\d+\ta\tb$/.test(line)).length;
    assert.ok(moved > 60 && moved < 140, String(moved));
    assert.deepEqual(lines.slice(moved), [
      `${moved} of 200 users would move (${(moved / 2).toFixed(1)} %).`,
      `  a → b: ${moved}`,
    ]);
    const none = await postern(['directory', 'compare', 'old.yaml', 'new.yaml', 'alice', 'bob'], { cwd });
    assert.deepEqual([none.code, none.out], [0, '0 of 2 users would move (0.0 %).\n']);
  });

  test('compare gives a spreadsheet the users alone, and says on standard error what they add up to', async (t) => {
    const cwd = await site(t);
    const args = ['directory', 'compare', 'old.yaml', 'new.yaml', '--format'];
    const { code, out, err } = await postern([...args, 'csv'], { cwd, input: numbered(50) });
    const [head, ...rows] = out.trimEnd().split('\r\n');
    assert.deepEqual([code, head], [1, 'user,from,to']);
    assert.ok(
      rows.every((row) => /^u\d+,a,b$/.test(row)),
      out,
    );
    assert.equal(err, `${rows.length} of 50 users would move (${rows.length * 2}.0 %).\n  a → b: ${rows.length}\n`);
    const told = JSON.parse((await postern([...args, 'json'], { cwd, input: numbered(50) })).out);
    assert.deepEqual([told.users, told.moved, told.changes.length], [50, rows.length, rows.length]);
  });

  test('preview says the same of other weights as a comparison with them', async (t) => {
    const cwd = await site(t);
    const input = numbered(100);
    const previewed = await postern(['directory', 'preview', '-c', 'old.yaml', '--weight', 'a=0', '-'], { cwd, input });
    const compared = await postern(['directory', 'compare', 'old.yaml', 'new.yaml', '-'], { cwd, input });
    assert.equal(previewed.out, compared.out);
    assert.equal(previewed.code, 1);
  });

  test('preview wants a weight, and one of a backend that there is', async (t) => {
    const cwd = await site(t);
    const preview = (...args: string[]) => postern(['directory', 'preview', '-c', 'old.yaml', ...args, 'u1'], { cwd });
    assert.match((await preview()).err, /required option '--weight/);
    assert.match((await preview('--weight', 'a')).err, /write BACKEND=WEIGHT/);
    const unknown = await preview('--weight', 'x=1');
    assert.deepEqual([unknown.code, unknown.err], [2, 'There is no backend x in old.yaml.\n']);
  });

  test('drop leaves word for every node in the store that they share', async (t) => {
    const cwd = await site(t);
    await using state = await stateIn(cwd);
    const { code, out } = await postern(['directory', 'drop', '-c', 'old.yaml', 'Alice'], { cwd });
    assert.deepEqual([code, out], [0, 'All nodes will look up alice@mail.test again.\n']);
    const { entries } = await state.vouched.changesSince(0);
    assert.deepEqual(
      entries.filter(({ table }) => table !== 'audit').map(({ table, key, value }) => [table, key, typeof value]),
      [['forgotten', 'alice@mail.test', 'string']],
    );
  });

  test('drop is refused where the machine lacks the server keys: no node would heed it', async (t) => {
    const cwd = await site(t);
    await using state = await stateIn(cwd);
    await rm(state.keysFile);
    const { code, err } = await postern(['directory', 'drop', '-c', 'old.yaml', 'Alice'], { cwd });
    assert.notEqual(code, 0);
    assert.match(err, /does not exist: the server keys vouch for .*copy it from a node/);
  });
});

describe('postern explain', () => {
  test('shows each source with its answer, then backend, driver and hosts with their states', async (t) => {
    const cwd = await site(t);
    const { code, out, err } = await postern(['explain', '-c', 'old.yaml', 'U1@Elsewhere.test'], { cwd });
    assert.deepEqual([code, err], [0, '']);
    assert.match(
      out,
      /^typed {3}U1@Elsewhere\.test\nuser {4}u1@elsewhere\.test\nanswer {2}found\nbackend [ab]\nwebmail none\n/,
    );
    assert.match(
      out,
      /\n1 map +u1@elsewhere\.test +skipped +0 ms +-\n2 hash +u1@elsewhere\.test +found: [ab] +\d+ ms +asked now\n/,
    );
    assert.match(
      out,
      /\n[ab] +DOWN: .*ECONNREFUSED.* +yes +imaps:\/\/127\.0\.0\.[12]:\d+ +http:\/\/127\.0\.0\.[12]:\d+\/\n$/,
    );
  });

  test('shows a move, and a state that an operator set', async (t) => {
    const cwd = await site(t);
    await using state = await stateIn(cwd);
    const since = { reason: 'new disks', by: 'ops', sinceMs: 0 };
    await state.vouched.put('overrides', 'alice@mail.test', JSON.stringify({ ...since, backend: 'b' }));
    await state.vouched.put('states', 'backend:b', JSON.stringify({ ...since, state: 'MAINT', texts: {} }));
    const { out } = await postern(['explain', '-c', 'old.yaml', '--format', 'json', 'alice'], { cwd });
    const { backend, moved, hosts, steps } = JSON.parse(out);
    assert.deepEqual([backend, moved], ['b', since]);
    assert.deepEqual([steps[0].home, hosts[0].state, hosts[0].serves], ['a', 'MAINT', true]);
    // Somebody who can write to the store, and has no server key, moves bob.
    await state.bare.put('overrides', 'bob@mail.test', JSON.stringify({ ...since, backend: 'a' }));
    const bob = await postern(['explain', '-c', 'old.yaml', '--format', 'json', 'bob'], { cwd });
    assert.deepEqual([JSON.parse(bob.out).backend, JSON.parse(bob.out).moved], ['b', undefined]);
  });

  test('ends with 1 for a name that can be nobody, and says why', async (t) => {
    const cwd = await site(t);
    const { code, out } = await postern(['explain', '-c', 'old.yaml', 'a*b'], { cwd });
    assert.deepEqual([code, out], [1, 'typed   a*b\nanswer  malformed: forbidden-character\n']);
  });
});
