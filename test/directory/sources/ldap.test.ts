import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { EqualityFilter, FilterParser } from 'ldapts';
import { Secret } from '../../../src/core/secrets.ts';
import type { Directory } from '../../../src/directory/directory.ts';
import { checkSource } from '../../../src/directory/registry.ts';
import { escapeFilter } from '../../../src/directory/sources/ldap.ts';
import { outcomeOf, testDirectory } from '../directory.fixture.ts';
import { startServer } from '../peers/line-server.fixture.ts';
import { type Slapd, startSlapd } from '../peers/slapd.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

function settingsFor(slapd: Slapd, server = `ldap://127.0.0.1:${slapd.port}`) {
  return {
    type: 'ldap',
    servers: [server],
    tls_ca_file: slapd.caFile,
    bind_dn: slapd.bindDn,
    bind_password: new Secret(slapd.bindPassword),
    base: slapd.base,
    filter: '(&(objectClass=inetOrgPerson)(|(mail=%u)(login=%u)))',
    backend_attribute: 'mailhost',
    user_attribute: 'uid',
    refuse_attribute: 'noLogin',
    role_attribute: 'employeeType',
  };
}

sourceContract('ldap', async () => {
  const slapd = await startSlapd();
  const put = (user: string, home: string): Promise<void> => slapd.put(user, { login: user, mailHost: home });
  await put('alice@example.test', 'a');
  await put('bob@example.test', 'b');
  return {
    settings: settingsFor(slapd),
    put,
    outage: { begin: () => slapd.stop(), end: () => slapd.start() },
    [Symbol.asyncDispose]: () => slapd[Symbol.asyncDispose](),
  };
});

describe('an LDAP directory', () => {
  let slapd: Slapd;
  before(async () => {
    slapd = await startSlapd();
    await slapd.put('alice', { mail: ['alice@example.test', 'a.liddell@example.test'], mailHost: 'a', uid: 'alice' });
    await slapd.put('carol', { mail: 'carol@example.test', uid: 'carol' });
    await slapd.put('dora', { mail: 'dora@example.test', mailHost: 'a', noLogin: 'Please call the office.' });
    await slapd.put('emil', { mail: 'emil@example.test', mailHost: 'a', noLogin: 'TRUE' });
    await slapd.put('fred', { mail: 'fred@example.test', mailHost: 'a', noLogin: 'FALSE' });
    await slapd.put('gina', { mail: 'gina@example.test', mailHost: ['a', 'b'] });
    await slapd.put('hugo', { mail: 'hugo@example.test', mailHost: 'b', employeeType: 'helpdesk' });
    await slapd.put('ines', { mail: 'ines@example.test', mailHost: 'b', employeeType: ['helpdesk', 'lead'] });
    await slapd.put('two', { mail: 'twin@example.test', mailHost: 'a' });
    await slapd.put('three', { mail: 'twin@example.test', mailHost: 'a' });
    await slapd.put('jörg (sales) *', { login: 'jörg@example.test', mailHost: 'b' });
  });
  after(() => slapd[Symbol.asyncDispose]());

  const outcomes: readonly (readonly [user: string, outcome: string])[] = [
    ['alice', 'a alice@example.test'],
    ['a.liddell', 'a alice@example.test'],
    ['carol', 'ERR_DIRECTORY_ANSWER'],
    ['dora', 'refused: Please call the office.'],
    ['emil', 'refused: This account may not sign in.'],
    ['fred', 'a fred@example.test'],
    ['gina', 'ERR_DIRECTORY_ANSWER'],
    ['hugo', 'b hugo@example.test (helpdesk)'],
    ['ines', 'ERR_DIRECTORY_ANSWER'],
    ['twin', 'ERR_DIRECTORY_ANSWER'],
    ['jörg', 'b jörg@example.test'],
  ];
  for (const [user, outcome] of outcomes) {
    test(`${user} is ${outcome}`, async () => {
      await using directory = await testDirectory([settingsFor(slapd)]);
      assert.equal(await outcomeOf(directory, user), outcome);
    });
  }

  test('may say only who exists, and leave the home to the next source', async () => {
    const { backend_attribute: _, ...settings } = settingsFor(slapd);
    await using directory = await testDirectory([settings, { type: 'static', backend: 'b', domains: 'example.test' }]);
    assert.equal(await outcomeOf(directory, 'a.liddell'), 'b alice@example.test');
  });

  test('is asked over LDAPS', async () => {
    await using directory = await testDirectory([settingsFor(slapd, `ldaps://localhost:${slapd.tlsPort}`)]);
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
  });

  test('is not asked if its certificate is untrusted or for another name', async () => {
    const { tls_ca_file: _, ...untrusting } = settingsFor(slapd);
    for (const settings of [
      untrusting,
      { ...untrusting, servers: `ldaps://127.0.0.1:${slapd.tlsPort}` },
      { ...settingsFor(slapd), tls_server_name: 'other.example.test' },
      { ...settingsFor(slapd, `ldaps://127.0.0.1:${slapd.tlsPort}`), tls_server_name: 'other.example.test' },
    ]) {
      await using directory = await testDirectory([settings]);
      assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
    }
  });

  test('that refuses the bind is a tempfail, also if anonymous searches find nothing', async () => {
    await using wrong = await testDirectory([{ ...settingsFor(slapd), bind_password: 'wrong' }]);
    assert.equal(await outcomeOf(wrong, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
    await using nowhere = await testDirectory([{ ...settingsFor(slapd), base: 'ou=gone,dc=example,dc=test' }]);
    assert.equal(await outcomeOf(nowhere, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
  });

  test('is asked on several bound connections at once, and on no more than eight', async () => {
    await using between = await startServer((socket) => relay(socket, slapd.port));
    await using directory = await testDirectory([settingsFor(slapd, `ldap://127.0.0.1:${between.port}`)]);
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(between.connections.size, 1);
    await askAtOnce(directory, 5000, () => between.connections.size >= 8);
    await askAtOnce(directory, 100);
    assert.equal(between.connections.size, 8);
    const [first, ...others] = between.connections;
    first?.destroy();
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    for (const other of others) other.destroy();
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
  });

  test('that accepts a single connection is asked on that one', async () => {
    let taken = 0;
    await using between = await startServer((socket) => {
      taken += 1;
      if (taken === 1) relay(socket, slapd.port);
      else socket.destroy();
    });
    await using directory = await testDirectory([settingsFor(slapd, `ldap://127.0.0.1:${between.port}`)]);
    await askAtOnce(directory, 100);
    assert.ok(taken > 1, 'more were tried');
    assert.equal(between.connections.size, 1);
  });

  test('has several servers: one that is away or hangs is skipped', async () => {
    let hung = 0;
    await using hanging = await startServer(() => (hung += 1));
    await using directory = await testDirectory([
      {
        ...settingsFor(slapd),
        servers: ['ldap://127.0.0.1:9', `ldap://127.0.0.1:${hanging.port}`, `ldap://127.0.0.1:${slapd.port}`],
      },
    ]);
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(hung, 1);
    assert.equal(await outcomeOf(directory, 'fred'), 'a fred@example.test');
    assert.equal(hung, 1, 'the one that answered is asked first');
  });
});

function relay(socket: Socket, port: number): void {
  const server = connect(port, '127.0.0.1');
  server.on('error', () => {}).on('close', () => socket.destroy());
  socket
    .on('close', () => server.destroy())
    .pipe(server)
    .pipe(socket);
}

/** Sixteen searches are under way at any time, each for another name, until there were so many or it is enough. */
async function askAtOnce(directory: Directory, searches: number, isEnough = () => false): Promise<void> {
  let asked = 0;
  const person = async (): Promise<void> => {
    while (asked < searches && !isEnough()) {
      asked += 1;
      assert.equal(await outcomeOf(directory, `nobody-${asked}`), 'unknown');
    }
  };
  await Promise.all(Array.from({ length: 16 }, person));
}

test('a value in a filter stays one value, whatever it contains', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (value) => {
      const filter = FilterParser.parseString(`(mail=${escapeFilter(value)})`);
      assert.ok(filter instanceof EqualityFilter);
      assert.equal(filter.attribute, 'mail');
      assert.equal(String(filter.value), Buffer.from(value).toString());
    }),
  );
});

test('the settings of an LDAP source are checked', async () => {
  const problems = await checkSource({
    type: 'ldap',
    servers: 'http://x',
    base: 'dc=x',
    filter: '(mail=%u',
    bind_dn: 'cn=x',
  });
  assert.deepEqual(
    problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
    [
      'servers: "http://x" is not an LDAP server: write ldap://host or ldaps://host',
      'filter: "(mail=%u" is not a filter: write a filter such as (&(objectClass=inetOrgPerson)(mail=%u))',
      'bind_password: is missing: bind_dn needs one; write { file: NAME }',
    ],
  );
});
