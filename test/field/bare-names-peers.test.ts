import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import { masterPassword, type OwnDovecot, startDovecot } from '../integrations/own-dovecot.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { entrySettings, type OwnRoundcube, startRoundcube } from '../integrations/own-roundcube.fixture.ts';
import { key } from '../integrations/roundcube-browser.fixture.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, exists, startProgram } from '../programs.ts';
import { readFieldInput } from './input.fixture.ts';

/*
 * A site before Postern: Perdition routes users by their whole names and hands the local part to mail servers that know no
 * other name, and Roundcube has kept settings by that. Each user stands for one way to put Postern in front.
 */

const certificate = makeCertificate('IP:127.0.0.1');
const local = 'login_name: { imap: local, webmail: local }';

/** Starts Perdition with TLS and these lines. Users of `popmap` are routed by it, the others to `port`. */
async function startPerdition(folder: string, port: number, popmap: readonly string[]) {
  const at = (name: string): string => join(folder, name);
  const library = 'libperditiondb_posix_regex.so.0';
  const folders = (await readdir('/usr/lib')).map((name) => `/usr/lib/${name}`);
  const isThere = await Promise.all(folders.map((name) => exists(`${name}/${library}`)));
  const found = folders.find((_name, nth) => isThere[nth]);
  assert.ok(found, `${library} is not installed`);
  const lines = (await readFieldInput('M5-perdition-strip.conf'))
    .toString()
    .replace(`/usr/lib/${library}`, `${found}/${library}`)
    .replace('mail-a.example.test', '127.0.0.1');
  await writeFile(at('perdition.conf'), `${lines}\nmap_library_opt ${at('popmap.re')}\noutgoing_port ${port}\n`);
  await writeFile(at('popmap.re'), popmap.map((line) => `${line}\n`).join(''));
  await writeFile(at('perdition.pem'), certificate.cert + certificate.key);
  const own = await freePort();
  const listening = ['--no_daemon', '-b', '127.0.0.1', '-l', String(own), '--pid_file', '', '-F', '-'];
  const tls = [
    '--ssl_mode',
    'ssl_listen',
    '--ssl_cert_file',
    at('perdition.pem'),
    '--ssl_key_file',
    at('perdition.pem'),
  ];
  const program = await startProgram('perdition.imap4', ['-f', at('perdition.conf'), ...listening, ...tls], {
    isReady: () => connects(own),
  });
  return { port: own, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** A user's earlier settings in Roundcube: German, and an identity. */
function keepAccount(database: DatabaseSync, name: string): void {
  const user =
    "insert into users (username, mail_host, created, language) values (?, '127.0.0.1', '2019-01-01', 'de_DE')";
  const { lastInsertRowid: id } = database.prepare(user).run(name);
  const identity = "insert into identities (user_id, changed, standard, name, email) values (?, '2019-01-01', 1, ?, ?)";
  database.prepare(identity).run(id, `${name} of old`, `${name}@old.example.test`);
}

async function identitiesOf(person: RoundcubeUser): Promise<string> {
  return (await person.get('/?_task=settings&_action=identities')).body;
}

describe('servers that knew bare names, behind Postern', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let mailA: OwnDovecot;
  let roundcube: OwnRoundcube;
  let entered: OwnRoundcube;

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-bare-'));
    running.defer(() => rm(folder, { recursive: true }));
    // The servers drop their privileges.
    await chmod(folder, 0o755);
    const own = async (name: string): Promise<string> => {
      await mkdir(join(folder, name));
      return join(folder, name);
    };
    const names = ['alice', 'anna', 'carol', 'dora', 'mia'];
    mailA = await startDovecot(
      await own('a'),
      Object.fromEntries(names.map((name) => [name, `${name}-pw`])),
      certificate,
    );
    running.defer(() => mailA.stop());
    const mailB = await startDovecot(await own('b'), { bob: 'bob-pw', ben: 'ben-pw' });
    running.defer(() => mailB.stop());
    const popmap = [`^b.*@example\\.test$: 127.0.0.1:${mailB.port}`];
    const perdition = running.use(await startPerdition(folder, mailA.port, popmap));

    const databaseFile = join(folder, 'roundcube.db');
    roundcube = await startRoundcube(
      await own('roundcube'),
      [
        `$config['imap_host'] = 'ssl://127.0.0.1:${perdition.port}';`,
        "$config['imap_conn_options'] = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];",
        "$config['plugins'] = [];",
      ],
      databaseFile,
    );
    running.defer(() => roundcube.stop());
    entered = await startRoundcube(
      await own('entered'),
      entrySettings(`127.0.0.1:${mailA.port}`, masterPassword),
      databaseFile,
    );
    running.defer(() => entered.stop());
    using database = new DatabaseSync(databaseFile, { timeout: 5000 });
    for (const name of names) keepAccount(database, name);

    const certificateFile = join(folder, 'ca.pem');
    await writeFile(certificateFile, certificate.cert);
    let landings = 0;
    // Each has another landing page: two backends with the same servers would be refused.
    const backend = (port: number, more = '', webmail = roundcube) =>
      `{ imap: "imaps://127.0.0.1:${port}", webmail: "${webmail.origin}/?at=${(landings += 1)}", driver: roundcube${more} }`;
    const entry = ', roundcube: { entry_key: { file: roundcube.key } }';
    gateway = running.use(
      await startGateway({
        caFile: certificateFile,
        users: {
          'alice@example.test': 'instead',
          'carol@example.test': 'by-entry',
          'dora@example.test': 'unsaid',
          'anna@example.test': 'before',
          'mia@example.test': 'before-and-said',
          'bob@example.test': 'before',
          'ben@example.test': 'before-and-too-bare',
        },
        files: { 'roundcube.key': key },
        backends: {
          instead: backend(mailA.tlsPort, `, ${local}`),
          'by-entry': backend(mailA.tlsPort, `, ${local}${entry}`, entered),
          unsaid: backend(mailA.tlsPort),
          before: backend(perdition.port),
          'before-and-said': backend(perdition.port, ', login_name: { webmail: local }'),
          'before-and-too-bare': backend(perdition.port, `, ${local}`),
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  const signedIn = async (name: string) => {
    const person = new RoundcubeUser(gateway.origin);
    return { person, page: await person.signIn(name, `${name}-pw`) };
  };
  const accountsOf = (name: string): readonly unknown[] =>
    roundcube.userNames().filter((known) => String(known).startsWith(name));

  async function assertOldAccount(person: RoundcubeUser, page: { status: number; body: string }, name: string) {
    assert.equal(page.status, 200, page.body);
    assert.match(page.body, /Posteingang/);
    assert.match(await identitiesOf(person), new RegExp(`${name}@old\\.example\\.test`));
    assert.deepEqual(accountsOf(name), [name]);
  }

  it('are served in Perdition’s place: the mailbox, and the account that Roundcube has kept', async () => {
    const { person, page } = await signedIn('alice');
    await assertOldAccount(person, page, 'alice');
    assert.match(await mailA.log(), /Login: user=<alice>/);
  });

  it('know the user whose name was typed in full, too', async () => {
    const person = new RoundcubeUser(gateway.origin);
    await assertOldAccount(person, await person.signIn('Alice@example.test', 'alice-pw'), 'alice');
  });

  it('are entered by the same name in silence, once Roundcube has lost its sessions', async () => {
    const { person } = await signedIn('alice');
    roundcube.forgetSessions();
    await assertOldAccount(person, await person.open('/?_task=mail'), 'alice');
  });

  it('are entered by it without the password', async () => {
    const { person, page } = await signedIn('carol');
    await assertOldAccount(person, page, 'carol');
    assert.match(await mailA.log(), /Login: user=<carol>, master=<gateway>/);
  });

  it('take the right password for a wrong one where Postern is not told of it', async () => {
    const { page } = await signedIn('dora');
    assert.equal(page.status, 403);
    assert.match(await mailA.log(), /dora@example\.test/);
  });

  it('are reached through Perdition by whole names; but Roundcube begins a new account for such a name', async () => {
    const { person, page } = await signedIn('anna');
    assert.equal(page.status, 200);
    assert.doesNotMatch(page.body, /Posteingang/);
    assert.doesNotMatch(await identitiesOf(person), /anna@old\.example\.test/);
    assert.deepEqual(accountsOf('anna'), ['anna', 'anna@example.test']);
  });

  it('keep the account behind Perdition where the webmail alone is told the bare name', async () => {
    const { person, page } = await signedIn('mia');
    await assertOldAccount(person, page, 'mia');
  });

  it('are not found by Perdition under bare names, whose map has whole ones', async () => {
    assert.equal((await signedIn('bob')).page.status, 200);
    assert.equal((await signedIn('ben')).page.status, 403);
  });

  it('are no business of session, log and audit, where the user is the canonical one', () => {
    const users = gateway.log.flatMap((line) => /"user":"([^"]*)"/.exec(line)?.[1] ?? []);
    assert.ok(users.includes('alice@example.test'));
    assert.deepEqual(
      users.filter((user) => !user.endsWith('@example.test')),
      [],
    );
  });
});
