import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { buildDirectory } from '../../src/gateway.ts';
import { gatewayWith, run } from '../cli/cli.fixture.ts';
import { filesOf, problemsOf } from '../config/config.fixture.ts';
import { outcomeOf, temporaryDirectory, testDirectory } from '../directory/directory.fixture.ts';

const rules = `default_domain: example.test, detail_separator: "+", domain_aliases: { example.com: example.test }`;
const hosts = 'console: http://support.localhost:8080, assist: http://assist.localhost:8080';

/** A site with these rules for names, whose users stand in a map. */
function site(support: string, sources = '{ type: map, file: users.map }'): string {
  return `public_url: http://127.0.0.1:8080
directory: { ${rules}, sources: [${sources}] }
backends:
  a: { imap: imaps://127.0.0.1:1, webmail: http://127.0.0.1:1/, driver: none }
support: { ${hosts}, ${support} }
`;
}

describe('a name in the configuration that no sign-in has', () => {
  const cases: readonly (readonly [what: string, yaml: string, problem: RegExp | undefined])[] = [
    ['the right spelling', site('never_opened: [head@example.test]'), undefined],
    [
      'a bare name',
      site('never_opened: [head]'),
      /never_opened\[0\]: "head" signs in as head@example\.test: write that/,
    ],
    ['a domain alias', site('never_opened: [head@example.com]'), /signs in as head@example\.test: write that/],
    ['a detail', site('never_opened: [head+x@example.test]'), /signs in as head@example\.test: write that/],
    ['capitals', site('never_opened: [Head@example.test]'), /signs in as head@example\.test: write that/],
    ['a master user', site('never_opened: ["head*master"]'), /"head\*master" is not a mailbox name: write a mailbox/],
    ['what is no name', site('never_opened: ["a b"]'), /"a b" is not a mailbox name/],
    ['an empty text', site('never_opened: [""]'), /never_opened\[0\]: is empty/],
    [
      'staff as a bare name',
      site('staff: { sam: support }'),
      /staff\.sam: "sam" signs in as sam@example\.test: write that/,
    ],
    [
      'staff in a domain alias',
      site('staff: { sam@example.com: support }'),
      /signs in as sam@example\.test: write that/,
    ],
    [
      'staff for a domain alias',
      site('staff: { sam@example.test: { roles: [support], domains: [Example.com] } }'),
      /domains\[0\]: "example\.com" is an alias of example\.test/,
    ],
    [
      'a source for a domain alias',
      site('never_opened: []', '{ type: map, file: users.map, domains: example.com }'),
      /sources\[0\]\.domains: "example\.com" is an alias of example\.test/,
    ],
    [
      'a source for all below a domain alias',
      site('never_opened: []', '{ type: map, file: users.map, domains: [example.test, "*.example.com"] }'),
      /sources\[0\]\.domains\[1\]: "\*\.example\.com" is an alias of example\.test/,
    ],
    [
      'a pinned user who is none',
      site('never_opened: []', '{ type: hash, pinned: { "a b": a } }'),
      /sources\[0\]\.pinned\.a b: "a b" is not a mailbox name/,
    ],
    ['a pinned user in any spelling', site('never_opened: []', '{ type: hash, pinned: { alice: a } }'), undefined],
  ];
  for (const [what, yaml, problem] of cases) {
    test(`${problem === undefined ? 'takes' : 'refuses'} ${what}`, async (t) => {
      const problems = await problemsOf(t, { 'postern.yaml': yaml, 'users.map': 'alice: a\n' });
      assert.equal(problems.length, problem === undefined ? 0 : 1, problems.join('\n'));
      if (problem !== undefined) assert.match(problems[0] ?? '', problem);
    });
  }
});

describe('a network in the configuration', () => {
  const lists = [
    ['trusted_proxies', (network: string) => `trusted_proxies: ["${network}"]`],
    ['exempt_networks', (network: string) => `login: { exempt_networks: ["${network}"] }`],
    ['allow', (network: string) => `directory_service: { listen: 127.0.0.1:9092, allow: ["${network}"] }`],
  ] as const;
  for (const [key, yaml] of lists) {
    for (const network of [
      '0.0.0.0/0',
      '0.0.0.0/1',
      '128.0.0.0/1',
      '::/0',
      '::/1',
      '::/16',
      '2000::/3',
      '::ffff:0:0/96',
    ]) {
      test(`${key} refuses ${network}, which is the Internet or a large part of it`, async (t) => {
        const text = `${site('never_opened: []')}${yaml(network)}\n`;
        const problems = await problemsOf(t, { 'postern.yaml': text, 'users.map': 'alice: a\n' });
        assert.equal(problems.length, 1, problems.join('\n'));
        assert.match(problems[0] ?? '', new RegExp(`${key}\\[0\\]: .*Internet: list only your own addresses`));
      });
    }
  }

  test('that is IPv4 written as IPv6 is the IPv4 network', async (t) => {
    const text = `${site('never_opened: []')}trusted_proxies: ["::ffff:10.0.0.0/104", "::ffff:192.0.2.7"]\n`;
    const directory = filesOf(t, { 'postern.yaml': text, 'users.map': 'alice: a\n' });
    const config = await loadConfig(join(directory, 'postern.yaml'), { env: {} });
    assert.deepEqual(config.trustedProxies, ['10.0.0.0/8', '192.0.2.7/32']);
  });
});

/** The rows of `check --online` that are about names: where the name stands, the name, the result, the note. */
async function namesOnline(t: TestContext, support: string, users: readonly string[] = []) {
  const aliases = 'boss@example.test head@example.test\n';
  const text = site(support, '{ type: map, file: aliases.map, answers: user }, { type: map, file: users.map }');
  const directory = filesOf(t, {
    'postern.yaml': text,
    'users.map': 'head: a\nsam: a\nalice: a\nbroken: nowhere\n',
    'aliases.map': aliases,
  });
  const file = join(directory, 'postern.yaml');
  const { out } = await run(['check', '--online', '--format', 'json', '-c', file, ...users], {
    loadGateway: gatewayWith({ buildDirectory }),
  });
  const { servers }: { servers: readonly { server: string; address: string; result: string; note: string }[] } =
    JSON.parse(out);
  return servers
    .filter(({ server }) => /^(user|staff|never_opened)$/.test(server))
    .map(({ server, address, result, note }) => `${server} ${address} ${result}: ${note}`);
}

test('check --online looks the names up, and names aliases and unknowns', async (t) => {
  const support =
    'staff: { sam@example.test: support, gone@example.test: auditor }, never_opened: [head@example.test, boss@example.test, broken@example.test]';
  assert.deepEqual(await namesOnline(t, support), [
    'staff sam@example.test ok: lives on a',
    'staff gone@example.test warning: is unknown here: this entry gives nobody a role',
    'never_opened head@example.test ok: lives on a',
    'never_opened boss@example.test warning: is an alias of head@example.test: this entry protects nobody; write head@example.test',
    'never_opened broken@example.test failed: 2 map answered "nowhere": not the name or host of exactly one backend',
  ]);
});

test('check --online shows what users would get who are named', async (t) => {
  assert.deepEqual(await namesOnline(t, 'never_opened: []', ['Boss', 'alice', 'alcie', 'a b']), [
    'user Boss ok: lives on a as head@example.test',
    'user alice ok: lives on a as alice@example.test',
    'user alcie warning: is unknown here',
    'user a b warning: is not a valid user name',
  ]);
});

test('users who are named without --online are refused with the remedy', async (t) => {
  const file = join(
    filesOf(t, { 'postern.yaml': site('never_opened: []'), 'users.map': 'alice: a\n' }),
    'postern.yaml',
  );
  const { code, err } = await run(['check', '-c', file, 'alice']);
  assert.equal(code, 2);
  assert.match(err, /looking up users needs --online/);
});

test('bare keys of a table are met where the default domain is an alias itself', async () => {
  await using folder = await temporaryDirectory();
  const file = join(folder.path, 'users.map');
  writeFileSync(file, 'alice: a\n');
  const nameRules = { defaultDomain: 'example.com', domainAliases: { 'example.com': 'example.test' } };
  await using directory = await testDirectory([{ type: 'map', file }], { nameRules });
  assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
});
