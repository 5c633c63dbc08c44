import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Secret } from '../../src/core/secrets.ts';
import { plainRefusal, readAnswerObject } from '../../src/directory/answers.ts';
import { checkSource } from '../../src/directory/registry.ts';
import { badAnswer } from '../../src/directory/source.ts';
import { backendsNamed, loginName, outcomeOf, recordingLog, testDirectory } from '../directory/directory.fixture.ts';
import { startMariadb } from '../directory/peers/mariadb.fixture.ts';
import { startPostgresql } from '../directory/peers/postgresql.fixture.ts';
import { type Slapd, startSlapd } from '../directory/peers/slapd.fixture.ts';
import type { SqlServer } from '../directory/peers/sql-server.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const generic = 'refused: This account may not sign in.';
/** The statements of a file of SQL. */
const statements = (text: string) =>
  text
    .replace(/--.*$/gm, '')
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one !== '');

describe('a PostgreSQL whose columns are char(n)', () => {
  let server: SqlServer;
  before(async () => {
    server = await startPostgresql();
    for (const sql of statements((await readFieldInput('D5-postgres-char.sql')).toString())) await server.run(sql);
    await server.run("insert into homes_char values ('carl@example.test', 'b', null, 'Please call the office')");
  });
  after(() => server[Symbol.asyncDispose]());

  for (const [user, outcome] of [
    ['alice', 'a alice@example.test'],
    ['bob', 'b bob@example.test'],
    ['carl', 'refused: Please call the office'],
  ] as const) {
    test(`says that ${user} is ${outcome}: blanks behind a value are padding`, async () => {
      const query = 'select servername as backend, reason as refuse from homes_char where login = %u';
      await using directory = await testDirectory([
        {
          type: 'postgresql',
          servers: `127.0.0.1:${server.port}`,
          tls_ca_file: server.caFile,
          database: 'postgres',
          user: 'postern',
          query,
        },
      ]);
      assert.equal(await outcomeOf(directory, user), outcome);
    });
  }

  for (const [what, column, outcome] of [
    ['a time', 'now()', generic],
    ['a bytea', "'mail-a'::bytea", 'refused: mail-a'],
    ['a bit', "b'1'", generic],
    ['no bit', "b'0'", 'a alice@example.test'],
    ['true', 'true', generic],
    ['false', 'false', 'a alice@example.test'],
    ['a bigint', '0::bigint', 'a alice@example.test'],
    ['a numeric', '3.0::numeric', generic],
  ] as const) {
    test(`with ${what} as refusal is ${outcome}`, async () => {
      const query = `select 'a' as backend, ${column} as refuse where %u <> ''`;
      await using directory = await testDirectory([
        {
          type: 'postgresql',
          servers: `127.0.0.1:${server.port}`,
          tls_ca_file: server.caFile,
          database: 'postgres',
          user: 'postern',
          query,
        },
      ]);
      assert.equal(await outcomeOf(directory, 'alice'), outcome);
    });
  }
});

describe('a MariaDB whose columns are BIT, VARBINARY and numbers', () => {
  let server: SqlServer;
  before(async () => {
    server = await startMariadb();
    await server.run(
      `create table postern.homes_types ${(/homes_types (\([^]*?\n\));/.exec((await readFieldInput('D6-mysql-types.sql')).toString())?.[1] ?? '').replace(/--.*$/gm, '')}`,
    );
    const inserts = statements((await readFieldInput('D6-mysql-types.sql')).toString()).filter((sql) =>
      sql.startsWith('insert'),
    );
    for (const sql of inserts) await server.run(sql.replace('homes_types', 'postern.homes_types'));
  });
  after(() => server[Symbol.asyncDispose]());

  const cases: readonly (readonly [columns: string, more: object, alice: string, bob: string])[] = [
    ['host as backend', {}, 'a alice@example.test', 'b bob@example.test'],
    ['server_id as backend', {}, '1 alice@example.test', '2 bob@example.test'],
    ["'a' as backend, suspended as refuse", {}, 'a alice@example.test', generic],
    ["'a' as backend, level as refuse", {}, generic, generic],
    ["'a' as backend, level as refuse", { refuse: { when: [0, 1] } }, 'a alice@example.test', 'a bob@example.test'],
    [
      "'a' as backend, suspended",
      { refuse: { column: 'suspended', later: 1 } },
      'a alice@example.test',
      'ERR_DIRECTORY_UNAVAILABLE',
    ],
    ["'a' as backend, cast('0000-00-00' as datetime) as refuse", {}, 'a alice@example.test', 'a bob@example.test'],
    ["'a' as backend, now() as refuse", {}, generic, generic],
    ["cast('a' as binary(20)) as backend", {}, 'a alice@example.test', 'a bob@example.test'],
  ];
  for (const [columns, more, alice, bob] of cases) {
    test(`select ${columns}, with ${JSON.stringify(more)}`, async () => {
      const settings = {
        type: 'mysql',
        servers: `127.0.0.1:${server.port}`,
        tls_ca_file: server.caFile,
        tls_server_name: 'db.example.test',
        database: 'postern',
        user: 'postern',
        password: 'postern-pw',
        query: `select ${columns} from homes_types where login = %u`,
      };
      await using directory = await testDirectory([{ ...settings, ...more }], {
        backends: backendsNamed('a', 'b', '1', '2'),
      });
      assert.deepEqual([await outcomeOf(directory, 'alice'), await outcomeOf(directory, 'bob')], [alice, bob]);
    });
  }
});

describe('an LDAP directory with a status attribute, and with transports', () => {
  let slapd: Slapd;
  before(async () => {
    slapd = await startSlapd();
    await slapd.add((await readFieldInput('D7-accountstatus.ldif')).toString().replaceAll('{SUFFIX}', slapd.base));
    const zimbra = (await readFieldInput('D3-zimbra.ldif')).toString().replace(/^dn: dc=[^]*?\n\n/, '');
    await slapd.add(zimbra.replaceAll('dc=example,dc=test', slapd.base).replaceAll(/^#.*\n/gm, ''));
  });
  after(() => slapd[Symbol.asyncDispose]());

  const open = async (more: object) => {
    const log = recordingLog();
    const settings = {
      type: 'ldap',
      servers: `ldap://127.0.0.1:${slapd.port}`,
      tls_ca_file: slapd.caFile,
      bind_dn: slapd.bindDn,
      bind_password: new Secret(slapd.bindPassword),
      base: slapd.base,
      scope: 'one',
      filter: '(mail=%u)',
      backend_attribute: 'description',
      ...more,
    };
    return { directory: await testDirectory([settings], { log }), log };
  };

  const cases: readonly (readonly [what: string, more: object, alice: string, bob: string])[] = [
    [
      'active lets in, other words are the reason',
      { refuse_attribute: 'employeeType' },
      'a alice@example.test',
      'refused: maintenance',
    ],
    [
      'maintenance is later',
      { refuse: { attribute: 'employeeType', when: ['locked', 'closed'], later: ['Maintenance'] } },
      'a alice@example.test',
      'ERR_DIRECTORY_UNAVAILABLE',
    ],
    [
      'what is not listed lets in',
      { refuse: { attribute: 'employeeType', when: 'locked' } },
      'a alice@example.test',
      'b bob@example.test',
    ],
    [
      'what is listed is no text for users',
      { refuse: { attribute: 'employeeType', when: ['maintenance'] } },
      'a alice@example.test',
      generic,
    ],
    [
      'transports as Zimbra writes them',
      { base: 'ou=people,dc=example,dc=test', answers: 'transport' },
      'a alice@example.test',
      'b bob@example.test',
    ],
  ];
  for (const [what, more, alice, bob] of cases) {
    test(what, async () => {
      const { directory } = await open(more);
      await using _ = directory;
      assert.deepEqual([await outcomeOf(directory, 'alice'), await outcomeOf(directory, 'bob')], [alice, bob]);
    });
  }

  test('a transport that is read as a host is an alarm with the remedy', async () => {
    const { directory, log } = await open({ base: 'ou=people,dc=example,dc=test' });
    await using _ = directory;
    assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_ANSWER');
    assert.match(JSON.stringify(log.fields), /if it is a transport of Postfix, write answers: transport/);
  });

  test('"later" is no alarm, and its user is not let in by an older answer', async () => {
    const { directory, log } = await open({ refuse: { attribute: 'employeeType', later: ['maintenance'] } });
    await using _ = directory;
    assert.equal(await outcomeOf(directory, 'bob'), 'ERR_DIRECTORY_UNAVAILABLE');
    assert.deepEqual(log.lines, ['info directory-later']);
  });
});

describe('what a value of a refusal means', () => {
  const keys = {
    backend: 'backend',
    user: 'user',
    refusal: plainRefusal('refuse'),
    role: 'role',
    meaning: 'backend',
  } as const;
  const cases: readonly (readonly [value: unknown, outcome: string])[] = [
    [null, 'found'],
    ['', 'found'],
    [' '.repeat(80), 'found'],
    ['\0'.repeat(20), 'found'],
    ['N   ', 'found'],
    ['active', 'found'],
    ['ENABLED', 'found'],
    ['f', 'found'],
    [0, 'found'],
    [0n, 'found'],
    [false, 'found'],
    [Buffer.from([0]), 'found'],
    [new Date(Number.NaN), 'found'],
    ['0000-00-00 00:00:00', 'found'],
    ['Y  ', generic],
    [1, generic],
    [2, generic],
    [true, generic],
    [Buffer.from([1]), generic],
    [new Date(0), generic],
    ['1704067200', generic],
    ['20240101000000Z', generic],
    ['20240101000000.0+0100', generic],
    ['2024-01-01', generic],
    ['2024-01-01 10:00:00+00', generic],
    ['2024 is not paid', 'refused: 2024 is not paid'],
    [Buffer.from('Not paid'), 'refused: Not paid'],
    [Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9]), 'ERR_DIRECTORY_ANSWER'],
    [{}, 'ERR_DIRECTORY_ANSWER'],
    [[], 'ERR_DIRECTORY_ANSWER'],
  ];
  for (const [value, outcome] of cases) {
    test(`${typeof value === 'bigint' ? '0n' : JSON.stringify(value)} is ${outcome}`, () => {
      const context = { name: loginName('alice'), findHome: () => undefined };
      const read = () => {
        const answer = readAnswerObject({ refuse: value }, keys, context);
        return answer.kind === 'refused' ? `refused: ${answer.reason}` : answer.kind;
      };
      if (outcome === badAnswer('').code) assert.throws(read, { code: outcome });
      else assert.equal(read(), outcome);
    });
  }
});

test('what refuse may be is checked', async () => {
  const ldap = { type: 'ldap', servers: 'ldap://x', base: 'dc=x', filter: '(mail=%u)' };
  const form = 'write refuse: { attribute: NAME, when: [locked, closed], later: [maintenance] }';
  for (const [refuse, message] of [
    [{ attribute: 'status' }, undefined],
    [{ when: ['closed'] }, `is missing: ${form}`],
    [{ attribute: 'status', whenn: ['closed'] }, 'is not a known key: did you mean when?'],
    [{ attribute: 'status', later: [{}] }, 'a map is not a word: write a word, or a list of words'],
    ['status', '"status" is not a map of keys: write its keys: attribute, when, later'],
  ] as const) {
    const [problem] = await checkSource({ ...ldap, refuse });
    assert.equal(problem?.message, message, JSON.stringify(refuse));
  }
  const both = await checkSource({ ...ldap, refuse: { attribute: 'x' }, refuse_attribute: 'y' });
  assert.match(both[0]?.message ?? '', /not both/);
});
