import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type Cluster, startCluster } from './gateway-node.ts';
import { withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');

suite('a session that the webmail has lost', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  let redis: RedisServer;
  let cluster: Cluster;
  before(async () => {
    redis = opened.use(await startRedisServer());
    cluster = opened.use(await startCluster({ lab, redisUrl: redis.url, nodes: 1 }));
  });
  after(() => opened.disposeAsync());

  /** A user who is reading mail, and whose webmail was just restarted. */
  async function reader(): Promise<RoundcubeUser> {
    const [node] = cluster.nodes;
    assert.ok(node !== undefined);
    const person = new RoundcubeUser(node.origin);
    assert.equal((await person.signIn('alice', 'alice-pw')).status, 200);
    await lab.expire('a');
    return person;
  }

  test('a page heals: the same page comes, and nobody signs in again', async () => {
    const person = await reader();
    const page = await person.open('/?_task=mail&_mbox=Sent');
    assert.equal(page.target, '/?_task=mail&_mbox=Sent');
    assert.match(page.body, /"mailbox":"Sent"/);
    assert.doesNotMatch(page.body, /login-form/);
  });

  test('a script that reads heals without noticing', async () => {
    const person = await reader();
    const list = await person.script('/?_task=mail&_action=list&_mbox=INBOX');
    assert.equal(list.status, 200);
    assert.match(list.body, /add_message_row/);
  });

  test('a preview frame heals without noticing', async () => {
    const person = await reader();
    const frame = await person.get('/?_task=mail&_action=preview&_uid=1&_mbox=INBOX&_framed=1', { kind: 'frame' });
    assert.match(frame.body, /"task":"mail","|messagebody/);
    assert.doesNotMatch(frame.body, /session_error/);
  });

  test('a download heals: the attachment comes, not a sign-in page', async () => {
    const person = await reader();
    const file = await person.open('/?_task=mail&_action=get&_uid=3&_mbox=INBOX&_part=3');
    assert.doesNotMatch(file.body, /login-form/);
    assert.match(file.headers['content-disposition'] ?? '', /scan\.pdf/);
    assert.equal(file.bytes, 200_000);
  });

  test('a script that writes is told in its own words, and works after the page was loaded again', async () => {
    const person = await reader();
    const told = await person.script('/?_task=mail&_action=mark', { _uid: '1', _flag: 'flagged', _mbox: 'INBOX' });
    assert.match(told.body, /this\.session_error\(/);
    await person.open('/?_task=mail');
    const done = await person.script('/?_task=mail&_action=mark', { _uid: '1', _flag: 'flagged', _mbox: 'INBOX' });
    assert.equal(done.status, 200);
    assert.doesNotMatch(done.body, /session_error/);
  });

  test("where Roundcube's script leads then, there is the mailbox", async () => {
    const person = await reader();
    const landed = await person.open('/?_task=login&_err=session');
    assert.match(landed.body, /Webmail on backend a :: Inbox/);
    assert.doesNotMatch(landed.body, /login-form/);
  });

  test('a message that was being written is lost to Roundcube: an empty one comes, not an error', async () => {
    const person = await reader();
    const page = await person.open('/?_task=mail&_action=compose&_id=12345');
    assert.match(page.target, /_action=compose/);
    assert.doesNotMatch(page.body, /COMPOSE SESSION ERROR/);
    assert.match(page.body, /"action":"compose"/);
  });

  test('many requests at once share one new session', async () => {
    const person = await reader();
    const lists = await Promise.all(
      Array.from({ length: 12 }, () => person.script('/?_task=mail&_action=list&_mbox=INBOX')),
    );
    for (const list of lists) assert.match(list.body, /add_message_row/);
  });

  test('the webmail is back after an outage, without a new sign-in', async () => {
    const person = await reader();
    await lab.down('a');
    try {
      assert.equal((await person.get('/?_task=mail')).status, 503);
    } finally {
      await lab.up('a');
    }
    // The backend is up again after its second good check.
    const isBack = async () => /Webmail on backend a :: Inbox/.test((await person.open('/?_task=mail')).body);
    await eventually(isBack, 'the mailbox is shown again');
  });
});
