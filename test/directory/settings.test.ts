import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Secret } from '../../src/core/secret.ts';
import { readAddresses, Settings } from '../../src/directory/settings.ts';

const cases: readonly (readonly [
  name: string,
  value: unknown,
  read: (settings: Settings) => unknown,
  outcome: unknown,
])[] = [
  ['a text', 'x', (settings) => settings.text('key'), 'x'],
  ['a number where a text belongs', 5, (settings) => settings.text('key'), '5'],
  ['no text', undefined, (settings) => settings.text('key'), 'is required'],
  ['an empty text', '', (settings) => settings.text('key'), 'write a text that is not empty'],
  ['a key without a value', null, (settings) => settings.text('key', 'other'), 'other'],
  ['a choice', 'b', (settings) => settings.choice('key', ['a', 'b'], 'a'), 'b'],
  ['no such choice', 'c', (settings) => settings.choice('key', ['a', 'b'], 'a'), 'write one of a, b'],
  ['a flag', true, (settings) => settings.flag('key', false), true],
  ['a word for a flag', 'yes', (settings) => settings.flag('key', false), 'write true or false'],
  ['a number', 1.5, (settings) => settings.number('key', { min: 1, max: 2 }), 1.5],
  ['a number too large', 3, (settings) => settings.number('key', { min: 1, max: 2 }), 'write a number from 1 to 2'],
  ['a duration', '3s', (settings) => settings.durationMs('key', 1), 3000],
  ['a bare number', 3, (settings) => settings.durationMs('key', 1), 'write a duration such as 500ms, 3s or 10min'],
  ['a list of one', 'x', (settings) => settings.list('key'), ['x']],
  ['a list of lists', [['x']], (settings) => settings.list('key'), 'write a text or a list of texts'],
  [
    'a table',
    { a: 'x', b: 2 },
    (settings) => [...settings.table('key')],
    [
      ['a', 'x'],
      ['b', '2'],
    ],
  ],
  ['a list for a table', ['x'], (settings) => settings.record('key'), 'write names and values: { name: value }'],
  ['a number for a secret', 5, (settings) => settings.secret('key'), 'write a text, { file: … } or { env: … }'],
  ['a name of every object', { __proto__: 1 }, (settings) => settings.has('constructor'), false],
];
for (const [name, value, read, outcome] of cases) {
  test(`${name} is read as ${inspect(outcome)}`, () => {
    const settings = new Settings({ key: value });
    const result = read(settings);
    const [problem] = settings.finish();
    assert.deepEqual(
      problem === undefined || problem.message.startsWith('unknown key') ? result : problem.message,
      outcome,
    );
  });
}

test('a secret is wrapped, and found wrapped, and is never printed', () => {
  for (const value of ['pw', new Secret('pw')]) {
    const settings = new Settings({ key: value });
    assert.equal(settings.secret('key')?.reveal(), 'pw');
  }
});

test('addresses are hosts with ports, or sockets', () => {
  const texts = ['db.example.test', '127.0.0.1:1', '[2001:db8::1]:2', '[::1]', 'unix:/run/x.sock'];
  const settings = new Settings({ key: texts });
  assert.deepEqual(
    readAddresses(settings, 'key', 99).map(({ connect }) => connect),
    [
      { host: 'db.example.test', port: 99 },
      { host: '127.0.0.1', port: 1 },
      { host: '2001:db8::1', port: 2 },
      { host: '::1', port: 99 },
      { path: '/run/x.sock' },
    ],
  );
  assert.deepEqual(settings.finish(), []);
  for (const text of ['a b', 'h:0', 'h:65536', 'h:x', 'http://h', '2001:db8::1', 'unix:x', 'h/']) {
    const wrong = new Settings({ key: text });
    readAddresses(wrong, 'key', 99);
    assert.equal(wrong.finish().length, 1, text);
  }
});
