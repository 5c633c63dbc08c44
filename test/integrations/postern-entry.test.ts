import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { Secret } from '../../src/core/secrets.ts';
import { signEntry } from '../../src/webmail/roundcube/entry.ts';
import { execFileSync } from '../programs.ts';
import { canonical } from './roundcube-browser.fixture.ts';

const directory = fileURLToPath(new URL('../../integrations/roundcube/postern/', import.meta.url));
const nowMs = Date.UTC(2026, 10, 22);
const key = 'k'.repeat(32);

/** Runs PHP over a list of cases; `body` sees each as $case and returns what is compared. */
function php(body: string, cases: readonly unknown[]): unknown {
  const code = `
    foreach (['entry', 'networks'] as $part) require "${directory}postern_$part.php";
    $answers = array_map(function ($case) { ${body} }, json_decode(stream_get_contents(STDIN), true));
    echo json_encode($answers);`;
  const input = JSON.stringify(cases);
  return JSON.parse(execFileSync('php', ['-d', 'display_errors=stderr', '-r', code], { input, encoding: 'utf8' }));
}

const read = `
  $entry = postern_entry::read($case['field'], $case['method'], $case['target'], $case['keys'], $case['now']);
  return is_string($entry) ? $entry : [$entry->user, $entry->session, $entry->zone, $entry->actor];`;

test('what the gateway signs, the plugin reads: any user, session and target', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .filter((each) => !/[\0-\x1f\x7f]/.test(each));
  const one = fc.record({ user: text, session: text, target: text.map((each) => `/${each}`) });
  const sample = fc.sample(one, { numRuns: 200, seed: 7 });
  const cases = sample.map(({ user, session, target }) => {
    const as = { user: canonical(user), session, timeZone: 'Europe/Berlin' };
    const field = signEntry(new Secret(key), { method: 'POST', target }, as, { nowMs: () => nowMs });
    return { field, method: 'POST', target, keys: [key], now: nowMs / 1000 };
  });
  const expected = sample.map(({ user, session }) => [user, session, 'Europe/Berlin', '']);
  assert.deepEqual(php(read, cases), expected);
});

test('hostile fields open nothing', () => {
  const signed = signEntry(
    new Secret(key),
    { method: 'GET', target: '/' },
    { user: canonical('a@b'), timeZone: undefined },
    {
      nowMs: () => nowMs,
    },
  );
  const [payload = '', signature = ''] = signed.split('.');
  const other = Buffer.from(JSON.stringify({ user: 'c@d', session: '', time: nowMs / 1000, zone: '', actor: '' }));
  const fields = [
    '',
    '.',
    payload,
    `${payload}.`,
    `.${signature}`,
    `${payload}.${signature}=`,
    `${payload}.${signature}\n`,
    `${payload}.${'A'.repeat(43)}`,
    `${other.toString('base64url')}.${signature}`,
    `${payload}A.${signature}`,
    `${payload}.${signature}.${signature}`,
    'A'.repeat(5000),
    ...fc.sample(fc.string({ unit: 'binary-ascii', maxLength: 80 }), { numRuns: 100, seed: 7 }),
  ];
  const cases = fields.map((field) => ({ field, method: 'GET', target: '/', keys: [key], now: nowMs / 1000 }));
  const answers = php(read, cases);
  assert.ok(Array.isArray(answers) && answers.length === fields.length);
  for (const answer of answers) assert.ok(answer === 'malformed' || answer === 'signature');
});

const around: readonly (readonly [offsetS: number, answer: unknown])[] = [
  [-31, 'time'],
  [-30, ['a@b', '', '', '']],
  [30, ['a@b', '', '', '']],
  [31, 'time'],
];
test('a signature counts for thirty seconds before and after', () => {
  const field = signEntry(
    new Secret(key),
    { method: 'GET', target: '/' },
    { user: canonical('a@b'), timeZone: undefined },
    {
      nowMs: () => nowMs,
    },
  );
  const cases = around.map(([offset]) => ({
    field,
    method: 'GET',
    target: '/',
    keys: [key],
    now: nowMs / 1000 + offset,
  }));
  assert.deepEqual(
    php(read, cases),
    around.map(([, answer]) => answer),
  );
});

test('any of several keys may have signed, and short ones are never used', () => {
  const signedWith = (secret: string): string =>
    signEntry(
      new Secret(secret),
      { method: 'GET', target: '/' },
      { user: canonical('a@b'), timeZone: undefined },
      {
        nowMs: () => nowMs,
      },
    );
  const base = { method: 'GET', target: '/', now: nowMs / 1000 };
  const cases = [
    { ...base, field: signedWith(key), keys: ['n'.repeat(32), key] },
    { ...base, field: signedWith('short'), keys: ['short'] },
    { ...base, field: signedWith(key), keys: [] },
    { ...base, field: signedWith(''), keys: [''] },
  ];
  assert.deepEqual(php(read, cases), [['a@b', '', '', ''], 'key', 'key', 'key']);
});

const networks: readonly (readonly [address: string, networks: readonly unknown[], holds: boolean])[] = [
  ['10.0.0.21', ['10.0.0.21'], true],
  ['10.0.0.22', ['10.0.0.21'], false],
  ['10.0.0.22', ['192.0.2.1', '10.0.0.0/24'], true],
  ['10.0.1.22', ['10.0.0.0/24'], false],
  ['10.0.0.127', ['10.0.0.64/26'], true],
  ['10.0.0.128', ['10.0.0.64/26'], false],
  ['2001:db8::1', ['2001:db8::/32'], true],
  ['2001:db9::1', ['2001:db8::/32'], false],
  ['::ffff:10.0.0.21', ['10.0.0.21'], true],
  ['10.0.0.21', ['::ffff:10.0.0.0/24'], true],
  ['10.0.0.21', ['0.0.0.0/0'], false],
  ['10.0.0.21', ['10.0.0.21/33'], false],
  ['10.0.0.21', ['10.0.0.21/'], false],
  ['10.0.0.21', ['10.0.0.21/8x'], false],
  ['::1', ['10.0.0.21', ''], false],
  ['', [''], false],
  ['10.0.0.21', [], false],
  ['10.0.0.21', [null, 'localhost'], false],
];
test('addresses are matched against networks, and what cannot be read is in none', () => {
  const answers = php('return postern_networks::hold($case[0], $case[1]);', networks);
  assert.deepEqual(
    answers,
    networks.map(([, , holds]) => holds),
  );
});
