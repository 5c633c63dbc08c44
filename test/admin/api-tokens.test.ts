import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { run } from '../cli/cli.fixture.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { assertDescribed } from './api-answers.fixture.ts';

const reason = 'a test';

/** Makes a token as an operator does. Resolves with the token, and the line of the configuration for it. */
async function make(...args: readonly string[]) {
  const { code, out, err } = await run(['token', 'create', ...args]);
  assert.equal(code, 0, err);
  const [token = ''] = out.split('\n');
  const line = /^ +- (\{.*\})$/m.exec(out)?.[1] ?? '';
  assert.match(token, /^postern_[\w-]{43}$/);
  assert.match(line, /^\{ name: \S+, hash: "sha256:[\w-]{43}", role: (?:read|lock|operator)/);
  assert.ok(!line.includes(token), 'the configuration does not hold the token');
  return { token, line };
}

describe("tokens of the operators' API", () => {
  let site: StandbySite;
  let tokens: Readonly<Record<'reads' | 'acts' | 'locks' | 'old', string>>;
  before(async () => {
    const reads = await make('monitoring', '--expires', '365d');
    const acts = await make('billing', '--role', 'operator');
    const locks = await make('abuse-desk', '--role', 'lock');
    const old = await make('migration', '--role', 'operator', '--expires', '2080-01-31T06:00:00Z');
    // Years later.
    const lines = [reads, acts, locks, old].map(({ line }) => line.replace('2080-', '2020-')).join(', ');
    site = await startStandbySite(`, token: { file: token }, tokens: [${lines}]`);
    tokens = { reads: reads.token, acts: acts.token, locks: locks.token, old: old.token };
  });
  after(() => site[Symbol.asyncDispose]());

  async function ask(token: string, method: string, path: string, body?: object) {
    const response = await fetch(`http://127.0.0.1:${site.gateway.ports.operators}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'postern-operator': 'eve' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer: { readonly error?: string } = JSON.parse(await response.text());
    assertDescribed(method, path, response.status, answer);
    return { status: response.status, error: answer.error };
  }
  const drain = { state: 'DRAIN', reason };
  const lastActor = async () => (await site.api('GET', '/audit?limit=1')).body.lines[0].actor;

  it('name the actor in the audit, whatever name the client gives itself', async () => {
    assert.equal((await ask(tokens.acts, 'PUT', '/backends/b/state', drain)).status, 200);
    assert.equal(await lastActor(), 'billing (token)');
    assert.equal((await ask('open-sesame', 'PUT', '/backends/b/state', drain)).status, 200);
    assert.equal(await lastActor(), 'eve (operators.token)');
  });

  it('of the role read change nothing, and say so', async () => {
    assert.equal((await ask(tokens.reads, 'GET', '/backends')).status, 200);
    assert.equal((await ask(tokens.reads, 'POST', '/statistics/last', { users: ['alice'] })).status, 200);
    for (const [method, path] of [
      ['PUT', '/backends/b/state'],
      ['DELETE', '/sessions?backend=a'],
      ['POST', '/users/alice/move'],
    ] as const) {
      assert.deepEqual(await ask(tokens.reads, method, path, { ...drain, to: 'b' }), {
        status: 403,
        error: 'monitoring (token) may only read: this needs a token with the role operator',
      });
    }
    assert.notEqual(await lastActor(), 'monitoring (token)');
  });

  it('of the role lock lock, unlock and list locks, and do nothing else', async () => {
    assert.equal((await ask(tokens.locks, 'POST', '/locks', { users: ['anna'], reason })).status, 200);
    assert.equal(await lastActor(), 'abuse-desk (token)');
    assert.equal((await ask(tokens.locks, 'GET', '/locks')).status, 200);
    assert.equal((await ask(tokens.reads, 'GET', '/locks')).status, 200);
    assert.equal((await ask(tokens.reads, 'DELETE', '/locks', { users: ['anna'], reason })).status, 403);
    assert.equal((await ask(tokens.locks, 'DELETE', '/locks', { users: ['anna'], reason })).status, 200);
    for (const [method, path] of [
      ['GET', '/sessions'],
      ['PUT', '/backends/b/state'],
      ['DELETE', '/users/alice/sessions'],
    ] as const) {
      assert.deepEqual(await ask(tokens.locks, method, path, method === 'GET' ? undefined : drain), {
        status: 403,
        error: 'abuse-desk (token) may only lock, unlock and list locks: this needs a token with the role operator',
      });
    }
  });

  it('are refused when their time is over, with a line in the log that is no alarm', async () => {
    for (let count = 0; count < 3; count += 1) {
      assert.deepEqual(await ask(tokens.old, 'GET', '/backends'), {
        status: 401,
        error: 'the token migration expired at 2020-01-31T06:00:00.000Z: make another with postern token create',
      });
    }
    const lines = site.logged.filter(({ event }) => event === 'api-token-expired');
    assert.deepEqual(
      lines.map(({ level, fields }) => [level, fields]),
      [['warn', { actor: 'migration', until: '2020-01-31T06:00:00.000Z' }]],
    );
  });

  it('are refused if the gateway does not know them, which names none of those that it knows', async () => {
    const { token: foreign } = await make('stranger');
    for (const wrong of [foreign, tokens.acts.slice(0, -1), '-', 'open-sesam']) {
      assert.deepEqual(await ask(wrong, 'GET', '/backends'), {
        status: 401,
        error: 'send a token that the gateway knows: Authorization: Bearer …',
      });
    }
  });

  it('let commands in over TCP, by a variable of the environment', async () => {
    // The gateway chose its port, which a command reads in the configuration.
    const file = site.configFile.replace('postern.yaml', 'elsewhere.yaml');
    const yaml = await readFile(site.configFile, 'utf8');
    await writeFile(file, yaml.replace('listen: 127.0.0.1:0', `listen: 127.0.0.1:${site.gateway.ports.operators}`));
    const as = (token: string, ...args: string[]) => run([...args, '-c', file], { env: { POSTERN_TOKEN: token } });
    assert.equal((await as(tokens.reads, 'backend', 'list')).code, 0);
    const refused = await as(tokens.reads, 'kick', 'alice', '--reason', reason);
    assert.deepEqual([refused.code, refused.out], [2, '']);
    assert.match(refused.err, /may only read/);
    assert.equal((await as(tokens.acts, 'kick', 'alice', '--reason', reason)).code, 0);
    assert.equal(await lastActor(), 'billing (token)');
  });

  it('are listed with role and end, and a slip in one is told with its place', async () => {
    const listed = await run(['token', 'list', '-c', site.configFile, '--format', 'csv']);
    assert.match(
      listed.out,
      /^token,role,expires,state\r?\nmonitoring,read,20\d\d-.*Z,counts\r?\nbilling,operator,,counts/,
    );
    assert.match(listed.out, /^migration,operator,2020-01-31T06:00:00\.000Z,expired\r?$/m);
    const file = site.configFile.replace('postern.yaml', 'wrong.yaml');
    const yaml = await readFile(site.configFile, 'utf8');
    await writeFile(file, yaml.replace('name: billing', 'name: monitoring').replace(/hash: "sha256:/, 'hash: "'));
    const { code, err } = await run(['check', '-c', file]);
    assert.equal(code, 2);
    assert.match(
      err,
      /operators\.tokens\[0\]\.hash: is not a hash of a token: write the one that postern token create/,
    );
    assert.equal((await run(['token', 'create', 'a b'])).code, 2);
    assert.match((await run(['token', 'create', 'x', '--expires', 'soon'])).err, /^soon is not a time: write 90d/);
    for (const over of ['0d', '2020-01-01']) {
      const refused = await run(['token', 'create', 'x', '--expires', over]);
      assert.deepEqual([refused.code, refused.out], [2, '']);
      assert.equal(refused.err, `${over} is over: such a token would let nobody in\n`);
    }
  });
});
