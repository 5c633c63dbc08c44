import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createCertificate } from '../../demo/certificate.ts';
import { startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { alice } from '../../demo/people.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { type ConfinedUnit, startConfined } from './confinement.fixture.ts';

const started = new AsyncDisposableStack();
let port: number;
let files: Readonly<Record<string, string>>;

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-confined-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const backends = started.use(await startBackends(Date.now()));
  port = await freePort();
  await writeConfiguration(backends, { directory: folder, port });
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  files = { 'users.map': read('users.map'), 'ca.crt': read('ca.crt'), 'postern.yaml': read('postern.yaml') };
});
after(() => started.disposeAsync());

/** The audit's path in the example of the reference. */
function exampleAudit(): string {
  const reference = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const [, path = ''] = /^audit: \{ file: (\/[^,]+),/m.exec(reference) ?? [];
  return path;
}

/** The configuration with the places of the service. */
function configured(sessions: string, more = ''): Readonly<Record<string, string>> {
  const yaml = (files['postern.yaml'] ?? '').replace(
    /^operators: .*$/m,
    `operators: { listen: 127.0.0.1:0, socket: /run/postern/postern.sock, socket_access: group }
sessions: { ${sessions}, keys_file: /var/lib/postern/keys }
audit: { file: ${exampleAudit()} }${more}`,
  );
  return { ...files, 'postern.yaml': yaml };
}

/** Fields of the process, such as its capabilities. */
function statusOf({ pid }: ConfinedUnit): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  return Object.fromEntries(lines.map((line) => [line.split(':', 1)[0], line.slice(line.indexOf('\t') + 1)]));
}

async function signIn(): Promise<string> {
  const browser = new Browser(`http://127.0.0.1:${port}`);
  const form = fieldsIn(await browser.text('/-/login'));
  form.set('user', alice.address);
  form.set('password', alice.password);
  return (await browser.submit('/-/login', form)).path;
}

describe('a gateway under the restrictions of the unit', () => {
  test('signs users in, keeps its state where the unit lets it, serves operators, reloads and stops', async () => {
    await using unit = await startConfined(configured('store_file: /var/lib/postern/postern.sqlite'));
    const status = statusOf(unit);
    assert.deepEqual(
      [status['NoNewPrivs'], status['Seccomp'], status['CapEff'], status['CapBnd']],
      ['1', '2', '0'.repeat(16), '0'.repeat(16)],
    );
    assert.equal(await signIn(), '/mail/INBOX');

    await unit.run('nobody', 'postern', 'postern backend set b DRAIN --reason "new disks"');
    const lines = readFileSync(unit.root + exampleAudit(), 'utf8');
    assert.match(lines, /"event":"backend-state","actor":"nobody \(socket\)"/);
    await assert.rejects(
      unit.run('nobody', 'nogroup', 'postern backend list'),
      /may not read \/etc\/postern\/postern\.yaml/,
    );
    const verified = await unit.run('postern', 'postern', 'postern audit verify --older-removed');
    assert.match(verified, /^\d+ lines in .*: nothing was changed\.$/m);
    const socket = statSync(`${unit.root}/run/postern/postern.sock`);
    assert.equal((socket.mode & 0o777).toString(8), '660');

    unit.signal('SIGHUP');
    unit.signal('SIGTERM');
    assert.equal(await unit.exited, 0, unit.log());
    const first = (await unit.notices()).map(([assignment]) => assignment);
    assert.deepEqual([first[0], first.at(-1)], ['READY=1', 'STOPPING=1']);
  });

  test('lets a group of operators use the socket who may not read the configuration, with the drop-in for it', async () => {
    const given = configured('store_file: /var/lib/postern/postern.sqlite');
    const yaml = (given['postern.yaml'] ?? '').replace('group }', 'group, socket_group: postern-operators }');
    await using unit = await startConfined({ ...given, 'postern.yaml': yaml }, 'operators-group.conf');
    const socket = statSync(`${unit.root}/run/postern/postern.sock`);
    assert.deepEqual([(socket.mode & 0o777).toString(8), socket.gid], ['660', 990]);
    assert.equal(statusOf(unit)['CapEff'], '0'.repeat(16));
    const small =
      "echo 'operators: { socket: /run/postern/postern.sock }' > /tmp/operators-$UID.yaml; chmod 644 /tmp/*.yaml";
    const set = 'export POSTERN_CONFIG=/tmp/operators-$UID.yaml; postern backend set b DRAIN --reason "new disks"';
    assert.match(await unit.run('nobody', 'postern-operators', `${small}; ${set}`), /^b is DRAIN for all nodes/);
    await assert.rejects(unit.run('nobody', 'postern-operators', 'cat /etc/postern/postern.yaml'), /Permission denied/);
    await assert.rejects(unit.run('nobody', 'nogroup', set), /EACCES.*: run this command as/);
  });

  test('writes nothing under /etc, and cannot: the file system is read-only but for its own folders', async () => {
    await using unit = await startConfined(configured('store_file: /var/lib/postern/postern.sqlite'));
    assert.deepEqual(readdirSync(`${unit.root}/etc/postern`).sort(), Object.keys(files).sort());
    const folders = [
      '/etc/postern',
      '/usr/lib',
      '/var/lib',
      '/mnt/checkout',
      '/run',
      '/var/lib/postern',
      '/var/log/postern',
      '/run/postern',
      '/var/cache/postern',
    ];
    const tried = folders.map((folder) => `touch ${folder}/x 2>/dev/null && echo ${folder}; true`).join('\n');
    const writable = (await unit.run('postern', 'postern', tried)).trim().split('\n');
    assert.deepEqual(writable, ['/var/lib/postern', '/var/log/postern', '/run/postern', '/var/cache/postern']);
    const asRoot = await unit.run('root', 'root', 'touch /etc/postern/x 2>&1 || true');
    assert.match(asRoot, /Read-only file system/);
  });

  test('runs workers, and TLS on port 443 with the drop-in for low ports', async () => {
    await using redis = await startRedisServer();
    const { certificate, key } = createCertificate(['localhost', '127.0.0.1'], Date.now());
    const yaml = configured(
      `redis: "${redis.url}"`,
      '\nworkers: 2\ntls: { certificate_file: tls.crt, key_file: tls.key }',
    );
    const listening = (yaml['postern.yaml'] ?? '')
      .replace(/^listen: .*$/m, 'listen: 127.77.0.1:443')
      .replace(/^ {2}- http:.*\n/gm, '')
      .replace('public_url:', 'public_url: https://localhost');
    const given = { ...yaml, 'postern.yaml': listening, 'tls.crt': certificate, 'tls.key': key };
    await using unit = await startConfined(given, 'low-ports.conf');
    assert.equal(statusOf(unit)['CapEff'], '0000000000000400');
    const asked = request({
      host: '127.77.0.1',
      port: 443,
      path: '/-/live',
      servername: 'localhost',
      ca: certificate,
      agent: false,
    });
    asked.end();
    const [response] = await once(asked, 'response');
    assert.equal(response.statusCode, 200);
    asked.destroy();
  });
});
