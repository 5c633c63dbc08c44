import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { z } from 'zod';
import { checkSource } from '../../../src/directory/registry.ts';
import { compileQuery, databaseSettings } from '../../../src/directory/sources/sql.ts';
import { loginName, outcomeOf, testDirectory } from '../directory.fixture.ts';
import { startServer } from '../peers/line-server.fixture.ts';
import { startMariadb } from '../peers/mariadb.fixture.ts';
import { startPostgresql } from '../peers/postgresql.fixture.ts';
import type { SqlServer } from '../peers/sql-server.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

const query = 'select backend, "user", refuse from homes where login = %u';
const databases = [
  {
    type: 'postgresql',
    start: startPostgresql,
    settings: { database: 'postgres', user: 'postern', query },
    slow: 'select backend from homes, pg_sleep(10) where login = %u',
    list: "insert into homes values ('al@example.test', 'a', 'alice', null), ('dora@example.test', 'a', null, 'Not paid'), ('emil@example.test', null, null, 'y'), ('fred@example.test', 'a', null, 'n'), ('gina@example.test', null, null, null), ('twin@example.test', 'a', null, null), ('twin@example.test', 'a', null, null)",
  },
  {
    type: 'mysql',
    start: startMariadb,
    settings: {
      database: 'postern',
      user: 'postern',
      password: 'postern-pw',
      tls_server_name: 'db.example.test',
      query: query.replaceAll('"', '`'),
    },
    slow: 'select backend, sleep(10) from homes where login = %u',
    list: "insert into postern.homes values ('al@example.test', 'a', 'alice', null), ('dora@example.test', 'a', null, 'Not paid'), ('emil@example.test', null, null, 'y'), ('fred@example.test', 'a', null, 'n'), ('gina@example.test', null, null, null), ('twin@example.test', 'a', null, null), ('twin@example.test', 'a', null, null)",
  },
] as const;

for (const { type, start, settings, slow, list } of databases) {
  const settingsFor = (server: SqlServer) => ({
    type,
    servers: `127.0.0.1:${server.port}`,
    tls_ca_file: server.caFile,
    ...settings,
  });

  sourceContract(type, async () => {
    const server = await start();
    await server.put('alice@example.test', 'a');
    await server.put('bob@example.test', 'b');
    return {
      settings: settingsFor(server),
      put: (user, home) => server.put(user, home),
      outage: { begin: () => server.stop(), end: () => server.start() },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  });

  describe(`${type}, as a database`, () => {
    let server: SqlServer;
    before(async () => {
      server = await start();
      await server.put('alice@example.test', 'a');
      await server.run(list);
    });
    after(() => server[Symbol.asyncDispose]());

    const outcomes: readonly (readonly [user: string, outcome: string])[] = [
      ['al', 'a alice@example.test'],
      ['dora', 'refused: Not paid'],
      ['emil', 'refused: This account may not sign in.'],
      ['fred', 'a fred@example.test'],
      ['gina', 'ERR_DIRECTORY_ANSWER'],
      ['twin', 'ERR_DIRECTORY_ANSWER'],
    ];
    for (const [user, outcome] of outcomes) {
      test(`${user} is ${outcome}`, async () => {
        await using directory = await testDirectory([settingsFor(server)]);
        assert.equal(await outcomeOf(directory, user), outcome);
      });
    }

    test('a column may have the role of a member of staff', async () => {
      const withRole = settings.query.replace(
        ', refuse',
        ", refuse, case when login = 'al@example.test' then 'lead' end as role",
      );
      await using directory = await testDirectory([{ ...settingsFor(server), query: withRole }]);
      assert.equal(await outcomeOf(directory, 'al'), 'a alice@example.test (lead)');
      assert.equal(await outcomeOf(directory, 'fred'), 'a fred@example.test');
    });

    test('a slow query is given up, and the next is answered', async () => {
      await using directory = await testDirectory([{ ...settingsFor(server), query: slow, timeout: '300ms' }]);
      const startedMs = performance.now();
      assert.match(await outcomeOf(directory, 'alice'), /^ERR_(DEADLINE|DIRECTORY_UNAVAILABLE)$/);
      assert.ok(performance.now() - startedMs < 5000);
    });

    test('a wrong query or password is a tempfail', async () => {
      for (const wrong of [
        { query: 'select backend from nowhere where login = %u' },
        { query: 'slect %u' },
        { user: 'stranger' },
      ]) {
        await using directory = await testDirectory([{ ...settingsFor(server), ...wrong }]);
        assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE', JSON.stringify(wrong));
      }
    });

    test('is not asked if its certificate is untrusted or for another name', async () => {
      const { tls_ca_file: _, ...untrusting } = settingsFor(server);
      for (const distrust of [untrusting, { ...settingsFor(server), tls_server_name: 'other.example.test' }]) {
        await using directory = await testDirectory([distrust]);
        assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
      }
      await using plain = await testDirectory([{ ...untrusting, tls: 'none' }]);
      assert.equal(await outcomeOf(plain, 'alice'), 'a alice@example.test');
    });

    test('has several servers: those that are away or hang are skipped', async () => {
      await using hanging = await startServer(() => {});
      const servers = ['127.0.0.1:9', `127.0.0.1:${hanging.port}`, `127.0.0.1:${server.port}`];
      await using directory = await testDirectory([{ ...settingsFor(server), servers }]);
      assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    });
  });
}

function compile(query: string): ReturnType<typeof compileQuery> {
  const schema = z.object(databaseSettings(5432));
  const settings = schema.parse({ servers: 'h', database: 'd', user: 'u', query });
  return compileQuery(settings, (number) => `$${number}`);
}

describe('a query', () => {
  const cases: readonly (readonly [query: string, text: string, values: readonly string[]])[] = [
    ['select b from t where u = %u', 'select b from t where u = $1', ['alice@example.test']],
    ['select b from t where n = %n and d = %d', 'select b from t where n = $1 and d = $2', ['alice', 'example.test']],
    [
      "select b from t where u like '%%x' and v = %u",
      "select b from t where u like '%x' and v = $1",
      ['alice@example.test'],
    ],
    ["select 'it''s' from t where u = lower(%u)", "select 'it''s' from t where u = lower($1)", ['alice@example.test']],
    [
      'select "user" from t where u = %u or v = %u',
      'select "user" from t where u = $1 or v = $2',
      ['alice@example.test', 'alice@example.test'],
    ],
  ];
  for (const [source, text, values] of cases) {
    test(`${source} → ${text}`, () => {
      const compiled = compile(source);
      assert.equal(compiled.text, text);
      assert.deepEqual(compiled.values(loginName('alice')), values);
    });
  }

  const wrong: readonly (readonly [query: string, why: RegExp])[] = [
    ["select b from t where u = '%u'", /without quotes/],
    ["select b from t where u = 'x''%u'", /without quotes/],
    ['select b from t where u = "%n"', /without quotes/],
    ['select b from t', /contains no user/],
    ["select b from t where u like '%a'", /%a is not known here/],
  ];
  for (const [source, why] of wrong) {
    test(`${source} is refused`, async () => {
      const [problem] = await checkSource({
        type: 'postgresql',
        servers: 'h',
        database: 'd',
        user: 'u',
        query: source,
      });
      assert.deepEqual(problem?.path, ['query']);
      assert.match(problem?.message ?? '', why);
    });
  }

  test('never has a part of the name in its text', () => {
    const compiled = compile('select b from t where u = %u');
    fc.assert(
      fc.property(fc.emailAddress(), (typed) => {
        const name = loginName(typed);
        assert.deepEqual(compiled.values(name), [name]);
        assert.equal(compiled.text, 'select b from t where u = $1');
      }),
    );
  });
});
