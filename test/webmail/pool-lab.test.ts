import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { type OwnRoundcube, startRoundcube } from '../integrations/own-roundcube.fixture.ts';
import { labUsers, withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';

const lab = await withLab('a');
const people = labUsers.filter(({ backend }) => backend === 'a');
const names = ['one', 'two'] as const;

/*
 * A farm: two Roundcubes of equal rank on one database and one IMAP server.
 */
suite('a pool of two Roundcubes', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  const farm = new Map<string, OwnRoundcube>();
  let gateway: OwnGateway;
  const visitors = new Map<string, RoundcubeUser>();

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-pool-'));
    running.defer(() => rm(folder, { recursive: true }));
    for (const name of names) {
      const place = await mkdtemp(join(folder, name));
      const roundcube = await startRoundcube(
        place,
        [
          `$config['imap_host'] = 'ssl://127.0.0.11:${lab.port(993)}';`,
          "$config['imap_conn_options'] = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];",
          `$config['product_name'] = 'Farm, host ${name}';`,
        ],
        join(folder, 'shared.db'),
      );
      running.defer(() => roundcube.stop());
      farm.set(name, roundcube);
    }
    const hosts = [...farm.values()].map(({ origin }) => `{ webmail: "${origin}/" }`);
    gateway = running.use(
      await startGateway({
        backends: {
          farm: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", hosts: [${hosts.join(', ')}], driver: roundcube, health: { http_interval: 200ms } }`,
        },
        users: Object.fromEntries(people.map(({ user }) => [user, 'farm'])),
        caFile: lab.caFile,
      }),
    );
  });
  after(() => running.disposeAsync());

  async function signIns(): Promise<number> {
    let count = 0;
    for (const roundcube of farm.values()) {
      count += (await roundcube.log('userlogins'))
        .split('\n')
        .filter((line) => line.includes('Successful login')).length;
    }
    return count;
  }

  test('each user has a host, the same at each sign-in, and all of them one account', async () => {
    for (const { user, password } of people) {
      const person = new RoundcubeUser(gateway.origin);
      assert.equal((await person.signIn(user, password)).status, 200);
      visitors.set(user, person);
      const again = new RoundcubeUser(gateway.origin);
      await again.signIn(user, password);
      assert.equal(await hostOf(again), await hostOf(person));
    }
    assert.deepEqual(farm.get('one')?.userNames(), people.map(({ user }) => user).toSorted());
  });

  test('the users of a host that is lost go on at the other, signed in again in silence; the others notice nothing', async (t) => {
    const homes = new Map<string, string>();
    for (const [user, person] of visitors) homes.set(user, await hostOf(person));
    const [lost] = homes.values();
    assert.ok(lost !== undefined);
    const concerned = [...homes.values()].filter((host) => host === lost).length;
    const before = await signIns();
    await farm.get(lost)?.stop();
    const left = names.find((name) => name !== lost);
    const startedMs = performance.now();
    for (const person of visitors.values()) assert.equal(await hostOf(person), left);
    t.diagnostic(`${concerned} of ${visitors.size} users moved within ${Math.round(performance.now() - startedMs)} ms`);
    assert.equal((await signIns()) - before, concerned);
    assert.equal(gateway.log.filter((line) => line.includes('"event":"login"')).length, 2 * people.length);
    assert.deepEqual(farm.get(left ?? '')?.userNames(), people.map(({ user }) => user).toSorted());
  });

  test('a sign-in finds the host that is left, and nobody is led to and fro', async () => {
    for (const { user, password } of people) {
      const person = new RoundcubeUser(gateway.origin);
      assert.equal((await person.signIn(user, password)).status, 200);
    }
    const before = await signIns();
    for (const person of visitors.values()) await hostOf(person);
    assert.equal(await signIns(), before);
  });
});

/** The host that serves a user now, by the title of the page. */
async function hostOf(person: RoundcubeUser): Promise<string> {
  const page = await person.open('/?_task=mail');
  assert.equal(page.status, 200);
  return /Farm, host (\w+)/.exec(page.body)?.[1] ?? page.body.slice(0, 300);
}
