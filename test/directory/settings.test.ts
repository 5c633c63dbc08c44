import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import type { z } from 'zod';
import { Secret } from '../../src/core/secrets.ts';
import { nameTemplate, oneOrMoreServers, serverAddress } from '../../src/directory/settings.ts';
import { problemsIn } from '../../src/schema/issues.ts';
import {
  duration,
  fraction,
  oneOf,
  oneOrMore,
  text,
  textOrNumber,
  wrappedSecret,
  yesOrNo,
} from '../../src/schema/scalars.ts';

const word = textOrNumber('a word', 'write a word');
const cases: readonly (readonly [name: string, value: unknown, schema: z.ZodType, outcome: unknown])[] = [
  ['a text', 'x', word, 'x'],
  ['a number where a text belongs', 5, word, '5'],
  ['no text', undefined, word, 'is missing: write a word'],
  ['an empty text', '', word, 'is empty: write a word'],
  ['a text alone', 5, text('a word', 'write a word'), '5 is not a word: write a word'],
  ['a choice', 'b', oneOf(['a', 'b']), 'b'],
  ['no such choice', 'c', oneOf(['ask', 'bid']), '"c" is not known here: write ask or bid'],
  ['a choice with a slip', 'asc', oneOf(['ask', 'bid']), '"asc" is not known here: did you mean ask?'],
  ['a flag', true, yesOrNo(), true],
  ['a word for a flag', 'yes', yesOrNo(), '"yes" is not a yes or no: write true or false'],
  ['a number', 1.5, fraction({ atLeast: 1, atMost: 2 }), 1.5],
  [
    'a number too large',
    3,
    fraction({ atLeast: 1, atMost: 2 }),
    '3 is not a number in this range: write a number from 1 to 2',
  ],
  ['a duration', '3s', duration({ atLeastMs: 1 }), 3000],
  ['a list of one', 'x', oneOrMore(word, 'write a word'), ['x']],
  [
    'an empty list of servers',
    [],
    oneOrMoreServers(serverAddress()),
    'is empty: write the address of a server, or a list of them',
  ],
  [
    'an unknown place',
    '%x',
    nameTemplate('a key'),
    '%x is not known here: write %u, %n, %d, or %% for a per cent sign',
  ],
];
for (const [name, value, schema, outcome] of cases) {
  test(`${name} is read as ${inspect(outcome)}`, () => {
    const parsed = schema.safeParse(value);
    const read = parsed.success ? parsed.data : problemsIn(parsed.error.issues)[0]?.message;
    assert.deepEqual(read, outcome);
  });
}

test('a secret is wrapped and is never printed', () => {
  for (const value of ['pw', new Secret('pw')]) assert.equal(wrappedSecret().parse(value).reveal(), 'pw');
  assert.equal(wrappedSecret().safeParse(5).success, false);
});

test('addresses are hosts with ports, or sockets', () => {
  const texts = ['db.example.test', '127.0.0.1:1', '[2001:db8::1]:2', '[::1]', 'unix:/run/x.sock'];
  const schema = oneOrMoreServers(serverAddress(99));
  assert.deepEqual(
    schema.parse(texts).map(({ connect }) => connect),
    [
      { host: 'db.example.test', port: 99 },
      { host: '127.0.0.1', port: 1 },
      { host: '2001:db8::1', port: 2 },
      { host: '::1', port: 99 },
      { path: '/run/x.sock' },
    ],
  );
  for (const text of ['a b', 'h:0', 'h:65536', 'h:x', 'http://h', '2001:db8::1', 'unix:x', 'h/']) {
    assert.equal(schema.safeParse(text).success, false, text);
  }
});
