import assert from 'node:assert/strict';
import { chmod, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { alice, bob, type Person } from '../../demo/people.ts';
import { Browser, fieldsIn, type Landed } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import {
  makeSecrets,
  prepareCompose,
  type RunningParts,
  type Service,
  servicesIn,
  startParts,
} from './compose.fixture.ts';

async function signIn(browser: Browser, person: Person): Promise<Landed> {
  const asked = await browser.open('/');
  const fields = fieldsIn(asked.body.toString());
  fields.set('user', person.address);
  fields.set('password', person.password);
  return browser.submit(asked.path, fields);
}

describe('the Compose file', () => {
  const ends = new AsyncDisposableStack();
  let folder = '';
  let services: Readonly<Record<string, Service>> = {};
  before(async () => {
    ({ folder } = ends.use(await prepareCompose()));
    services = await servicesIn(folder);
  });
  after(() => ends.disposeAsync());

  it('is understood by Compose: HAProxy, two nodes, Redis and two backends', () => {
    assert.deepEqual(Object.keys(services).sort(), ['backend-a', 'backend-b', 'haproxy', 'node1', 'node2', 'redis']);
  });

  it('would be seen to be wrong: a key that Compose does not know', async () => {
    await using other = await prepareCompose();
    const file = join(other.folder, 'compose.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace('read_only:', 'readonly:'));
    await assert.rejects(servicesIn(other.folder), { stderr: /Additional property readonly is not allowed/ });
  });

  it('mounts whatever the nodes’ configuration names, and gives a stop its time', async () => {
    const yaml = await readFile(join(folder, 'postern/postern.yaml'), 'utf8');
    const named = [...yaml.matchAll(/\/run\/secrets\/([\w-]+)/g)].map(([, name]) => name);
    for (const name of ['node1', 'node2']) {
      const { secrets = [], volumes = [], read_only: readOnly, stop_grace_period: grace } = services[name] ?? {};
      assert.deepEqual(new Set(named), new Set(secrets.map(({ source }) => source)));
      const [configuration, mail, state] = ['/etc/postern', '/run/demo', '/var/lib/postern'].map((target) =>
        volumes.find((volume) => volume.target === target),
      );
      assert.deepEqual([configuration?.read_only, mail?.read_only, state?.source], [true, true, name]);
      assert.deepEqual([readOnly, grace], [true, '1m15s']);
    }
  });

  it('gets secrets that containers can read, in a folder that nobody else can open', async () => {
    const files = ['secrets', 'secrets/postern-keys', 'secrets/redis-password'].map((name) => stat(join(folder, name)));
    const modes = (await Promise.all(files)).map(({ mode }) => mode & 0o777);
    assert.deepEqual(modes, [0o700, 0o444, 0o444]);
  });

  it('gets no secrets in a folder that others opened or brought', async () => {
    await using other = await prepareCompose();
    const secrets = join(other.folder, 'secrets');
    await chmod(secrets, 0o777);
    await makeSecrets(other.folder);
    assert.equal((await stat(secrets)).mode & 0o777, 0o700);
    await rename(secrets, `${secrets}-elsewhere`);
    await symlink(`${secrets}-elsewhere`, secrets);
    await assert.rejects(makeSecrets(other.folder), {
      stderr: /secrets is a link or belongs to another user: remove it/,
    });
  });

  describe('as its parts run, with their own files and commands,', () => {
    let parts: RunningParts;
    let browserOfAlice: Browser;
    before(async () => {
      parts = ends.use(await startParts(folder));
      browserOfAlice = new Browser(parts.origin);
    });

    it('is healthy by the health checks of its services', async () => {
      for (const service of ['redis', 'backend-a', 'backend-b', 'haproxy'] as const) await parts.check(service);
    });

    it('is accepted by `postern check --online` in a node', async () => {
      assert.doesNotMatch(await parts.postern('node1', 'check', '--online'), /failed/);
    });

    it('signs each user in on the backend of their own, through HAProxy', async () => {
      // HAProxy takes a node in once its first checks have passed.
      await eventually(async () => (await signIn(browserOfAlice, alice)).path === '/mail/INBOX');
      const browser = new Browser(parts.origin);
      assert.equal((await signIn(browser, bob)).path, '/mail/INBOX');
      assert.match(await parts.postern('node1', 'who', alice.address), /\ba\b/);
      assert.match(await parts.postern('node1', 'who', bob.address), /\bb\b/);
    });

    it('keeps the audit of each node, and verifies it when the nodes are gone', async () => {
      for (const node of ['node1', 'node2'] as const) {
        await parts.postern(node, 'backend', 'set', 'b', 'READY', '--reason', `from ${node}`);
      }
      // The end of each chain is anchored in Redis once a second, and when a node stops.
      await parts.node1[Symbol.asyncDispose]();
      for (const file of parts.audits) assert.match(await readFile(file, 'utf8'), /"backend-state"/);
      assert.equal((await browserOfAlice.open('/mail/INBOX')).status, 200, 'the other node serves on');
      await parts.node2[Symbol.asyncDispose]();
      await parts.postern('node1', 'audit', 'verify', ...parts.audits);
      const [file] = parts.audits;
      await writeFile(file, (await readFile(file, 'utf8')).replace('from node1', 'from nobody'));
      await assert.rejects(parts.postern('node2', 'audit', 'verify', ...parts.audits), {
        stdout: /this audit was changed/,
      });
    });
  });
});
