import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { postfix } from '../directory/peers/postfix.fixture.ts';
import { type DeliverySite, domain, openSender, startDeliverySite } from './delivery-site.fixture.ts';
import { deliverWhileMoving } from './delivery-run.fixture.ts';
import { startPostfix } from './postfix-server.fixture.ts';

const lab = await withLab('a', 'b');

suite('a real Postfix in front of two real LMTP servers', { concurrency: false }, () => {
  let site: DeliverySite;
  before(async () => {
    site = await startDeliverySite(lab);
  });
  after(() => site[Symbol.asyncDispose]());

  test('refuses unknown recipients before their mail is taken, and no address of another domain gets a home', async () => {
    using sender = await site.sender();
    assert.match(await sender.send(`zoe@${domain}`, 'z'), /^550 5\.1\.1 .*User unknown in virtual mailbox table/);
    assert.match(await sender.send('alice@elsewhere.test', 'z'), /^5\d\d .*not of this test/);
  });

  test('hears of homes, users and aliases, by both protocols', async () => {
    const tables = await postfix();
    const { socketmap, tcpTable } = site.ports;
    const of = (map: string, key: string) => tables.query(`socketmap:inet:127.0.0.1:${socketmap}:${map}`, key);
    const home = `lmtp:inet:[127.0.0.12]:${lab.port(24)}`;
    assert.equal(await of('homes', `bob@${domain}`), home);
    assert.equal(await tables.query(`tcp:127.0.0.1:${tcpTable}`, `bob@${domain}`), home);
    assert.equal(await of('homes', `robert+lists@${domain}`), home);
    assert.equal(await of('aliases', `robert@${domain}`), `bob@${domain}`);
    assert.equal(await of('users', `robert@${domain}`), `bob@${domain}`);
    for (const key of [domain, `.${domain}`, '*', 'bob', `@${domain}`, 'bob@elsewhere.test', `zoe@${domain}`]) {
      assert.equal(await of('homes', key), undefined, key);
    }
    assert.equal(await tables.query(`tcp:127.0.0.1:${tcpTable}`, `zoe@${domain}`), undefined);
  });

  test('hears of another port and of other domains after a reload', async () => {
    const tables = await postfix();
    const ask = () => tables.query(`socketmap:inet:127.0.0.1:${site.ports.socketmap}:homes`, `bob@${domain}`);
    await site.reconfigure(`lmtp: ${lab.port(24)}`, 'lmtp: 2424');
    assert.equal(await ask(), 'lmtp:inet:[127.0.0.12]:2424');
    await site.reconfigure('recipient_delimiter: "+"', 'recipient_delimiter: "+"\n  domains: [other.test]');
    assert.equal(await ask(), undefined);
    await site.reconfigure('\n  domains: [other.test]', '');
    await site.reconfigure('lmtp: 2424', `lmtp: ${lab.port(24)}`);
    assert.match((await ask()) ?? '', /^lmtp:/);
  });

  test('without the lines of master.cf, leaves the mail of a closed backend with who sends it', async () => {
    await using plain = await startPostfix({ socketmap: site.ports.socketmap, domain, isPlain: true });
    using sender = await openSender(plain.port, 'plain');
    await site.postern('backend', 'set', 'b', 'MAINT', '--reason', 'new disks');
    assert.match(await sender.send(`bob@${domain}`, 'p'), /^451 4\.3\.0 .*Temporary lookup failure/);
    assert.match(await sender.send(`zoe@${domain}`, 'p'), /^550 5\.1\.1 /);
    await site.postern('backend', 'set', 'b', 'READY', '--reason', 'done');
  });

  test('goes on with the mail of a user who is locked', async () => {
    await site.postern('user', 'lock', 'alice', '--reason', 'password leaked');
    const lookup = await fetch(`http://127.0.0.1:${site.ports.lookup}/lookup?user=alice`);
    assert.match(await lookup.text(), /"refuse"/);
    using sender = await site.sender();
    assert.match(await sender.send(`alice@${domain}`, 'locked'), /^250 /);
    await eventually(async () => (await site.inbox('a', 'alice')).includes('locked'));
    await site.postern('user', 'unlock', 'alice', '--reason', 'new password');
  });

  test('is counted, by what it heard', async () => {
    const scraped = await (await fetch(`http://127.0.0.1:${site.ports.operators}/metrics`)).text();
    for (const [protocol, result] of [
      ['socketmap', 'found'],
      ['socketmap', 'foreign'],
      ['socketmap', 'closed'],
      ['tcp_table', 'unknown-user'],
    ]) {
      const line = `postern_directory_service_total\\{(?=[^}]*protocol="${protocol}")(?=[^}]*result="${result}")[^}]*\\} [1-9]`;
      assert.match(scraped, new RegExp(line));
    }
  });

  test('delivers each of many mails to one mailbox, the right one, while their user moves to and fro and a backend rests', async () => {
    const { lost, misplaced, twice, mails } = await deliverWhileMoving(site, { mails: 1000 });
    assert.deepEqual({ lost, misplaced, twice }, { lost: [], misplaced: [], twice: [] });
    assert.equal(mails, 1000);
    assert.doesNotMatch(await site.postfix.log(), /status=bounced/);
    assert.match(await site.postfix.log(), /status=deferred \(address resolver failure\)/);
  });
});
