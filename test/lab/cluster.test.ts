import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { execFileSync } from '../programs.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type Cluster, type GatewayNode, startCluster } from './gateway-node.ts';
import { withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');

suite('two gateway nodes on one Redis', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  let redis: RedisServer;
  let cluster: Cluster;
  let first: GatewayNode;
  let second: GatewayNode;
  before(async () => {
    redis = opened.use(await startRedisServer());
    cluster = opened.use(await startCluster({ lab, redisUrl: redis.url, nodes: 2 }));
    const [one, two] = cluster.nodes;
    assert.ok(one !== undefined && two !== undefined);
    [first, second] = [one, two];
  });
  after(() => opened.disposeAsync());

  async function signedIn(): Promise<RoundcubeUser> {
    const person = new RoundcubeUser(first.origin);
    assert.equal((await person.signIn('alice', 'alice-pw')).status, 200);
    return person;
  }

  test('serve one session in turn', async () => {
    const person = await signedIn();
    for (let turn = 0; turn < 6; turn += 1) await readsMail(person, turn % 2 === 0 ? second : first);
  });

  test('share what the other one healed', async () => {
    const person = await signedIn();
    await readsMail(person, second);
    await lab.expire('a');
    person.origin = first.origin;
    await person.open('/?_task=mail');
    await readsMail(person, second);
    await readsMail(person, first);
  });

  test('a sign-out at one is seen by the other at once', async () => {
    const person = await signedIn();
    await readsMail(person, second);
    const cookies = new Map(person.cookies);
    await person.open('/?_task=mail');
    await person.get(`/?_task=logout&_token=${person.token}`);
    for (const [name, value] of cookies) person.cookies.set(name, value);
    const deadlineMs = performance.now() + 3000;
    person.origin = first.origin;
    let status = 200;
    while (status === 200 && performance.now() < deadlineMs) ({ status } = await person.get('/?_task=mail'));
    assert.equal(status, 303);
  });

  test('kill -9 of one loses no session', async () => {
    const person = await signedIn();
    await first.kill();
    await readsMail(person, second);
    await first.start();
    await readsMail(person, first);
  });

  test('Redis killed: who is reading goes on, who signs in is told; Redis back: all is well', async () => {
    const person = await signedIn();
    await readsMail(person, first);
    await redis.kill();
    await readsMail(person, first);
    const startedMs = performance.now();
    const refused = await new RoundcubeUser(first.origin).get('/-/login');
    const visitor = new RoundcubeUser(first.origin);
    const attempt = refused.status === 200 ? await visitor.signIn('bob', 'bob-pw') : refused;
    assert.equal(attempt.status, 503);
    assert.ok(performance.now() - startedMs < 3000, 'nothing hangs');
    await redis.restart();
    const backMs = performance.now() + 5000;
    let landed = await visitor.signIn('bob', 'bob-pw');
    while (landed.status !== 200 && performance.now() < backMs) landed = await visitor.signIn('bob', 'bob-pw');
    assert.match(landed.body, /Webmail on backend b :: Inbox/);
    await readsMail(person, first);
    await readsMail(person, second);
  });

  test('nothing in Redis opens a mailbox', async () => {
    const person = await signedIn();
    await person.script('/?_task=mail&_action=list&_mbox=INBOX');
    const texts = keysAndValues(redis.port).join('\n');
    assert.ok(texts.length > 1000, 'there is something to look at');
    const webmailSession = sessionsOfRoundcube();
    assert.ok(webmailSession.length > 0);
    const secrets = ['alice-pw', 'bob-pw', ...webmailSession];
    for (const value of person.cookies.values()) secrets.push(...partsOf(value));
    for (const secret of secrets) {
      for (const form of [
        secret,
        encodeURIComponent(secret),
        Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      ]) {
        assert.ok(!texts.includes(form), `Redis holds ${form.slice(0, 6)}…`);
      }
    }
  });
});

async function readsMail(person: RoundcubeUser, node: GatewayNode): Promise<void> {
  person.origin = node.origin;
  assert.match((await person.open('/?_task=mail')).body, /Webmail on backend a :: Inbox/);
}

/** Each key of Redis with its value. */
function keysAndValues(port: number): readonly string[] {
  const cli = (...args: string[]): string =>
    execFileSync('redis-cli', ['-p', String(port), ...args], { encoding: 'utf8' });
  const reads: Readonly<Record<string, (key: string) => string>> = {
    string: (key) => cli('GET', key),
    hash: (key) => cli('HGETALL', key),
    set: (key) => cli('SMEMBERS', key),
    zset: (key) => cli('ZRANGE', key, '0', '-1', 'WITHSCORES'),
    list: (key) => cli('LRANGE', key, '0', '-1'),
  };
  const keys = cli('KEYS', '*')
    .split('\n')
    .filter((key) => key !== '');
  return keys.flatMap((key) => [key, reads[cli('TYPE', key).trim()]?.(key) ?? '']);
}

/** The ids of Roundcube's own sessions, as its database has them. */
function sessionsOfRoundcube(): readonly string[] {
  const database = `${lab.dataFolder}/a/data/roundcube.db`;
  const ids = execFileSync('sqlite3', [database, 'select sess_id from session'], { encoding: 'utf8' });
  return ids.split('\n').filter((id) => id !== '');
}

/** A signed cookie carries several values, and each of them must be missing. */
function partsOf(value: string): readonly string[] {
  return decodeURIComponent(value)
    .replace(/^s:/, '')
    .split('.')
    .filter((part) => part.length >= 16);
}
