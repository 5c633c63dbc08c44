import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { matchPatterns, type PatternFormat, readPatternFile } from '../../../src/directory/sources/regex.ts';
import { outcomeOf, temporaryDirectory, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

sourceContract(
  'regex',
  async () => {
    const { path, ...folder } = await temporaryDirectory();
    const file = join(path, 'patterns');
    const lines = ['/^alice@example\\.test$/ a', '/^bob@example\\.test$/ b'];
    const write = async (): Promise<void> => {
      await writeFile(`${file}.new`, `${lines.join('\n')}\n`);
      await rename(`${file}.new`, file);
    };
    await write();
    return {
      settings: { type: 'regex', file },
      async put(user, home) {
        const pattern = `/^${user.replaceAll('.', '\\.')}$/`;
        lines.unshift(`${pattern} ${home}`);
        await write();
      },
      [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
    };
  },
  { hasNoPeer: true, cannotHold: ['another line', 'a leading line'] },
);

async function valueOf(text: string, format: PatternFormat, name: string): Promise<string | undefined> {
  await using folder = await temporaryDirectory();
  const file = join(folder.path, 'patterns');
  await writeFile(file, text);
  return matchPatterns(await readPatternFile(file, format), name);
}

describe("a file of Postfix's patterns", () => {
  const cases: readonly (readonly [name: string, text: string, user: string, value: string | undefined])[] = [
    ['the first that matches', '/^a/ a\n/^al/ b\n', 'alice@x.test', 'a'],
    ['no match', '/^a/ a\n', 'bob@x.test', undefined],
    ['no implied anchors', '/lic/ a\n', 'alice@x.test', 'a'],
    ['captures in each form', '/^(.)(.).*@(.*)$/ $1-${2}-$(3)-$$\n', 'alice@x.test', 'a-l-x.test-$'],
    ['a group that took no part', '/^(x)?a/ b$1\n', 'alice', 'b'],
    ['case is ignored', '/^ALICE/ a\n', 'alice', 'a'],
    ['i switches that off', '/^ALICE/i a\n', 'alice', undefined],
    ['a negated pattern', '!/@x\\.test$/ other\n', 'alice@y.test', 'other'],
    ['a negated pattern that matches', '!/@x\\.test$/ other\n', 'alice@x.test', undefined],
    ['if and endif', 'if /@x\\.test$/\n/^a/ a\nendif\n/./ rest\n', 'bob@x.test', 'rest'],
    ['inside an if', 'if /@x\\.test$/\n/^a/ a\nendif\n/./ rest\n', 'alice@x.test', 'a'],
    ['a negated if', 'if !/@x\\.test$/\n/^a/ a\nendif\n/./ rest\n', 'alice@y.test', 'a'],
    ['an if inside an if', 'if /x/\nif /^b/\n/./ b\nendif\n/./ x\nendif\n', 'alice@x.test', 'x'],
    ['another delimiter', ',^a/b, a\n', 'a/b', 'a'],
    ['an escaped delimiter', '/^a\\/b/ a\n', 'a/b', 'a'],
    ['continuation and comments', '# x\n\n/^a/\n  # y\n   a\n', 'alice', 'a'],
    ['a class of POSIX', '/^[[:alpha:]]+[[:digit:]]$/ a\n', 'alice7', 'a'],
  ];
  for (const [name, text, user, value] of cases) {
    test(name, async () => assert.equal(await valueOf(text, 'postfix', user), value));
  }

  const broken: readonly (readonly [name: string, text: string, why: RegExp])[] = [
    ['nothing', '# x\n', /no pattern in this file/],
    ['no pattern', 'alice a\n', /:1: write \/pattern\/flags value/],
    ['no value', '/a/ a\n/b/\n', /:2: there is a pattern without a value/],
    ['no end of the pattern', '/a b\n', /:1: write/],
    ['a reference inside the pattern', '/(a)\\1/ a\n', /:1: the pattern cannot be used: invalid escape/],
    ['lookaround', '/a(?=b)/ a\n', /:1: the pattern cannot be used/],
    ['a capture that is none', '/(a)/ $2\n', /:1: \$2 has no value/],
    ['a capture of a negated pattern', '!/(a)/ $1\n', /:1: a negated pattern captures nothing/],
    ['a flag', '/a/q a\n', /:1: the flag q/],
    ['an if alone', 'if /a/\n/b/ c\n', /:2: an if has no endif/],
    ['an endif alone', 'endif\n', /:1: endif without if/],
    ['a beginning that continues nothing', '  /a/ b\n', /line 1 begins with white space/],
    ['thousands of patterns', '/a/ b\n'.repeat(1001), /more than 1000 patterns/],
  ];
  for (const [name, text, why] of broken) {
    test(`is refused with ${name}`, async () => assert.rejects(valueOf(text, 'postfix', 'x'), why));
  }
});

describe("a file of Perdition's patterns", () => {
  // As Perdition 2.2 itself answered with libperditiondb_posix_regex.
  const cases: readonly (readonly [name: string, text: string, user: string, value: string | undefined])[] = [
    ['its own example', '^[a-k]: localhost\n^[^a-k]: localhost:110\n', 'zoe', 'localhost:110'],
    ['captures', '(.*)@(.*): $1_$2@localhost\n', 'user@x.y.z.de', 'user_x.y.z.de@localhost'],
    ['no colon', '^user user2@localhost\n', 'user', 'user2@localhost'],
    ['one backslash is gone', '^a\\.c$: h\n', 'abc', 'h'],
    ['two backslashes are one', '^d\\\\.f$: h\n', 'dxf', undefined],
    ['two backslashes are one, and match', '^d\\\\.f$: h\n', 'd.f', 'h'],
    ['single quotes', "'^q#c$': h\n", 'q#c', 'h'],
    ['double quotes', '^g"."i$: h\n', 'gxi', 'h'],
    ['a comment', '^a: h # here\n', 'alice', 'h'],
    ['a line that goes on', '^a: \\\nh\n', 'alice', 'h'],
    ['case counts', '^A: h\n', 'alice', undefined],
  ];
  for (const [name, text, user, value] of cases) {
    test(name, async () => assert.equal(await valueOf(text, 'perdition', user), value));
  }

  test('is refused with the place of each fault', async () => {
    await assert.rejects(
      valueOf('^a: h\n^b\n"x: h\n', 'perdition', 'x'),
      /:2: there is a pattern[^]*:3: a quote " is not closed/,
    );
  });
});

test('no pattern takes long, whatever the name', async () => {
  const evil = ['^(a+)+$', '^(a|aa)+$', '(x+x+)+y', '^(.*a){20}$', '(.*)*(.*)*(.*)*!']
    .map((p) => `/${p}/ a\n`)
    .join('');
  const startedMs = performance.now();
  for (const name of ['a'.repeat(253), 'x'.repeat(253), 'ax'.repeat(126)]) await valueOf(evil, 'postfix', `${name}?`);
  // A backtracking matcher would need longer than the age of the universe.
  assert.ok(performance.now() - startedMs < 2000);
});

test('any text is a file of patterns or refused with the place of a fault', async () => {
  const line = fc.array(
    fc.constantFrom('/', 'a', '(', ')', ' ', '\n', '$1', '!', 'if', 'endif', '\\', '"', '#', '*', '{2}'),
  );
  await fc.assert(
    fc.asyncProperty(line, fc.constantFrom('postfix' as const, 'perdition' as const), async (parts, format) => {
      const value = await valueOf(parts.join(''), format, 'aaa').catch((error: unknown) => error);
      if (value instanceof Error) assert.match(value.message, /patterns|line \d/);
    }),
    { numRuns: 300 },
  );
});

test('a regex source answers with hosts from its patterns, and with users', async () => {
  await using folder = await temporaryDirectory();
  const file = join(folder.path, 'popmap.re');
  await writeFile(file, '^([a-m]).*@example: $1@mail-a.example.test:143\n^n: mail-b.example.test\n^x: nowhere\n');
  await using directory = await testDirectory([{ type: 'regex', file, format: 'perdition' }]);
  assert.equal(await outcomeOf(directory, 'bob'), 'a b@example.test');
  assert.equal(await outcomeOf(directory, 'nora'), 'b nora@example.test');
  assert.equal(await outcomeOf(directory, 'xaver'), 'ERR_DIRECTORY_ANSWER');
});
