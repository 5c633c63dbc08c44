import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { lab as labCommand, withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';
import { startDesk } from '../lab/support-desk.ts';

const lab = await withLab('a', 'b', 'd');

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
    assertFolders(await listOf(person, tokenOf(page.body)));
    const logins = (await labCommand('log', 'a'))
      .split('\n')
      .filter((line) => line.includes('imap-login: Info: Login'));
    assert.match(logins.at(-1) ?? '', /user=<alice@example\.test>, master=<gateway>/);
  });

  test('with the hook of integrations/horde it is her own account, and no other one', async () => {
    assert.deepEqual(await accountsOf('alice'), ['alice@example.test']);
  });
});

const support = '{ user: support, password: { file: support.secret } }';

suite('staff open a mailbox by the name of user and master', { concurrency: false }, () => {
  for (const [account, master, settings] of [
    ['mia@example.test', '{ user: gateway, password: { file: imap.secret } }', ', own_account: true'],
    ['mia@example.test*support', support, ''],
  ] as const) {
    test(`in Horde as ${account}: they see the folders, and the banner`, async () => {
      await using desk = await startDesk(lab, {
        webmail: `http://127.0.0.14:${lab.port(84)}/horde`,
        driver: `driver: horde, master: ${master}, horde: { master_login: true${settings} }`,
      });
      const browser = new RoundcubeUser(desk.gateway.origin);
      const headers = { host: desk.hostOf('assist') };
      await browser.get(await desk.linkFor('mia@example.test'), { headers });
      const page = await browser.get('/horde/imp/dynamic.php?page=mailbox', { headers });
      assert.match(page.body, /data-banner="[^"]*mia@example\.test/);
      assertFolders(await listOf(browser, tokenOf(page.body), headers));
      assert.ok((await accountsOf('mia')).includes(account));
    });
  }

  for (const [driver, port] of [
    ['roundcube', 80],
    ['basic', 81],
  ] as const) {
    test(`in Roundcube, entered by the driver ${driver}: they see the messages, and the banner`, async () => {
      await using desk = await startDesk(lab, {
        webmail: `http://127.0.0.11:${lab.port(port)}`,
        driver: `driver: ${driver}, master: ${support}, ${driver}: { master_login: true }`,
      });
      const browser = new RoundcubeUser(desk.gateway.origin);
      const headers = { host: desk.hostOf('assist') };
      await browser.get(await desk.linkFor('mia@example.test'), { headers });
      const page = await browser.get('/?_task=mail', { headers });
      assert.match(page.body, /data-banner="[^"]*mia@example\.test/);
      assert.match(page.body, /mia@example\.test\*support/);
      const list = await browser.get('/?_task=mail&_action=list&_mbox=INBOX&_remote=1', {
        kind: 'script',
        headers: { ...headers, 'x-roundcube-request': /"request_token":"(\w+)"/.exec(page.body)?.[1] ?? '' },
      });
      assert.match(list.body, /Willkommen auf Server A/);
    });
  }
});

/** The names under which Horde keeps preferences of this user. */
async function accountsOf(user: string): Promise<readonly string[]> {
  const files = await readdir(`${lab.dataFolder}/d/data/prefs`);
  return files.filter((name) => name.startsWith(`${user}@`)).map((name) => name.replace(/\.prefs$/, ''));
}

/** The answer to Horde's script about all folders. */
async function listOf(person: RoundcubeUser, token: string, headers = {}): Promise<string> {
  const form = { token, initial: '1', mboxes: '["SU5CT1g"]', unsub: '0', all: '0', base: '' };
  return (await person.post('/horde/services/ajax.php/imp/listMailboxes', { kind: 'script', form, headers })).body;
}

function assertFolders(answer: string): void {
  const folders = [...answer.matchAll(/"l":"([^"]+)"/g)].map(([, name]) => name ?? '');
  for (const name of ['Inbox', 'Drafts', 'Sent', 'Trash']) assert.ok(folders.includes(name), answer);
}

function tokenOf(page: string): string {
  return /"TOKEN":"([\w-]+)"/.exec(page)?.[1] ?? assert.fail('no page of Horde');
}
