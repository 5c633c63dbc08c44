import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.ts';
import { lab as labCommand, withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';

const lab = await withLab('a', 'd');

suite('the real Horde on Dovecot, entered by the master identity', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'alice@example.test': 'a' },
        files: { 'imap.secret': 'gateway-pw' },
        sessions: 'forget_password: true',
        backends: {
          a: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "http://127.0.0.14:${lab.port(84)}/horde/", driver: horde,
      master: { user: gateway, password: { file: imap.secret } }, horde: { master_login: true, own_account: true } }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  test('alice sees her folders again when Horde has lost her session, and the gateway has forgotten her password', async () => {
    const person = new RoundcubeUser(gateway.origin);
    assert.match((await person.signIn('alice', 'alice-pw')).target, /^\/horde\/imp\/dynamic\.php/);
    await lab.expire('d');
    const page = await person.open('/horde/imp/dynamic.php?page=mailbox');
    assert.equal(page.target, '/horde/imp/dynamic.php?page=mailbox');
    const folders = await foldersOf(person, tokenOf(page.body));
    for (const name of ['Inbox', 'Drafts', 'Sent', 'Trash']) assert.ok(folders.includes(name), folders.join());
    const logins = (await labCommand('log', 'a'))
      .split('\n')
      .filter((line) => line.includes('imap-login: Info: Login'));
    assert.match(logins.at(-1) ?? '', /user=<alice@example\.test>, master=<gateway>/);
  });

  test('with the hook of integrations/horde it is her own account, and no other one', async () => {
    const accounts = await readdir(`${lab.dataFolder}/d/data/prefs`);
    assert.ok(accounts.includes('alice@example.test.prefs'));
    assert.deepEqual(
      accounts.filter((name) => name.includes('*gateway')),
      [],
    );
  });
});

async function foldersOf(person: RoundcubeUser, token: string): Promise<readonly string[]> {
  const form = { token, initial: '1', mboxes: '["SU5CT1g"]', unsub: '0', all: '0', base: '' };
  const answer = await person.post('/horde/services/ajax.php/imp/listMailboxes', { kind: 'script', form });
  return [...answer.body.matchAll(/"l":"([^"]+)"/g)].map(([, name]) => name ?? '');
}

function tokenOf(page: string): string {
  return /"TOKEN":"([\w-]+)"/.exec(page)?.[1] ?? assert.fail('no page of Horde');
}
