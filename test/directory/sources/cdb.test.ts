import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { openCdb } from '../../../src/directory/sources/cdb.ts';
import { readMapFile } from '../../../src/directory/sources/map.ts';
import { runProgram } from '../../programs.ts';
import { eventually, outcomeOf, temporaryDirectory, testDirectory } from '../directory.fixture.ts';
import { postfix } from '../peers/postfix.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

type Records = ReadonlyMap<string, string>;

/** Makes a database with tinycdb's own program, whose input may hold any byte. */
async function makeCdb(file: string, records: Records): Promise<void> {
  const lines = [...records].map(([key, value]) => {
    return `+${Buffer.byteLength(key)},${Buffer.byteLength(value)}:${key}->${value}\n`;
  });
  await runProgram('cdb', ['-c', '-t', `${file}.new`, file], { input: `${lines.join('')}\n` });
}

sourceContract(
  'cdb',
  async () => {
    const { path, ...folder } = await temporaryDirectory();
    const file = join(path, 'users.cdb');
    const records = new Map([
      ['alice@example.test', 'a'],
      ['bob@example.test', 'b'],
    ]);
    await makeCdb(file, records);
    return {
      settings: { type: 'cdb', file },
      async put(user, home) {
        records.set(user, home);
        await makeCdb(file, records);
      },
      [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
    };
  },
  { hasNoPeer: true },
);

describe('a constant database', () => {
  test('gives back each of any set of records, and nothing else', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'any.cdb');
    const records = fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), {
      maxKeys: 300,
    });
    await fc.assert(
      fc.asyncProperty(records, async (homes) => {
        await makeCdb(file, new Map(Object.entries(homes)));
        const cdb = await openCdb(file);
        for (const [key, value] of Object.entries(homes)) assert.equal(await cdb.get(key), value.replace(/\0$/, ''));
        assert.equal(await cdb.get('not there'), undefined);
        await cdb.close();
      }),
      { numRuns: 30 },
    );
  });

  test('may have keys and values with a final NUL', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'nul.cdb');
    await makeCdb(file, new Map([['alice@example.test\0', 'a\0']]));
    await using directory = await testDirectory([{ type: 'cdb', file }]);
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
  });

  test('of another format is refused at the start', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users.cdb');
    for (const content of ['', 'alice: a\n', Buffer.alloc(2048), Buffer.alloc(4096, 0xff)]) {
      await writeFile(file, content);
      await assert.rejects(testDirectory([{ type: 'cdb', file }]), { code: 'ERR_CONFIG_INVALID' });
    }
  });

  test('that is cut off while it is open makes a tempfail for users behind the cut', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users.cdb');
    await makeCdb(file, new Map([['alice@example.test', 'a']]));
    await using directory = await testDirectory([{ type: 'cdb', file }], { pollMs: 60_000 });
    await truncate(file, 2050);
    assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
  });

  test('is taken over when it is replaced, without a failed lookup', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users.cdb');
    const records = new Map([['alice@example.test', 'a']]);
    await makeCdb(file, records);
    await using directory = await testDirectory([{ type: 'cdb', file }]);
    const seen = new Set<string>();
    const ask = async (): Promise<string> => {
      const outcome = await outcomeOf(directory, 'alice');
      seen.add(outcome);
      return outcome;
    };
    for (const home of ['b', 'a', 'b']) {
      await makeCdb(file, records.set('alice@example.test', home));
      assert.equal(await eventually(`${home} alice@example.test`, ask), `${home} alice@example.test`);
    }
    assert.deepEqual([...seen].sort(), ['a alice@example.test', 'b alice@example.test']);
  });
});

describe("Postfix's own view", () => {
  const text = [
    '# users\n',
    'alice@example.test a\n',
    'Bob@Example.Test\tb\n',
    '\n# moved\ncarol@example.test\n  # here\n   b\n',
    '@example.test a\n',
  ].join('');
  const keys = ['alice@example.test', 'bob@example.test', 'carol@example.test', '@example.test', 'dave@example.test'];

  test('of a text table equals ours of the same text', async () => {
    const tools = await postfix();
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users');
    await writeFile(file, text);
    const rules = { foldKey: (key: string) => key, isValue: () => true };
    const map = await readMapFile(file, rules, AbortSignal.timeout(5000));
    for (const key of keys) {
      const entry = map.get(key);
      assert.equal(entry?.kind === 'value' ? entry.value : undefined, await tools.query(`texthash:${file}`, key), key);
    }
  });

  test('of a cdb table that Postfix made equals ours', async () => {
    const tools = await postfix();
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users');
    await writeFile(file, text);
    await tools.make('cdb', file);
    const cdb = await openCdb(`${file}.cdb`);
    for (const key of keys) assert.equal(await cdb.get(key), await tools.query(`cdb:${file}`, key), key);
    await cdb.close();
  });
});

test("Perdition's own database of a text map holds what we read from that text", async () => {
  await using folder = await temporaryDirectory();
  const file = join(folder.path, 'popmap');
  const text = 'alice:mail-a.example.test:143\nbob:robert@mail-b.example.test\ncarol:mail-b.example.test\n';
  await writeFile(file, text);
  await runProgram('makegdbm', [`${file}.db`], { input: text });
  const dumped = await runProgram('makegdbm', ['-u', `${file}.db`]);
  const rules = { foldKey: (key: string) => key, isValue: () => true };
  const map = await readMapFile(file, rules, AbortSignal.timeout(5000));
  // Its values begin with a NUL.
  const lines = dumped
    .replaceAll('\0', '')
    .split('\n')
    .filter((line) => /^\w+:/.test(line));
  assert.equal(lines.length, 3);
  for (const line of lines) {
    const [, key = '', value = ''] = /^(.*?):(.*)$/.exec(line) ?? [];
    assert.deepEqual(map.get(key), { kind: 'value', value });
  }
});
