import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildDirectory } from '../../src/gateway.ts';
import { gatewayWith, run } from '../cli/cli.fixture.ts';
import { filesOf } from '../config/config.fixture.ts';
import {
  loginName,
  outcomeOf,
  recordingLog,
  temporaryDirectory,
  testDirectory,
} from '../directory/directory.fixture.ts';
import { postfix } from '../directory/peers/postfix.fixture.ts';
import { fieldInputPath, readFieldInput } from './input.fixture.ts';

/** The answers of a directory with one table, and its alarms and warnings. */
async function ask(
  names: readonly string[],
  source: { readonly type: string; readonly file: string },
  more: object = {},
) {
  const log = recordingLog();
  await using directory = await testDirectory([{ answers: 'transport', ...source, ...more }], {
    log,
    hosts: { '2001:0db8:0::12': 'b' },
  });
  const outcomes: string[] = [];
  for (const name of names) outcomes.push((await outcomeOf(directory, name)).split(' ')[0] ?? '');
  return { outcomes, log: log.lines };
}

async function askText(text: string, names: readonly string[], more: object = {}, type = 'map') {
  await using folder = await temporaryDirectory();
  const file = join(folder.path, 'table');
  await writeFile(file, text);
  return ask(names, { type, file }, more);
}

test('a transport table for internal delivery is read as it stands', async () => {
  const source = { type: 'map', file: fieldInputPath('D1-transport-null.map') };
  const names = ['alice', 'bob', 'alcie', 'x@sub.example.test', 'x@lists.example.test', 'x@anywhere.test'];
  const { outcomes, log } = await ask(names, source);
  assert.deepEqual(outcomes, ['a', 'b', 'unknown', 'unknown', 'unknown', 'unknown']);
  assert.deepEqual(log, [], 'a hop that leads elsewhere is no alarm');
});

test('a transport table of domains is read as it stands', async () => {
  const source = { type: 'map', file: fieldInputPath('D2-transport-domains.map') };
  const cases = {
    alice: 'a',
    vip: 'b',
    'x@other.test': 'b',
    'x@sub.other.test': 'unknown',
    'x@sales.dept.example.test': 'b',
    'x@dept.example.test': 'unknown',
    'x@six.test': 'b',
    'x@two.test': 'a',
    'x@gone.test': 'unknown',
    'x@nowhere.test': 'unknown',
  };
  const { outcomes, log } = await ask(Object.keys(cases), source);
  assert.deepEqual(outcomes, Object.values(cases));
  assert.deepEqual(log, []);
});

describe("Postfix's forms of a result", () => {
  const cases: readonly (readonly [value: string, outcome: string])[] = [
    [':', 'unknown'],
    ['lmtp:', 'unknown'],
    ['lmtp', 'unknown'],
    [':[mail-a.example.test]:24', 'a'],
    ['lmtp:mail-a.example.test:7025', 'a'],
    ['lmtp:inet:mail-a.example.test:24', 'a'],
    ['lmtp:inet:[ipv6:2001:db8::12]:24', 'b'],
    ['smtp:[IPv6:2001:DB8:0:0::12]', 'b'],
    ['lmtp:unix:private/dovecot-lmtp', 'unknown'],
    ['virtual:', 'unknown'],
    ['error:5.1.2 mail-a.example.test moved', 'unknown'],
    ['error:mail-a.example.test', 'unknown'],
    ['retry:mail-a.example.test', 'unknown'],
    ['discard:', 'unknown'],
    ['smtp:[filter.example.net], [mail-b.example.test]', 'b'],
    ['smtp:mail-b.example.test, mail-a.example.test', 'b'],
    ['smtp:[mail-c.example.test]', 'unknown'],
    ['mail-a.example.test', 'a'],
  ];
  for (const [value, outcome] of cases) {
    test(`${value} is ${outcome}`, async () => {
      const { outcomes, log } = await askText(`alice@example.test ${value}\n`, ['alice']);
      assert.deepEqual([outcomes, log], [[outcome], []]);
    });
  }

  for (const end of [' \n', '\t\r\n', '   # local, as ever\n', ' ']) {
    test(`a colon alone with ${JSON.stringify(end)} behind it changes nothing`, async () => {
      const text = `bob@example.test lmtp:[mail-b.example.test]\nexample.test :${end}`;
      const { outcomes, log } = await askText(text, ['alice', 'bob']);
      assert.deepEqual([outcomes, log], [['unknown', 'b'], []]);
    });
  }

  test('a transport without a next hop goes to the domain itself', async () => {
    const { outcomes } = await askText('mail-a.example.test lmtp:\n', ['x@mail-a.example.test']);
    assert.deepEqual(outcomes, ['a']);
  });

  test('a list may go on over lines, and colons may be our own', async () => {
    const text =
      'alice@example.test smtp:[x.test],\n   [mail-a.example.test]\nbob@example.test : lmtp:[mail-b.example.test]\ncarl@example.test: lmtp:[mail-b.example.test]\n';
    const { outcomes } = await askText(text, ['alice', 'bob', 'carl']);
    assert.deepEqual(outcomes, ['a', 'b', 'b']);
  });
});

const to = (host: 'a' | 'b') => `smtp:[mail-${host}.example.test]`;

describe("Postfix's order of keys", () => {
  const cases: readonly (readonly [what: string, text: string, name: string, outcome: string, more?: object])[] = [
    ['the address before the domain', `example.test ${to('b')}\nalice@example.test ${to('a')}\n`, 'alice', 'a'],
    [
      'an address that leads elsewhere before the domain',
      `example.test ${to('b')}\nalice@example.test smtp:[x.test]\n`,
      'alice',
      'unknown',
    ],
    ['the domain before everybody', `* ${to('a')}\nexample.test ${to('b')}\n`, 'alice', 'b'],
    ['a domain is not that of its subdomains', `example.test ${to('b')}\n`, 'x@sub.example.test', 'unknown'],
    ['.domain is that of all below', `.example.test ${to('b')}\n`, 'x@a.b.example.test', 'b'],
    ['.domain is not the domain itself', `.example.test ${to('b')}\n`, 'alice', 'unknown'],
    ['the closest .domain', `.test ${to('a')}\n.example.test ${to('b')}\n`, 'x@sub.example.test', 'b'],
    [
      'parent domains',
      `example.test ${to('b')}\n`,
      'x@a.b.example.test',
      'b',
      { parent_domain_matches_subdomains: true },
    ],
    [
      'no .domain with them',
      `.example.test ${to('b')}\n`,
      'x@sub.example.test',
      'unknown',
      { parent_domain_matches_subdomains: true },
    ],
    ['a domain in its own letters', `bücher.example ${to('b')}\n`, 'x@bücher.example', 'b'],
    ['.domain in its own letters', `.BÜCHER.example ${to('b')}\n`, 'x@sub.bücher.example', 'b'],
  ];
  for (const [what, text, name, outcome, more = {}] of cases) {
    test(what, async () => assert.deepEqual((await askText(text, [name], more)).outcomes, [outcome]));
  }

  test('patterns are asked for the whole address once', async () => {
    const text = `/^example\\.test$/ ${to('b')}\n/^alice@/ lmtp:mail-a.example.test:7025\n/./ smtp:[smarthost.example.net]\n`;
    const { outcomes, log } = await askText(text, ['alice', 'bob'], {}, 'regex');
    assert.deepEqual([outcomes, log], [['a', 'unknown'], []]);
  });

  test('a cdb that postmap makes of the same text says the same', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'transport');
    await writeFile(file, await readFieldInput('D2-transport-domains.map'));
    await (await postfix()).make('cdb', file);
    const names = ['alice', 'vip', 'x@sales.dept.example.test', 'x@two.test', 'x@six.test', 'x@gone.test'];
    const { outcomes, log } = await ask(names, { type: 'cdb', file: `${file}.cdb` });
    assert.deepEqual([outcomes, log], [['a', 'b', 'b', 'a', 'b', 'unknown'], []]);
  });
});

describe('an alias for any name', () => {
  const homes = { type: 'map', file: '', answers: 'backend' };
  const cases: readonly (readonly [what: string, text: string, type: string, outcome: string, more?: object])[] = [
    ['of a domain', '@example.test admin@example.test\n', 'map', 'unknown'],
    ['of everybody', '* admin@example.test\n', 'map', 'unknown'],
    ['of a domain, as a pattern', '/^.*@example\\.test$/ admin@example.test\n', 'regex', 'unknown'],
    ['that is wanted', '@example.test admin@example.test\n', 'map', 'a', { catch_all: true }],
    ['that keeps the name is no such alias', '@example.test @other.test\n', 'map', 'b'],
    ['that keeps the name, as a pattern', '/^(.*)@example\\.test$/ $1@other.test\n', 'regex', 'b'],
    ['beside one by name', '@example.test admin@example.test\nalice admin\n', 'map', 'a'],
    ['beside one by name, as a pattern', '/^(alice|root)@/ admin@example.test\n', 'regex', 'a'],
  ];
  for (const [what, text, type, outcome, more = {}] of cases) {
    test(`${what}: alice is ${outcome}`, async () => {
      await using folder = await temporaryDirectory();
      const [aliases, users] = [join(folder.path, 'virtual'), join(folder.path, 'users')];
      await writeFile(aliases, text);
      await writeFile(users, 'admin@example.test: a\nalice@other.test: b\n');
      const log = recordingLog();
      const chain = [
        { type, file: aliases, answers: 'user', ...more },
        { ...homes, file: users },
      ];
      // The catch-all of the domain would take the admin, too.
      await using directory = await testDirectory('catch_all' in more ? chain.toReversed() : chain, { log });
      assert.equal((await outcomeOf(directory, 'alice')).split(' ')[0], outcome);
      const isIgnored = text.includes('@example.test admin') || outcome === 'unknown';
      const warned = log.lines.filter((line) => line.includes('directory-catch-all-ignored')).length;
      assert.equal(warned, isIgnored && !('catch_all' in more) ? 1 : 0);
    });
  }
});

describe('what aliases(5) has beside users', () => {
  const cases: readonly (readonly [value: string, outcome: string])[] = [
    ['|/usr/bin/vacation', 'unknown'],
    ['"|/usr/bin/vacation alice"', 'unknown'],
    ['"|/usr/bin/vacation"', 'unknown'],
    ['/dev/null', 'unknown'],
    ['/var/mail/archive', 'unknown'],
    [':include:/etc/postfix/list', 'unknown'],
    ['"bob smith"', 'unknown'],
    ['"bob"', 'unknown'],
    ['bob, "|/usr/bin/vacation"', 'unknown'],
    ['bob', 'b'],
    ['\\bob', 'b'],
    ['bob@example.test', 'b'],
  ];
  for (const [value, outcome] of cases) {
    test(`leads alice to ${value}: ${outcome}, and nobody else`, async () => {
      await using folder = await temporaryDirectory();
      const [aliases, users] = [join(folder.path, 'aliases'), join(folder.path, 'users')];
      await writeFile(aliases, `postmaster: bob\nalice: ${value}\n`);
      await writeFile(users, 'bob: b\n');
      const log = recordingLog();
      await using directory = await testDirectory(
        [
          { type: 'map', file: aliases, answers: 'user' },
          { type: 'map', file: users },
        ],
        { log },
      );
      const { steps } = await directory.explain(loginName('alice'), AbortSignal.timeout(5000));
      const asked = new Set(steps.map((step) => String(step.asked)));
      assert.deepEqual(
        asked,
        new Set(outcome === 'b' ? ['alice@example.test', 'bob@example.test'] : ['alice@example.test']),
      );
      assert.equal((await outcomeOf(directory, 'alice')).split(' ')[0], outcome);
      assert.deepEqual(log.lines, []);
    });
  }
});

describe('a Postfix table of another kind', () => {
  const cases: readonly (readonly [what: string, text: string, said: RegExp])[] = [
    ['patterns', 'alice a\n\n/^bob@/ b\n', /table:3: a pattern matches no name here: write type: regex$/],
    ['negated patterns', '!/^bob@/ b\n', /table:1: a pattern matches no name/],
    ['networks', '# cidr\n10.0.0.0/8 a\n', /table:2: an address or network is not a name: this is a table of clients/],
    ['addresses', '192.0.2.1 REJECT\n', /table:1: an address or network is not a name/],
    ['networks in brackets', '[2001:db8::]/32 a\n', /table:1: an address or network is not a name/],
    ['keys as JSON has them', '{"alice": "a"}\n', /table:1: a key in quotes matches no name/],
    ['comments of another kind', '// users\nalice a\n', /table:1: comments begin with #/],
    [
      'values that are no backend',
      'alice a\nbob mail-b\ncarl c\n',
      /names backends that are not configured: \S+table:2: "mail-b"/,
    ],
    ['an equals sign', 'alice = a\n', /names backends that are not configured: \S+table:1: "= a"/],
    ['a table of accounts', 'alice:x:1000:1000::/home/alice:/bin/sh\n', /names backends that are not configured/],
    ['quoted keys', '"alice smith"@example.test a\n', /table:1: a key in quotes matches no name/],
  ];
  for (const [what, text, said] of cases) {
    test(`is told by check, with its line and kind: ${what}`, async (t) => {
      const folder = filesOf(t, {
        'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: map, file: table }] }
backends: { a: { imap: imaps://a.test, webmail: http://a.test/, driver: none } }
`,
        table: text,
      });
      const environment = { loadGateway: gatewayWith({ buildDirectory }) };
      const { code, out } = await run(['check', '-c', join(folder, 'postern.yaml')], environment);
      assert.equal(code, 0, out);
      const row = out.split('\n').find((line) => line.startsWith('directory map')) ?? '';
      assert.match(row.trim(), /\swarning\s/);
      assert.match(row.trim(), new RegExp(said.source));
    });
  }

  test('is no name of digits, nor one that begins with them', async () => {
    const { outcomes, log } = await askText('4711 a\n10.4711@example.test b\n', ['4711', '10.4711'], {
      answers: 'backend',
    });
    assert.deepEqual([outcomes, log], [['a', 'b'], []]);
  });
});
