import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { run } from '../cli/cli.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { askSocket } from '../gateway/standby-site.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type Cluster, type GatewayNode, startCluster } from './gateway-node.ts';
import { labUsers, withLab } from './lab.ts';
import { browserName, RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** The first moment of the next UTC day but one: the simulated week lies ahead of what Redis takes for now. */
const startMs = Math.ceil(Date.now() / dayMs) * dayMs + dayMs;
/** The hours of each day at which something is done. */
const hours = [0, 9, 23] as const;

const agents = {
  Firefox: browserName,
  Chrome: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36',
  DAVx5: 'DAVx5/4.5-ose (2026/01/01; dav4jvm; okhttp/5) Android/16',
  '(other)': 'curl/8.0',
} as const;

type Agent = keyof typeof agents;

const people = ['alice@example.test', 'bob@example.test', 'nina@other.test', 'bert@example.test'].map((name) => {
  const found = labUsers.find(({ user }) => user === name);
  assert.ok(found !== undefined);
  return found;
});

/** Something that somebody did, as the test knows it. */
interface Deed {
  /** The simulated hour, to its beginning. */
  readonly hourMs: number;
  readonly column: 'signed_in' | 'refused' | 'failed' | 'program_accepted' | 'program_refused';
  readonly result: string;
  readonly agent: Agent;
  /** Undefined if there is no such user. */
  readonly user?: string;
  readonly backend?: string;
}

/** What a session that has ended sent to its browser. */
interface Visit {
  readonly user: string;
  readonly reason: string;
  readonly requests: number;
  readonly bytesOut: number;
}

/** What the figures must be, counted from the list of what was done: a row of each key, by column. */
function rowsOf(deeds: readonly Deed[], keyOf: (deed: Deed) => string): Readonly<Record<string, object>> {
  const rows = new Map<string, Record<string, number>>();
  for (const deed of deeds) {
    const row = rows.get(keyOf(deed)) ?? {};
    row[deed.column] = (row[deed.column] ?? 0) + 1;
    rows.set(keyOf(deed), row);
  }
  return Object.fromEntries(rows);
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

const groupings: Readonly<Record<string, (deed: Deed) => string>> = {
  hour: (deed) => new Date(deed.hourMs).toISOString().slice(0, 16).replace('T', ' '),
  day: (deed) => dayOf(deed.hourMs),
  backend: ({ backend }) => backend ?? '(none)',
  domain: ({ user }) => user?.split('@')[1] ?? '(unknown user)',
  webmail: ({ backend }) => (backend === undefined ? '(none)' : 'roundcube'),
  result: ({ result }) => result,
  client: ({ agent }) => agent,
};

/** Rows of a table in CSV, whose first column is the key; figures of 0 are left out. */
function parsed(csv: string): Readonly<Record<string, object>> {
  const [head = [], ...rows] = csv
    .trimEnd()
    .split('\r\n')
    .map((line) => line.split(','));
  return Object.fromEntries(
    rows.map(([key = '', ...cells]) => [
      key,
      Object.fromEntries(
        cells.flatMap((cell, index) => (cell === '0' || cell === '' ? [] : [[head[index + 1], Number(cell)]])),
      ),
    ]),
  );
}

/** How many different users there are in each column, 0 left out. */
function usersIn(deeds: readonly Deed[]): object {
  const who = (column: Deed['column']): ReadonlySet<string | undefined> =>
    new Set(deeds.filter((deed) => deed.column === column).map(({ user }) => user));
  const [web, program] = [who('signed_in'), who('program_accepted')];
  const counts = { users: new Set([...web, ...program]).size, web: web.size, program: program.size };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** The hour in which a user did this last, such as `2030-01-31T09`; empty if never. */
function lastHourOf(deeds: readonly Deed[], name: string, column: Deed['column']): string {
  const times = deeds.filter((deed) => deed.user === name && deed.column === column).map((deed) => deed.hourMs);
  return times.length === 0 ? '' : new Date(Math.max(...times)).toISOString().slice(0, 13);
}

function textsOf(visits: readonly Visit[]): readonly string[] {
  return visits.map((visit) => JSON.stringify(visit)).toSorted();
}

function stats(node: GatewayNode, ...args: readonly string[]) {
  return run(['stats', ...args, '-c', node.configFile]);
}

/** The statuses of three requests that a program sends with its password. */
async function threeRequests(node: GatewayNode, user: string, password: string): Promise<readonly number[]> {
  const headers = {
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    'user-agent': agents.DAVx5,
    'x-forwarded-for': `10.${randomInt(256)}.${randomInt(256)}.8`,
    'x-forwarded-proto': 'http',
  };
  const statuses: number[] = [];
  for (let count = 0; count < 3; count += 1) {
    const answer = await fetch(`${node.origin}/roundcube/`, { headers, redirect: 'manual' });
    await answer.arrayBuffer();
    statuses.push(answer.status);
  }
  return statuses;
}

suite('a week of use at two nodes, before real mail servers and webmails', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  const done: Deed[] = [];
  const visits: Visit[] = [];
  let cluster: Cluster;
  let redis: RedisServer;
  let one: GatewayNode;
  let two: GatewayNode;
  let offsetMs = 0;
  let proxied = 0;

  before(async () => {
    redis = opened.use(await startRedisServer());
    const dav = `dav: { /roundcube/: "http://$host:${lab.port(81)}/" }`;
    const settings = `backend_defaults: { ${dav} }\nstatistics: { flush_interval: 1s }`;
    cluster = opened.use(await startCluster({ lab, redisUrl: redis.url, nodes: 2, settings }));
    const [first, second] = cluster.nodes;
    assert.ok(first !== undefined && second !== undefined);
    [one, two] = [first, second];
  });
  after(() => opened.disposeAsync());

  const span = ['--since', new Date(startMs).toISOString(), '--until', new Date(startMs + 8 * dayMs).toISOString()];
  const simulatedMs = (): number => Date.now() + offsetMs;

  async function setClocks(ms: number): Promise<void> {
    offsetMs = ms - Date.now();
    await cluster.setClocks(offsetMs);
  }

  function note(deed: Omit<Deed, 'hourMs'>): void {
    done.push({ ...deed, hourMs: Math.floor(simulatedMs() / hourMs) * hourMs });
  }

  async function visit(node: GatewayNode, number: number, agent: Agent): Promise<RoundcubeUser> {
    const { user, password, backend } = people[number % people.length] ?? assert.fail();
    const person = new RoundcubeUser(node.origin);
    person.userAgent = agents[agent];
    assert.match((await person.signIn(user, password)).body, new RegExp(`Webmail on backend ${backend} :: Inbox`));
    note({ column: 'signed_in', result: 'signed-in', user, backend, agent });
    await person.script('/?_task=mail&_action=list&_mbox=INBOX');
    if (number % 3 === 0) await person.get('/skins/elastic/images/logo.svg');
    return person;
  }

  function noteVisit(person: RoundcubeUser, number: number, reason: string): void {
    const received = person.answers.filter(({ target }) => !target.startsWith('/-/'));
    proxied += received.length;
    const bytesOut = received.reduce((sum, { bytes }) => sum + bytes, 0);
    visits.push({ user: people[number % people.length]?.user ?? '', reason, requests: received.length, bytesOut });
  }

  async function visitAndLeave(node: GatewayNode, number: number, agent: Agent): Promise<void> {
    const person = await visit(node, number, agent);
    noteVisit(person, number, 'signed-out');
    const page = await person.get('/-/logout');
    await person.post('/-/logout', { form: { token: /name="token" value="([^"]+)"/.exec(page.body)?.[1] ?? '' } });
  }

  async function refused(node: GatewayNode, number: number, agent: Agent): Promise<void> {
    const person = new RoundcubeUser(node.origin);
    person.userAgent = agents[agent];
    const { user, backend } = people[number % people.length] ?? assert.fail();
    const isNobody = number % 3 === 0;
    const answer = await person.signIn(isNobody ? `nobody${number}@example.test` : user, `wrong-${number}`);
    assert.match(answer.body, /user name or password is incorrect/);
    note({ column: 'refused', result: 'rejected', agent, ...(isNobody ? {} : { user, backend }) });
  }

  /** A program that sends three requests with its password: the gateway checks it once. */
  async function program(node: GatewayNode, number: number): Promise<void> {
    const { user, password, backend } = people[number % people.length] ?? assert.fail();
    const statuses = await threeRequests(node, user, number % 4 === 1 ? 'wrong' : password);
    if (number % 4 === 1) {
      assert.deepEqual(statuses, [401, 401, 401]);
      return note({ column: 'program_refused', result: 'program: wrong', user, backend, agent: 'DAVx5' });
    }
    assert.ok(
      statuses.every((status) => status < 400),
      statuses.join(),
    );
    proxied += statuses.length;
    note({ column: 'program_accepted', result: 'program: right', user, backend, agent: 'DAVx5' });
  }

  /** While a backend is closed, its people cannot sign in, and its programs are told to come later. */
  async function maintenance(node: GatewayNode): Promise<void> {
    const closed = { backend: 'b', user: 'bert@example.test' };
    const set = (state: string) => run(['backend', 'set', 'b', state, '--reason', 'disks', '-c', node.configFile]);
    assert.equal((await set('MAINT')).code, 0);
    const person = new RoundcubeUser(node.origin);
    assert.equal((await person.signIn('bert', 'bert-pw')).status, 503);
    note({ ...closed, column: 'failed', result: 'closed', agent: 'Firefox' });
    assert.deepEqual(await threeRequests(node, 'bert@example.test', 'bert-pw'), [503, 503, 503]);
    note({ ...closed, column: 'program_accepted', result: 'program: right', agent: 'DAVx5' });
    assert.equal((await set('READY')).code, 0);
  }

  test('people and programs come for seven days', async () => {
    let number = 0;
    let left: { person: RoundcubeUser; number: number } | undefined;
    for (let day = 0; day < 7; day += 1) {
      for (const hour of hours) {
        await setClocks(startMs + day * dayMs + hour * hourMs + 20 * 60_000);
        // Who left the day before without signing out must sign in again.
        if (left !== undefined) {
          noteVisit(left.person, left.number, 'idle');
          assert.match((await left.person.get('/?_task=mail')).headers.location ?? '', /\/-\/login\?.*ended=idle/);
          left = undefined;
        }
        const nodes = day % 2 === 0 ? ([one, two] as const) : ([two, one] as const);
        number += 1;
        await Promise.all([
          visitAndLeave(nodes[0], number, 'Firefox'),
          visitAndLeave(nodes[1], number + 1, hour === 9 ? '(other)' : 'Chrome'),
          refused(nodes[number % 2] ?? one, number + 2, 'Firefox'),
          program(nodes[1], number),
        ]);
        if (day === 3 && hour === 9) await maintenance(nodes[0]);
        if (hour === 23) left = { person: await visit(nodes[0], number, 'Firefox'), number };
      }
    }
    await setClocks(startMs + 7 * dayMs + hourMs);
    if (left !== undefined) noteVisit(left.person, left.number, 'idle');
    await left?.person.get('/?_task=mail');
    assert.equal(done.length, 7 * (3 * 4 + 1) + 2);
  });

  test('the figures of each node are those of both, and what was done, by all that they are counted by', async () => {
    // Each node stores what it has counted by itself.
    await eventually(async () => {
      const { out } = await stats(two, 'logins', '--by', 'result', ...span, '--format', 'csv');
      return (
        JSON.stringify(parsed(out)['signed-in']) === JSON.stringify(rowsOf(done, (deed) => deed.result)['signed-in'])
      );
    });
    for (const [by, keyOf] of Object.entries(groupings)) {
      for (const node of [one, two]) {
        const { out, err } = await stats(node, 'logins', '--by', by, ...span, '--format', 'csv');
        assert.deepEqual(parsed(out), rowsOf(done, keyOf), `${by}: ${err}`);
      }
    }
  });

  test('so are the different users of each day and month', async () => {
    const rows = new Map<string, object>();
    for (const length of ['2030-01-31'.length, '2030-01'.length]) {
      for (const period of new Set(done.map((deed) => dayOf(deed.hourMs).slice(0, length)))) {
        rows.set(period, usersIn(done.filter((deed) => dayOf(deed.hourMs).startsWith(period))));
      }
    }
    for (const node of [one, two]) {
      const { out } = await stats(node, 'users', ...span, '--format', 'csv');
      assert.deepEqual(parsed(out), Object.fromEntries(rows));
    }
  });

  test('each last sign-in is there, and who has not come is told from who has', async () => {
    const { out } = await stats(two, 'last', '--format', 'csv');
    const listed = out
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((line) => line.split(','))
      .map(([user = '', web = '', program = '', mail]) => [user, [web.slice(0, 13), program.slice(0, 13), mail]]);
    const expected = people.map(({ user }) => {
      const [web, program] = (['signed_in', 'program_accepted'] as const).map((column) =>
        lastHourOf(done, user, column),
      );
      return [user, [web, program, '']];
    });
    assert.deepEqual(Object.fromEntries(listed), Object.fromEntries(expected));
    const users = join(dirname(one.configFile), 'users.txt');
    await writeFile(users, 'alice\nanna\nnina@other.test\nsam\n');
    const never = await stats(one, 'last', '--never', users, '--format', 'csv');
    assert.deepEqual(Object.keys(parsed(never.out)), ['anna@example.test', 'sam@example.test']);
  });

  test('each session that ended says how many answers and bytes its browser got', async () => {
    const ended = [one, two]
      .flatMap(({ log }) => log)
      .filter((line) => line.includes('"event":"session-end"'))
      .map((line): Visit => JSON.parse(line))
      .map(({ user, reason, requests, bytesOut }) => ({ user, reason, requests, bytesOut }));
    assert.deepEqual(textsOf(ended), textsOf(visits));
    assert.ok(ended.every(({ bytesOut }) => bytesOut > 5_000));
  });

  test('the metrics of both nodes add up to what was done, and no penalty was given', async () => {
    const pages = [await one.scrape(), await two.scrape()];
    const sum = (series: string): number =>
      pages
        .flatMap((page) => page.split('\n'))
        .filter((line) => line.startsWith(series))
        .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0);
    const count = (column: Deed['column'], backend?: string): number =>
      done.filter((deed) => deed.column === column && deed.backend === backend).length;
    for (const backend of ['a', 'b']) {
      const labels = `backend="${backend}"`;
      const logins = (result: string): number =>
        sum(`postern_logins_total{result="${result}",${labels},webmail="roundcube"}`);
      assert.deepEqual(
        [logins('signed-in'), logins('rejected')],
        [count('signed_in', backend), count('refused', backend)],
      );
      const checks = (result: string): number => sum(`postern_client_checks_total{result="${result}",${labels}}`);
      assert.deepEqual(
        [checks('right'), checks('wrong')],
        [count('program_accepted', backend), count('program_refused', backend)],
      );
    }
    assert.equal(sum('postern_logins_total{result="rejected",backend="",webmail=""}'), count('refused'));
    assert.equal(sum('postern_logins_total'), done.filter(({ result }) => !result.startsWith('program')).length);
    assert.equal(sum('postern_logins_total{result="closed"'), done.filter(({ result }) => result === 'closed').length);
    assert.equal(sum('postern_client_checks_total'), done.filter(({ agent }) => agent === 'DAVx5').length);
    assert.equal(sum('postern_requests_total'), proxied);
    assert.equal(sum('postern_penalty_delays_total'), 0);
  });

  test('kill -9 of a node loses at most what it has counted since it last stored', async (t) => {
    const stored = async (): Promise<number> => {
      const { body } = await askSocket(two.socket, 'GET', `/statistics/logins?by=day&since=${dayOf(simulatedMs())}`);
      return body.rows.reduce((sum: number, row: { signed_in: number }) => sum + row.signed_in, 0);
    };
    const before = await stored();
    for (let number = 0; number < 3; number += 1) await visit(one, number, 'Firefox');
    // Nobody asks that node: it stores them by its timer.
    await eventually(async () => (await stored()) === before + 3);
    for (let number = 0; number < 2; number += 1) await visit(one, number, 'Firefox');
    await one.kill();
    const left = await stored();
    assert.ok(left >= before + 3 && left <= before + 5, `${left} of ${before + 5}`);
    t.diagnostic(`lost ${before + 5 - left} of the 2 sign-ins since it stored last`);
    await one.start();
    await setClocks(simulatedMs());
    await visit(one, 0, 'Firefox');
    await eventually(async () => (await stored()) === left + 1);
    assert.equal(await stored(), left + 1, 'a node that starts again adds nothing twice');
  });
});
