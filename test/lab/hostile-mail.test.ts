import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { deliver } from './deliver.ts';
import { type Cluster, startCluster } from './gateway-node.ts';
import { hostileMessage, lostMarks } from './hostile-mail.ts';
import { withLab } from './lab.ts';
import { type Got, RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');

suite('a mail that says in every way that the session is lost', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  let redis: RedisServer;
  let cluster: Cluster;
  let person: RoundcubeUser;
  let uid: string;
  const name = `mark-${randomUUID()}`;
  before(async () => {
    redis = opened.use(await startRedisServer());
    cluster = opened.use(await startCluster({ lab, redisUrl: redis.url, nodes: 1 }));
    await deliver(lab.port(25), 'bert@example.test', hostileMessage('bert@example.test', name));
    const [node] = cluster.nodes;
    assert.ok(node !== undefined);
    person = new RoundcubeUser(node.origin);
    const before = signInsOfBert();
    await person.signIn('bert', 'bert-pw');
    assert.equal(signInsOfBert(), before + 1, 'the list of sign-ins is kept');
    const list = await person.script('/?_task=mail&_action=list&_mbox=INBOX');
    uid = new RegExp(`add_message_row\\((\\d+),\\{\\\\"subject\\\\":\\\\"${name}`).exec(list.body)?.[1] ?? '';
    assert.notEqual(uid, '', list.body.slice(0, 2000));
  });
  after(() => opened.disposeAsync());

  const ways: readonly (readonly [what: string, ask: (person: RoundcubeUser, uid: string) => Promise<Got>])[] = [
    ['in the list', (them) => them.script('/?_task=mail&_action=list&_mbox=INBOX')],
    ['in a search', (them) => them.script('/?_task=mail&_action=search&_mbox=INBOX&_q=session_error&_headers=subject')],
    [
      'in the preview',
      (them, id) => them.get(`/?_task=mail&_action=preview&_uid=${id}&_mbox=INBOX&_framed=1`, { kind: 'frame' }),
    ],
    ['as a page', (them, id) => them.get(`/?_task=mail&_action=show&_uid=${id}&_mbox=INBOX`)],
    ['its source', (them, id) => them.get(`/?_task=mail&_action=viewsource&_uid=${id}&_mbox=INBOX`)],
    ['its headers', (them, id) => them.get(`/?_task=mail&_action=headers&_uid=${id}&_mbox=INBOX`)],
    ['printed', (them, id) => them.get(`/?_task=mail&_action=print&_uid=${id}&_mbox=INBOX`)],
    ...[3, 4, 5, 6].map(
      (part) =>
        [
          `attachment ${part}, opened`,
          (them: RoundcubeUser, id: string) =>
            them.get(`/?_task=mail&_action=get&_uid=${id}&_mbox=INBOX&_part=${part}&_embed=1&_mimeclass=text`),
        ] as const,
    ),
  ];
  for (const [what, ask] of ways) {
    test(`${what}: nothing is signed in again or out`, async () => {
      const before = signInsOfBert();
      const got = await ask(person, uid);
      assert.equal(got.status, 200);
      assert.equal(got.headers['clear-site-data'], undefined);
      assert.equal(signInsOfBert(), before);
      assert.equal((await person.get('/?_task=mail')).status, 200);
    });
  }

  test('the attachment that is a recorded sign-in page comes down byte for byte', async () => {
    const got = await person.get(
      `/?_task=mail&_action=get&_uid=${uid}&_mbox=INBOX&_part=3&_download=1&_token=${person.token}`,
    );
    assert.equal(got.body, lostMarks.page);
  });

  test('forwarded and opened while writing, the file comes as it is and says nothing to the gateway', async () => {
    const before = signInsOfBert();
    const compose = await person.open(`/?_task=mail&_action=compose&_forward_uid=${uid}&_mbox=INBOX`);
    const id = /_id=(\w+)/.exec(compose.target)?.[1];
    const files = [...new Set(compose.body.match(/rcmfile\d+/g))];
    assert.ok(files.length >= 4, 'the attachments go along');
    for (const file of files) {
      const got = await person.get(`/?_task=mail&_action=display-attachment&_file=${file}&_id=${id}`);
      assert.equal(got.status, 200);
    }
    assert.equal(signInsOfBert(), before);
  });
});

/** A silent sign-in is a login at Roundcube, which keeps a list of them. */
function signInsOfBert(): number {
  const list = readFileSync(`${lab.dataFolder}/b/log/userlogins.log`, 'utf8');
  return list.match(/Successful login for bert@example\.test/g)?.length ?? 0;
}
