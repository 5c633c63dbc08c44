import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type Cluster, startCluster } from './gateway-node.ts';
import { lab as labScript, withLab } from './lab.ts';
import { RoundcubeUser, sha256 } from './roundcube-user.ts';

const lab = await withLab('a', 'b');
const megabyte = 1024 * 1024;

suite('mail through the gateway', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  let redis: RedisServer;
  let cluster: Cluster;
  const subject = `transfer-${randomUUID()}`;
  before(async () => {
    redis = opened.use(await startRedisServer());
    cluster = opened.use(await startCluster({ lab, redisUrl: redis.url, nodes: 1 }));
  });
  after(async () => {
    await opened.disposeAsync();
    for (const [backend, user, folder] of [
      ['a', 'alice@example.test', 'INBOX'],
      ['a', 'alice@example.test', 'Sent'],
      ['b', 'bob@example.test', 'INBOX'],
    ] as const) {
      await labScript('doveadm', backend, 'expunge', '-u', user, 'mailbox', folder, 'SUBJECT', subject);
    }
  });

  async function signedIn(user: string, password: string): Promise<RoundcubeUser> {
    const [node] = cluster.nodes;
    assert.ok(node !== undefined);
    const person = new RoundcubeUser(node.origin);
    assert.equal((await person.signIn(user, password)).status, 200);
    return person;
  }

  async function findMessage(person: RoundcubeUser): Promise<string> {
    const list = await person.script(`/?_task=mail&_action=search&_mbox=INBOX&_q=${subject}&_headers=subject`);
    const uid = /add_message_row\((\d+),/.exec(list.body)?.[1];
    assert.ok(uid !== undefined, list.body);
    return uid;
  }

  test('a mail with an attachment of 25 MB goes up from alice on a, and arrives at bob on b as it was', async () => {
    const content = randomBytes(25 * megabyte);
    const alice = await signedIn('alice', 'alice-pw');
    const compose = await alice.open('/?_task=mail&_action=compose');
    const id = /"compose_id":"(\w+)"/.exec(compose.body)?.[1] ?? '';
    const sender = /name="_from"[^>]*>\s*<option value="(\d+)"/.exec(compose.body)?.[1] ?? '';

    const uploaded = await upload(alice, id, content);
    const file = /rcmfile(\w+)/.exec(uploaded)?.[1] ?? '';
    assert.notEqual(file, '', uploaded.slice(0, 500));
    const sent = await alice.post('/?_task=mail&_action=send&_framed=1', {
      kind: 'frame',
      form: {
        _token: alice.token,
        _task: 'mail',
        _action: 'send',
        _id: id,
        _attachments: file,
        _from: sender,
        _to: 'bob@example.test',
        _subject: subject,
        _message: 'Grüße',
        _is_html: '0',
      },
    });
    assert.match(sent.body, /sent_successfully/);

    const bob = await signedIn('bob', 'bob-pw');
    const uid = await findMessage(bob);
    const query = `_uid=${uid}&_mbox=INBOX&_part=2&_download=1&_token=${bob.token}`;
    const down = await bob.get(`/?_task=mail&_action=get&${query}`);
    assert.match(down.headers['content-disposition'] ?? '', /attachment/);
    assert.deepEqual([down.bytes, down.sha256], [content.length, sha256(content)]);
  });
});

/** Uploads as Roundcube's script does. Resolves with the answer. */
async function upload(person: RoundcubeUser, id: string, content: Buffer): Promise<string> {
  const boundary = '----postern';
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="_attachments[]"; filename="big.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  const answer = await person.post(`/?_task=mail&_action=upload&_remote=1&_from=compose&_id=${id}&_uploadid=upload1`, {
    kind: 'script',
    headers: { 'x-roundcube-request': person.token },
    content: { type: `multipart/form-data; boundary=${boundary}`, bytes },
  });
  return answer.body;
}
