import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { deliver } from '../lab/deliver.ts';
import { type Cluster, startCluster } from '../lab/gateway-node.ts';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const lab = await withLab('a', 'b');

suite('a mail whose attachment has control characters in its name, in a real Roundcube', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  const subject = `mark-${randomUUID()}`;
  let cluster: Cluster;
  let bert: RoundcubeUser;
  let uid: string;
  before(async () => {
    const redis = opened.use(await startRedisServer());
    cluster = opened.use(await startCluster({ lab, redisUrl: redis.url, nodes: 1 }));
    const mail = (await readFieldInput('H2-mail.eml')).toString();
    const ours = mail
      .replace(/^Subject: .*$/m, `Subject: ${subject}`)
      .replace('alice@example.test', 'bert@example.test');
    await deliver(lab.port(25), 'bert@example.test', ours);
    const [node] = cluster.nodes;
    assert.ok(node !== undefined);
    bert = new RoundcubeUser(node.origin);
    await bert.signIn('bert', 'bert-pw');
    const list = await bert.script('/?_task=mail&_action=list&_mbox=INBOX');
    uid = new RegExp(`add_message_row\\((\\d+),\\{\\\\"subject\\\\":\\\\"${subject}`).exec(list.body)?.[1] ?? '';
    assert.notEqual(uid, '', list.body.slice(0, 2000));
  });
  after(() => opened.disposeAsync());

  test('the file comes down whole, six times, and the server stays up', async () => {
    for (let click = 0; click < 6; click += 1) {
      const target = `/?_task=mail&_action=get&_uid=${uid}&_mbox=INBOX&_part=2&_download=1&_token=${bert.token}`;
      const got = await bert.get(target);
      assert.equal(got.status, 200, got.body.slice(0, 500));
      assert.equal(got.body.trim(), '%PDF-1.4 test');
    }
    assert.equal((await bert.get('/?_task=mail')).status, 200);
    const log = cluster.nodes.flatMap((node) => node.log).join('\n');
    assert.doesNotMatch(log, /"state":"DOWN"|is down/i);
  });
});
