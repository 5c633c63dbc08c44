import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { postern } from '../cli/cli.fixture.ts';
import { debianRoot } from '../debian-root.fixture.ts';
import { runProgram } from '../programs.ts';

const folder = fileURLToPath(new URL('../../deploy/systemd/', import.meta.url));
const unit = join(folder, 'postern.service');
const units = ['postern.service', 'postern-audit-verify.service', 'postern-audit-verify.timer'];
/** No colours and no links in what systemd prints. */
const plain = { SYSTEMD_COLORS: '0', SYSTEMD_URLIFY: '0' };

async function scratch(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'postern-unit-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  return root;
}

/** The unit with drop-ins, as systemd reads it, in a root of its own. */
async function withDropIns(t: TestContext, ...names: readonly string[]): Promise<string> {
  const root = await scratch(t);
  const etc = join(root, 'etc/systemd/system');
  await mkdir(join(etc, 'postern.service.d'), { recursive: true });
  for (const name of units) await cp(join(folder, name), join(etc, name));
  for (const name of names) await cp(join(folder, name), join(etc, 'postern.service.d', name));
  return root;
}

interface Finding {
  readonly name: string;
  readonly exposure: string | null;
}

/** The exposure of the unit in a root, from 0 to 10, and the open findings. */
async function exposureOf(root: string): Promise<{ readonly level: number; readonly open: readonly string[] }> {
  const about = ['security', '--offline=yes', `--root=${root}`, '--no-pager'];
  const said = await runProgram('systemd-analyze', [...about, 'postern.service'], { env: plain });
  const findings: readonly Finding[] = JSON.parse(
    await runProgram('systemd-analyze', [...about, '--json=short', 'postern.service']),
  );
  const level = /Overall exposure level for postern\.service: ([\d.]+)/.exec(said)?.[1];
  return {
    level: Number(level),
    open: findings.filter(({ exposure }) => exposure !== null && Number(exposure) > 0).map(({ name }) => name),
  };
}

/** A small configuration that listens there. */
function configured(listen: string): string {
  return `listen: ${listen}
public_url: http://127.0.0.1:8080
operators: { listen: 127.0.0.1:0 }
directory: { sources: [{ type: static, backend: a }] }
backends: { a: { imap: imaps://127.0.0.1, webmail: http://127.0.0.1/, driver: none } }
`;
}

describe('the unit', () => {
  test('tries again what may pass by itself (3), and not a configuration that is wrong (2)', async (t) => {
    const settings = readFileSync(unit, 'utf8').split('\n');
    for (const line of ['Restart=on-failure', 'RestartPreventExitStatus=2', 'StartLimitIntervalSec=0']) {
      assert.ok(settings.includes(line), line);
    }
    const folder = await scratch(t);
    const startWith = async (yaml: string) => {
      await writeFile(join(folder, 'postern.yaml'), yaml);
      return (await postern(['serve', '-c', join(folder, 'postern.yaml')])).code;
    };
    assert.equal(await startWith(configured('192.0.2.1:8080')), 3, 'no address of this machine');
    assert.equal(await startWith('listen: everywhere\n'), 2);
    await rm(join(folder, 'postern.yaml'));
    assert.equal((await postern(['serve', '-c', join(folder, 'postern.yaml')])).code, 2);
    await writeFile(join(folder, 'state/keys'), 'no key\n', { mode: 0o600 });
    assert.equal(await startWith(configured('127.0.0.1:0')), 2, 'keys that cannot be used');
  });

  test('is exposed by 1.5 of 10 at most, and by what it needs: a network, threads of V8, a voice', async (t) => {
    const { level, open } = await exposureOf(await withDropIns(t));
    assert.ok(level <= 1.5, `exposure ${level}: ${open.join(', ')}`);
    assert.deepEqual(open, [
      'RootDirectory=/RootImage=',
      'MemoryDenyWriteExecute=',
      'RestrictAddressFamilies=~AF_UNIX',
      'RestrictAddressFamilies=~AF_(INET|INET6)',
      'PrivateNetwork=',
      'DeviceAllow=',
      'IPAddressDeny=',
      'NotifyAccess=',
    ]);
  });

  test('is exposed by 1.5 of 10 at most to the systemd of Debian 13, too, which knows all of it', async () => {
    await using root = await debianRoot('trixie');
    await root.install('systemd');
    const etc = join(root.path, 'srv/etc/systemd/system');
    await mkdir(etc, { recursive: true });
    await cp(unit, join(etc, 'postern.service'));
    const about = ['--root=/srv', '--no-pager', 'postern.service'];
    const said = await root.run('systemd-analyze', ['security', '--offline=yes', ...about], { env: plain });
    const level = Number(/Overall exposure level for postern\.service: ([\d.]+)/.exec(said)?.[1]);
    assert.ok(level <= 1.5, said);
    const verify = 'systemd-analyze verify --man=no --recursive-errors=no --root=/srv postern.service 2>&1 || true';
    const complaints = (await root.run('sh', ['-c', verify], { env: plain })).split('\n').filter((line) => line !== '');
    assert.deepEqual(
      complaints.filter((line) => !line.includes('is not executable: No such file')),
      [],
    );
  });

  test('stays below 2 with a port below 1024, of a checkout', async (t) => {
    const { level, open } = await exposureOf(await withDropIns(t, 'checkout.conf', 'low-ports.conf'));
    assert.ok(level < 2, `exposure ${level}: ${open.join(', ')}`);
  });

  test('lets the gateway write where 0.1.0 kept its state, if there is such a folder', () => {
    assert.match(readFileSync(unit, 'utf8'), /^ReadWritePaths=-\/etc\/postern\/state$/m);
  });

  for (const [what, dropIns] of [
    ['as it is', []],
    ['with its drop-ins', ['checkout.conf', 'low-ports.conf', 'operators-group.conf']],
  ] as const) {
    test(`has nothing that systemd does not know, ${what}`, async (t) => {
      const root = await withDropIns(t, ...dropIns);
      const programs = ['usr/lib/postern/bin/node', 'opt/postern/node_modules/.bin/node', 'bin/kill'];
      for (const program of programs) {
        await mkdir(join(root, program, '..'), { recursive: true });
        await writeFile(join(root, program), '', { mode: 0o755 });
      }
      const args = ['verify', '--man=no', '--recursive-errors=no', `--root=${root}`, 'postern.service'];
      assert.equal(await runProgram('sh', ['-c', `systemd-analyze ${args.join(' ')} 2>&1`]), '');
    });
  }
});

/** The lines of a unit that confine it, without comments. */
function confinement(text: string): string | undefined {
  return /^CapabilityBoundingSet=\n[^]*^SystemCallErrorNumber=.*$/m.exec(text)?.[0].replaceAll(/^#.*\n/gm, '');
}

describe('the daily verification of the audit', () => {
  const service = readFileSync(join(folder, 'postern-audit-verify.service'), 'utf8');

  test('starts with the gateway, and is confined as the gateway is', () => {
    const gateway = readFileSync(unit, 'utf8');
    assert.match(gateway, /^Wants=postern-audit-verify\.timer$/m);
    assert.notEqual(confinement(gateway), undefined);
    assert.equal(confinement(service), confinement(gateway));
    // systemd removes this folder at the end of a service: the socket of the gateway lies there.
    assert.doesNotMatch(service, /^RuntimeDirectory=/m);
  });

  test('has nothing that systemd does not know, with its drop-in for a checkout', async (t) => {
    const root = await withDropIns(t);
    const etc = join(root, 'etc/systemd/system');
    const dropIns = join(etc, 'postern-audit-verify.service.d');
    await mkdir(dropIns);
    await cp(join(folder, 'audit-verify-checkout.conf'), join(dropIns, 'checkout.conf'));
    for (const program of ['usr/lib/postern/bin/node', 'opt/postern/node_modules/.bin/node', 'bin/kill', 'bin/sh']) {
      await mkdir(join(root, program, '..'), { recursive: true });
      await writeFile(join(root, program), '', { mode: 0o755 });
    }
    // Every timer wants sysinit.target.
    await writeFile(join(etc, 'sysinit.target'), '[Unit]\nDescription=There\n');
    const names = ['postern-audit-verify.service', 'postern-audit-verify.timer'];
    const args = ['verify', '--man=no', '--recursive-errors=no', `--root=${root}`, ...names];
    assert.equal(await runProgram('sh', ['-c', `systemd-analyze ${args.join(' ')} 2>&1`]), '');
  });

  test('raises the alarm for a changed audit alone; otherwise it says that nothing is known', async () => {
    const [, after = ''] = /^ExecStopPost=\/bin\/sh -c '([^']*)'$/m.exec(service) ?? [];
    const command = after.replaceAll(/\\\n/g, ' ').replaceAll('$$', '$');
    const said = (status: string) => runProgram('/bin/sh', ['-c', command], { env: { EXIT_STATUS: status } });
    assert.equal(await said('0'), '');
    assert.equal(await said('1'), '<1>the audit was changed: postern audit verify --older-removed says where\n');
    for (const status of ['2', '3', 'TRAP']) {
      assert.equal(
        await said(status),
        `<4>the audit could not be verified (status ${status}): run postern audit verify --older-removed\n`,
      );
    }
  });
});

describe('the user and the folders of the package', () => {
  test('are made by systemd-sysusers and systemd-tmpfiles, and /etc/postern belongs to root', async (t) => {
    const root = await scratch(t);
    await mkdir(join(root, 'etc'));
    await runProgram('systemd-sysusers', [`--root=${root}`, join(folder, 'postern.sysusers')]);
    const passwd = readFileSync(join(root, 'etc/passwd'), 'utf8');
    const [, uid, gid] =
      /^postern:x:(\d+):(\d+):Postern gateway:\/var\/lib\/postern:\/usr\/sbin\/nologin$/m.exec(passwd) ?? [];
    assert.ok(uid !== undefined && gid !== undefined, passwd);
    await runProgram('systemd-tmpfiles', ['--create', `--root=${root}`, join(folder, 'postern.tmpfiles')]);
    const made = ['etc', 'var/lib', 'var/log', 'run'].map((parent) => {
      const stats = statSync(join(root, parent, 'postern'));
      return [parent, (stats.mode & 0o777).toString(8), String(stats.uid), String(stats.gid)];
    });
    assert.deepEqual(made, [
      ['etc', '750', '0', gid],
      ['var/lib', '700', uid, gid],
      ['var/log', '750', uid, gid],
      ['run', '750', uid, gid],
    ]);
    assert.deepEqual(readdirSync(join(root, 'etc/postern')), []);
  });
});
