import assert from 'node:assert/strict';
import { appendFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { readMapFile } from '../../../src/directory/sources/map.ts';
import { eventually, outcomeOf, recordingLog, temporaryDirectory, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

sourceContract(
  'map',
  async () => {
    const { path, ...directory } = await temporaryDirectory();
    const file = join(path, 'users.map');
    const lines = new Map([
      ['alice@example.test', 'a'],
      ['bob@example.test', 'b'],
    ]);
    const write = async (): Promise<void> => {
      await writeFile(`${file}.new`, [...lines].map(([user, home]) => `${user}: ${home}\n`).join(''));
      await rename(`${file}.new`, file);
    };
    await write();
    return {
      settings: { type: 'map', file },
      async put(user, home) {
        lines.set(user, home);
        await write();
      },
      [Symbol.asyncDispose]: directory[Symbol.asyncDispose],
    };
  },
  { hasNoPeer: true, cannotHold: ['another line', 'a leading line'] },
);

const rules = {
  foldKey: (key: string) => (key.includes('!') ? undefined : key.normalize('NFC').toLowerCase()),
  isValue: (value: string) => !value.includes(' '),
};

async function readText(text: string | Uint8Array, folder: string) {
  const file = join(folder, 'users.map');
  await writeFile(file, text);
  return readMapFile(file, rules, AbortSignal.timeout(20_000));
}

describe('the text of a map', () => {
  const cases: readonly (readonly [name: string, text: string, key: string, value: string | undefined])[] = [
    ['key: value', 'alice@x.test: a\n', 'alice@x.test', 'a'],
    ['a last line without its end', 'alice@x.test: a', 'alice@x.test', 'a'],
    ['Windows line ends', '# x\r\n\r\nalice: a\r\nbob: b\r\n', 'alice', 'a'],
    ['a byte order mark', '\ufeffalice: a\n', 'alice', 'a'],
    ['Postfix: white space between', 'alice@x.test\t  a\n', 'alice@x.test', 'a'],
    ['Perdition: a port too', 'alice:mail.x.test:143\n', 'alice', 'mail.x.test:143'],
    ['Perdition: a user before the host', 'al:alice@mail.x.test\n', 'al', 'alice@mail.x.test'],
    ['white space before the colon', 'alice : a\n', 'alice', 'a'],
    ['a comment behind the value', 'alice: a # moved in May\n', 'alice', 'a'],
    ['a number sign in a value', 'alice: a#1\n', 'alice', 'a#1'],
    ['comments and empty lines between', '# first\n\n   # second\nalice: a\n \t \n#x\nbob: b\n', 'bob', 'b'],
    ['upper case in a key', 'Alice@X.Test: a\n', 'alice@x.test', 'a'],
    ['a key that is the beginning of another', 'alice: a\nalice2: b\n', 'alice', 'a'],
    ['a key that is longer than another', 'alice: a\nalice2: b\n', 'alice2', 'b'],
    ['a key that is not there', 'alice: a\n', 'alic', undefined],
    ['a key in what is a comment', '# bob: b\nalice: a\n', 'bob', undefined],
    ['a value that continues after white space', 'alice:\n   a\nbob: b\n', 'alice', 'a'],
    ['a value that continues behind a backslash', 'alice: \\\na\nbob: b\n', 'alice', 'a'],
    ['a comment before the continuation', 'alice:\n# here\n   a\nbob: b\n', 'alice', 'a'],
    ['what stands behind a continuation', 'alice:\n   a\nbob: b\n', 'bob', 'b'],
    ['a domain', '@x.test: a\n', '@x.test', 'a'],
    ['everybody', '* a\n', '*', 'a'],
    ['a key that is not ASCII', 'JÖRG@x.test: a\nx: b\n', 'jörg@x.test', 'a'],
    ['an IPv6 address', 'alice: [2001:db8::1]:143\n', 'alice', '[2001:db8::1]:143'],
    ['a key that JavaScript objects have', '__proto__: a\n', '__proto__', 'a'],
    ['the same key twice with the same value', 'alice: a\nALICE:a # again\n', 'alice', 'a'],
  ];
  for (const [name, text, key, value] of cases) {
    test(`may have ${name}`, async () => {
      await using folder = await temporaryDirectory();
      const map = await readText(text, folder.path);
      assert.deepEqual(map.get(key), value === undefined ? undefined : { kind: 'value', value });
    });
  }

  const broken: readonly (readonly [name: string, text: string | Uint8Array, why: RegExp])[] = [
    ['nothing in it', '', /there is no entry/],
    ['comments only', '# a\n\n', /there is no entry/],
    ['a key without a value', 'alice: a\nbob\ncarol: a\n', /users\.map:2: there is a key without a value/],
    ['a key and a comment', 'bob: # b\n', /:1: there is a key without a value/],
    ['a value without a key', ': a\n', /:1: there is no key/],
    ['a first line that continues nothing', '# users\n\n  alice: a\n', /:3: begins with white space/],
    ['YAML in it', 'users:\n  alice: a\n  bob: b\n', /:1: continues over several lines/],
    ['bytes that are not UTF-8', Buffer.from([0x61, 0x3a, 0xff, 0x0a]), /is not UTF-8/],
    ['zeros, as after a crash', Buffer.from('alice: a\n\0\0\0\0'), /is not UTF-8/],
    ['a key that cannot be one', 'j\u00f6!: a\n', /:1: "j\u00f6!" cannot be/],
    ['a key without end', `${'x'.repeat(2000)}: a\n`, /:1: the key is longer/],
  ];
  for (const [name, text, why] of broken) {
    test(`is refused with ${name}`, async () => {
      await using folder = await temporaryDirectory();
      await assert.rejects(readText(text, folder.path), why);
    });
  }

  test('is refused with the places of at most ten faults', async () => {
    await using folder = await temporaryDirectory();
    await assert.rejects(readText('alice: a\n'.concat(': b\n'.repeat(50)), folder.path), (error: Error) => {
      assert.equal(error.message.split('\n').length, 10);
      assert.match(error.message, /users\.map:11: [^\n]*$/);
      return true;
    });
  });

  test('makes a key with two values ambiguous', async () => {
    await using folder = await temporaryDirectory();
    const map = await readText('alice: a\nbob: b\nalice: b\nJÖRG: a\njörg: b\n', folder.path);
    assert.deepEqual(map.get('alice'), { kind: 'ambiguous' });
    assert.deepEqual(map.get('jörg'), { kind: 'ambiguous' });
    assert.deepEqual(map.get('bob'), { kind: 'value', value: 'b' });
  });

  test('gives back each of any set of keys, and no other', async () => {
    await using folder = await temporaryDirectory();
    const key = fc.stringMatching(/^[a-z0-9._@ö-]{1,20}$/).filter((text) => !text.startsWith('#'));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, fc.constantFrom('a', 'b'), { minKeys: 1, maxKeys: 200 }), async (homes) => {
        const text = Object.entries(homes).map(([user, home], line) => `${user}${[': ', ' ', ':'][line % 3]}${home}\n`);
        const map = await readText(text.join(''), folder.path);
        for (const [user, home] of Object.entries(homes))
          assert.deepEqual(map.get(user), { kind: 'value', value: home });
        assert.equal(map.get('not@there'), undefined);
      }),
      { numRuns: 50 },
    );
  });

  test('is read to the end or refused, whatever it contains', async () => {
    await using folder = await temporaryDirectory();
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.constantFrom('a', ':', ' ', '\n', '\t', '\\', '#', '\r'), { maxLength: 40 })
        .map((all) => Buffer.from(all.join(''))),
    );
    await fc.assert(
      fc.asyncProperty(junk, async (bytes) => {
        const map = await readText(bytes, folder.path).catch((error: unknown) => error);
        if (map instanceof Error) assert.match(map.message, /users\.map/);
        else assert.ok(map);
      }),
      { numRuns: 300 },
    );
  });
});

async function mapOf(text: string, settings: object = {}) {
  await using opened = new AsyncDisposableStack();
  const folder = opened.use(await temporaryDirectory());
  const file = join(folder.path, 'users.map');
  await writeFile(file, text);
  const log = recordingLog();
  const directory = opened.use(await testDirectory([{ type: 'map', file, ...settings }], { log }));
  const owned = opened.move();
  return {
    file,
    log,
    ask: (typed: string) => outcomeOf(directory, typed),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe('a map source', () => {
  test('looks up the user, the bare user of the default domain, the domain, and `*`', async () => {
    await using map = await mapOf('alice: a\n@example.test: b\nbob@other.test: b\n* a\n');
    assert.equal(await map.ask('alice'), 'a alice@example.test');
    assert.equal(await map.ask('bob'), 'b bob@example.test');
    assert.equal(await map.ask('bob@other.test'), 'b bob@other.test');
    assert.equal(await map.ask('alice@other.test'), 'a alice@other.test');
  });

  test('finds keys that are not ASCII in any spelling', async () => {
    await using map = await mapOf('Jo\u0308rg@BÜCHER.example: a\n@例え.テスト: b\nΟΔΟΣ: a\n');
    assert.equal(await map.ask('jörg@xn--bcher-kva.example'), 'a jörg@xn--bcher-kva.example');
    assert.equal(await map.ask('x@xn--r8jz45g.xn--zckzah'), 'b x@xn--r8jz45g.xn--zckzah');
    assert.equal(await map.ask('οδοσ'), 'a οδοσ@example.test');
    await using twice = await mapOf('x@bücher.example: a\nx@xn--bcher-kva.example: b\n');
    assert.equal(await twice.ask('x@bücher.example'), 'ERR_DIRECTORY_ANSWER');
  });

  test('reads ports, and for Perdition users before the host', async () => {
    await using map = await mapOf('alice:mail-a.example.test:143\nal:alice@mail-a.example.test:143\n', {
      answers: 'perdition',
    });
    assert.equal(await map.ask('alice'), 'a alice@example.test');
    assert.equal(await map.ask('al'), 'a alice@example.test');
  });

  test("reads Postfix's transports", async () => {
    await using map = await mapOf(
      'alice@example.test lmtp:inet:[mail-a.example.test]:24\n@example.test relay:[mail-b.example.test]\nx@y.test error:no\n',
      { answers: 'transport' },
    );
    assert.equal(await map.ask('alice'), 'a alice@example.test');
    assert.equal(await map.ask('bob'), 'b bob@example.test');
    assert.equal(await map.ask('x@y.test'), 'unknown');
  });

  test("follows Postfix's virtual aliases to the user, and not to lists", async () => {
    await using map = await mapOf('al alice\n@example.test @other.test\nsales@other.test alice, bob\n', {
      answers: 'user',
    });
    // Nobody says where they live: an alias alone is no home.
    assert.equal(await map.ask('sales'), 'unknown');
    assert.equal(await map.ask('al@other.test'), 'unknown');
    await using file = await mapOf('alice@other.test: a\n');
    await using directory = await testDirectory([
      { type: 'map', file: map.file, answers: 'user' },
      { type: 'map', file: file.file },
    ]);
    assert.equal(await outcomeOf(directory, 'al'), 'a alice@other.test');
    assert.equal(await outcomeOf(directory, 'sales'), 'unknown');
  });

  test('never guesses between two values of one key', async () => {
    await using map = await mapOf('alice: a\nalice: b\nbob: b\n');
    assert.equal(await map.ask('alice'), 'ERR_DIRECTORY_ANSWER');
    assert.equal(await map.ask('bob'), 'b bob@example.test');
  });

  test('takes over a file that was replaced or written in place', async () => {
    await using map = await mapOf('alice: a\n');
    await writeFile(`${map.file}.new`, 'alice: b\n');
    await rename(`${map.file}.new`, map.file);
    assert.equal(await eventually('b alice@example.test', () => map.ask('alice')), 'b alice@example.test');
    await appendFile(map.file, 'bob: a\n');
    assert.equal(await eventually('a bob@example.test', () => map.ask('bob')), 'a bob@example.test');
  });

  test('keeps the last good content if the file is broken, emptied or gone, and raises an alarm', async () => {
    await using map = await mapOf('alice: a\n');
    const alarms = async (count: number): Promise<string> =>
      eventually(String(count), async () => String(map.log.lines.filter((line) => line.startsWith('error')).length));
    await writeFile(map.file, 'alice: b\nbroken\n');
    assert.equal(await alarms(1), '1');
    assert.equal(await map.ask('alice'), 'a alice@example.test');
    await writeFile(map.file, '');
    assert.equal(await alarms(2), '2');
    assert.equal(await map.ask('alice'), 'a alice@example.test');
    await rm(map.file);
    assert.equal(await alarms(3), '3');
    assert.equal(await map.ask('alice'), 'a alice@example.test');
    await writeFile(map.file, 'alice: b\n');
    assert.equal(await eventually('b alice@example.test', () => map.ask('alice')), 'b alice@example.test');
    assert.match(map.log.lines.join('\n'), /directory-file-broken/);
  });

  test('does not start on a file that is missing or broken, and names the place', async () => {
    await assert.rejects(mapOf('alice\n'), {
      code: 'ERR_CONFIG_INVALID',
      message: /1 map: .*users\.map:1: there is a key/,
    });
    await assert.rejects(testDirectory([{ type: 'map', file: '/nowhere/users.map' }]), {
      code: 'ERR_CONFIG_INVALID',
      message: /1 map: there is no file .*: create it/,
    });
    await assert.rejects(testDirectory([{ type: 'map' }]), {
      message: 'sources.0.file: is missing: write a file name, relative to this file',
    });
  });
});
