import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { apiRoutes } from '../../src/admin/api.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { assertDescribed, describedOperations } from './api-answers.fixture.ts';

const reason = 'a test';

describe('what docs/openapi.yaml says of answers', () => {
  let site: StandbySite;
  const seen = new Set<string>();
  before(async () => {
    const support = `support:
  console: http://support.localhost
  assist: http://assist.localhost
  staff: { anna@example.test: { roles: [support] } }
`;
    site = await startStandbySite(', token: { file: token }', support);
  });
  after(() => site[Symbol.asyncDispose]());

  /** Asks over the socket, which holds the answer against the schema, and notes the operation if it did what it should. */
  async function ask(method: string, path: string, body?: object, wanted = 200) {
    const answer = await site.api(method, path, body);
    assert.equal(answer.status, wanted, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    const name = assertDescribed(method, path, answer.status, answer.body);
    if (answer.status === 200 && name !== undefined) seen.add(name);
    return answer.body;
  }

  async function failToSignIn(user: string): Promise<void> {
    const { landed } = await site.signIn(`${user}-wrong`);
    assert.notEqual(landed.status, 303);
  }

  it('is true of backends, hosts and nodes', async () => {
    await ask('GET', '/backends');
    const set = { state: 'DRAIN', reason, until: '2030-01-01T00:00:00Z', texts: { en: 'Later.' } };
    await ask('PUT', '/backends/b/state', set);
    await ask('PUT', '/hosts/a%2F2/state', { state: 'MAINT', reason });
    await ask('GET', '/backends');
    await ask('GET', '/status');
    await ask('PUT', '/backends/b/state', { state: 'READY', reason });
    await ask('PUT', '/hosts/a%2F2/state', { state: 'READY', reason });
    await ask('PUT', '/backends/a/active', { host: 'a', reason });
    await ask('GET', '/nodes');
    await ask('POST', '/reload', { reason });
    await ask('GET', '/node');
    await ask('GET', '/config');
    await ask('PUT', '/node/state', { state: 'READY', reason });
  });

  it('is true of sessions and users', async () => {
    for (const user of ['alice', 'alice', 'anna', 'bob']) await site.signIn(user);
    const first = await ask('GET', '/sessions?limit=2');
    assert.ok(first.truncated);
    const rest = await ask('GET', `/sessions?limit=100&cursor=${first.next}`);
    assert.equal(first.sessions.length + rest.sessions.length, 4);
    await ask('GET', '/users/alice');
    await ask('GET', '/users/alice/explanation');
    await ask('GET', '/users/nobody/explanation');
    await ask('DELETE', '/users/alice/remembered-home', { reason });
    await ask('DELETE', `/sessions/${first.sessions[0].short_id}`, { reason });
    await ask('DELETE', '/sessions?kind=user&network=127.0.0.0/8&user=alice', { reason });
    await ask('DELETE', '/users/bob/sessions', { reason });
  });

  it('is true of moves', async () => {
    await ask('POST', '/users/anna/move', { to: 'b', reason, dry_run: true });
    await ask('POST', '/users/anna/move', { to: 'a', reason });
    await ask('POST', '/users/anna/move', { to: 'b', reason, at_sign_in: true });
    await ask('GET', '/moves');
    await ask('GET', '/users/anna');
    await ask('DELETE', '/users/anna/move', { reason });
    await ask('DELETE', '/users/bob/move', { reason }, 404);
  });

  it('is true of locks', async () => {
    await ask('POST', '/locks', { users: ['anna', 'a b'], networks: ['192.0.2.9/24', '0.0.0.0/0'], dry_run: true });
    const texts = { en: 'Call us.' };
    const until = '2040-01-01T00:00:00Z';
    await ask('POST', '/locks', { users: ['anna'], domains: ['other.test'], reason, until, texts });
    await ask('GET', '/locks?kind=user&user=anna');
    await ask('DELETE', '/locks', { users: ['anna'], domains: ['other.test'], networks: ['::1'], reason });
    await ask('DELETE', '/locks', { users: ['anna'], reason }, 404);
  });

  it('is true of penalties', async () => {
    await failToSignIn('alice');
    await ask('GET', '/penalties?without_delay=true');
    await ask('DELETE', '/penalties?network=127.0.0.1', { reason });
    await ask('DELETE', '/penalties?user=alice', { reason }, 404);
    await ask('GET', '/penalties?network=here', undefined, 400);
  });

  it('is true of statistics', async () => {
    for (const by of ['hour', 'day', 'backend', 'result']) await ask('GET', `/statistics/logins?by=${by}`);
    await ask('GET', '/statistics/logins?by=moon', undefined, 400);
    await ask('GET', '/statistics/week');
    await ask('GET', '/statistics/users');
    await ask('GET', '/statistics/last');
    await ask('POST', '/statistics/last', { users: ['alice', 'nobody'] });
    await ask('DELETE', '/users/alice/statistics', { reason });
  });

  it('is true of staff and of the audit', async () => {
    await ask('GET', '/staff');
    await ask('POST', '/console/link', {});
    await ask('POST', '/staff/anna/enrolment', {});
    await ask('GET', '/staff');
    await ask('DELETE', '/staff/anna/enrolment', { reason });
    await ask('DELETE', '/staff/anna/enrolment', { reason }, 404);
    await ask('POST', '/staff/bob/enrolment', {}, 409);
    await ask('GET', '/audit?limit=500');
  });

  it('is true of refusals', async () => {
    await ask('GET', '/nothing', undefined, 404);
    await ask('PUT', '/sessions', {}, 405);
    await ask('PUT', '/backends/b/state', { state: 'READY' }, 400);
    await ask('PUT', '/backends/zebra/state', { state: 'READY', reason }, 404);
    await ask('GET', '/sessions?limit=0', undefined, 400);
    await ask('GET', '/sessions?cursor=x', undefined, 400);
    await ask('DELETE', '/sessions/AAAAAAAAA', { reason }, 404);
    await ask('DELETE', '/users/nobody/sessions', { reason }, 404);
    await ask('GET', '/users/nobody', undefined, 404);
    const refused = await fetch(`http://127.0.0.1:${site.gateway.ports.operators}/api/v1/backends`);
    assert.equal(assertDescribed('GET', '/backends', refused.status, await refused.json()), 'listBackends');
    const html = { method: 'PUT', body: '<p>', headers: { authorization: 'Bearer open-sesame' } };
    const wrong = await fetch(`http://127.0.0.1:${site.gateway.ports.operators}/api/v1/backends/b/state`, html);
    assert.deepEqual(
      [wrong.status, assertDescribed('PUT', '/backends/b/state', wrong.status, await wrong.json())],
      [415, 'setBackendState'],
    );
  });

  it('was held against a real answer of every operation', () => {
    const routes = apiRoutes(new Proxy(Object.create(null), { get: () => undefined }));
    assert.deepEqual([...seen].toSorted(), routes.map(({ name }) => name).toSorted());
  });

  it('is strict: an unknown field, a missing one and another status fail', () => {
    assert.ok(describedOperations().length > 20);
    const node = {
      name: 'a',
      state: 'READY',
      ready: true,
      degraded: [],
      build: { version: '1', commit: 'x', node: '24' },
    };
    assert.equal(assertDescribed('GET', '/node', 200, node), 'showNode');
    assert.throws(() => assertDescribed('GET', '/node', 200, { ...node, more: 1 }), /showNode, 200: .*more/);
    assert.throws(() => assertDescribed('GET', '/node', 200, { ...node, ready: undefined }), /ready/);
    assert.throws(() => assertDescribed('GET', '/node', 204, {}), /showNode/);
    assert.throws(() => assertDescribed('GET', '/other', 200, {}), /not in docs\/openapi\.yaml/);
  });
});
