import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { createClient } from 'redis';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type OwnGateway, startGateway } from './own-gateway.fixture.ts';
import { startTrustingNginx } from './own-web-server.fixture.ts';
import { entrySettings, type OwnRoundcube, startRoundcube } from './own-roundcube.fixture.ts';
import { key } from './roundcube-browser.fixture.ts';

const lab = await withLab('a', 'c');
const secret = 'a-secret-of-the-test-only';

suite('a site whose gateway forgets passwords', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let redis: RedisServer;
  let roundcube: OwnRoundcube;
  let gateway: OwnGateway;
  before(async () => {
    redis = running.use(await startRedisServer());
    const directory = await mkdtemp(join(tmpdir(), 'postern-forget-'));
    running.defer(() => rm(directory, { recursive: true }));
    roundcube = await startRoundcube(directory, entrySettings(`127.0.0.11:${lab.port(143)}`));
    running.defer(() => roundcube.stop());
    const { origin: sogo } = running.use(await startTrustingNginx(lab, secret));
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'alice@example.test': 'a', 'carol@example.test': 'c' },
        files: { 'roundcube.key': key, 'sogo.secret': secret, 'imap.secret': 'gateway-pw' },
        sessions: `redis: "${redis.url}", forget_password: true`,
        backends: {
          a: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "${roundcube.origin}/", driver: roundcube,
      roundcube: { entry_key: { file: roundcube.key } } }`,
          c: `{ imap: "imaps://127.0.0.13:${lab.port(993)}", webmail: "${sogo}/SOGo/", driver: sogo,
      sogo: { mode: trusted, secret: { file: sogo.secret }, imap_password: { file: imap.secret } } }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  /** The sizes of the sealed parts of session records, in bytes without nonce and tag. */
  async function sealedBytes(): Promise<readonly number[]> {
    const client = createClient({ url: redis.url });
    await client.connect();
    try {
      const sealed: number[] = [];
      for (const name of await client.keys('*')) {
        if ((await client.type(name)) !== 'string') continue;
        const text = (await client.get(name))?.replaceAll('\\', '') ?? '';
        const found = /"sealed":"1\.([\w-]+)"/.exec(text)?.[1];
        // The jar of the webmail's cookies is sealed as well, and names no browser.
        if (found !== undefined && text.includes('"userAgent"'))
          sealed.push(Buffer.from(found, 'base64url').length - 28);
      }
      return sealed;
    } finally {
      client.destroy();
    }
  }

  async function signedIn(user: string, page: RegExp): Promise<RoundcubeUser> {
    const person = new RoundcubeUser(gateway.origin);
    const landed = await person.signIn(user, `${user}-pw`);
    assert.equal(landed.status, 200, landed.body);
    assert.match(landed.body, page);
    return person;
  }

  test('Redis holds no password of a session, not even a sealed one', async () => {
    await signedIn('alice', /"task":"mail"/);
    const records = await sealedBytes();
    assert.ok(records.length > 0);
    assert.deepEqual(new Set(records), new Set([0]));
  });

  test('a wrong password is refused as ever', async () => {
    const person = new RoundcubeUser(gateway.origin);
    const answer = await person.signIn('alice', 'wrong');
    assert.equal(answer.status, 403);
  });

  test('Roundcube loses its session, and is entered again in silence by the master identity', async () => {
    const person = await signedIn('alice', /"task":"mail"/);
    roundcube.forgetSessions();
    const page = await person.open('/?_task=mail&_mbox=Sent');
    assert.match(page.body, /"mailbox":"Sent"/);
    roundcube.forgetSessions();
    // The plugin has the browser repeat a request that met no session.
    assert.equal((await person.script('/?_task=mail&_action=list&_mbox=INBOX')).status, 307);
    const list = await person.script('/?_task=mail&_action=list&_mbox=INBOX');
    assert.match(list.body, /add_message_row/);
    assert.deepEqual(roundcube.userNames(), ['alice@example.test']);
  });

  test('SOGo in mode trusted shows her mailboxes, with nothing in the session', async () => {
    const person = await signedIn('carol', /UserLogin = 'carol@example\.test'/);
    const accept = 'application/json, text/plain, */*';
    const target = '/SOGo/so/carol@example.test/Mail/0/view';
    const view = await person.get(target, { kind: 'script', headers: { accept } });
    assert.match(view.body, /"mailboxes":\[\{/);
    assert.deepEqual(new Set(await sealedBytes()), new Set([0]));
  });
});
