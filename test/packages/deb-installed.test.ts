import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type DemoBackends, startBackends } from '../../demo/backends.ts';
import { alice } from '../../demo/people.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import type { RunningProgram } from '../programs.ts';
import { buildDebs, native, withVersion } from './deb.fixture.ts';
import { type Installation, openInstallation } from './installation.fixture.ts';

const opened = new AsyncDisposableStack();
let current: string;
let older: string;
let backends: DemoBackends;

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-installed-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  [current = ''] = await buildDebs(folder, { architecture: native });
  older = await withVersion(current, '0.0.1');
  backends = opened.use(await startBackends(Date.now()));
});
after(() => opened.disposeAsync());

function without(names: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others);
  return names.filter((name) => !known.has(name));
}

for (const release of ['bookworm', 'trixie'] as const) {
  describe(`on a clean Debian, ${release}`, () => {
    let debian: Installation;
    let port: number;
    let filesBefore: readonly string[];
    let usersBefore: string;
    let gateway: RunningProgram;
    let browser: Browser;

    const users = (): Promise<string> => debian.root.run('getent', ['passwd']);
    const at = (path: string): string => join(debian.root.path, path);

    before(async () => {
      debian = await openInstallation(release);
      port = await freePort();
      await debian.root.install('adduser');
      const wants = '/etc/systemd/system/multi-user.target.wants';
      await debian.root.run('mkdir', ['-p', wants, '/var/lib/systemd/timers']);
      // Another service is enabled, too: the folder stays.
      await debian.root.run('ln', ['-s', '/lib/systemd/system/other.service', `${wants}/other.service`]);
      [filesBefore, usersBefore] = [await debian.files(), await users()];
    });
    after(() => debian[Symbol.asyncDispose]());

    it('the package is installed, and says what to do before the first start', async () => {
      assert.match(
        await debian.install(older),
        /^Postern does not run yet: write its configuration by 'postern init --output \/etc\/postern\/postern\.yaml', then 'systemctl enable --now postern'\.$/m,
      );
      assert.match(await debian.postern(['--version']), /^0\.0\.1 /);
      assert.match(await users(), /^postern:.*:\/var\/lib\/postern:\/usr\/sbin\/nologin$/m);
    });

    it('the steps of docs/upgrade.md bring the state of 0.1.0 where the unit of the package has it', async () => {
      const page = await readFile(new URL('../../docs/upgrade.md', import.meta.url), 'utf8');
      const [, steps = ''] = /^```sh\n(systemctl stop postern\n.*?)^```$/ms.exec(page) ?? [];
      const states = ['keys', 'postern.sqlite', 'postern.sqlite-wal', 'audit.jsonl', 'audit.jsonl.1'];
      const before = `mkdir /etc/postern/state && cd /etc/postern/state && touch ${states.join(' ')}
        cp /usr/lib/systemd/system/postern.service /etc/systemd/system/ && systemctl() { :; }`;
      const found = 'cd / && stat --format="%U:%G %n" /var/lib/postern/* /var/log/postern/* /etc/postern';
      const moved = await debian.root.run('bash', ['-euc', `${before}\n${steps}\n${found}`]);
      assert.equal(
        moved,
        [
          'lib/postern/keys',
          'lib/postern/postern.sqlite',
          'lib/postern/postern.sqlite-wal',
          'log/postern/audit.jsonl',
          'log/postern/audit.jsonl.1',
        ]
          .map((path) => `postern:postern /var/${path}\n`)
          .join('') + 'root:postern /etc/postern\n',
      );
      assert.equal(existsSync(at('etc/systemd/system/postern.service')), false);
      await debian.root.run('bash', ['-c', 'rm -r /var/lib/postern/* /var/log/postern/* /etc/postern/state']);
    });

    it('the gateway does not start without a configuration, and says how to make one', async () => {
      await assert.rejects(debian.start(port), /\/etc\/postern\/postern\.yaml.* create one with postern init/);
    });

    it('postern init writes a configuration, and check accepts it as the user of the gateway', async () => {
      assert.match(await debian.configure(backends, port), /^Wrote \/etc\/postern\/postern\.yaml/);
      const checked = await debian.postern(['check', '-c', '/etc/postern/postern.yaml'], 'postern:postern');
      assert.match(checked, /is valid\./);
    });

    it('the gateway starts by the command line of the unit, and signs a user in', async () => {
      gateway = await debian.start(port);
      browser = new Browser(`http://127.0.0.1:${port}`);
      const form = fieldsIn(await browser.text('/-/login'));
      form.set('user', alice.address);
      form.set('password', alice.password);
      const { path, status } = await browser.submit('/-/login', form);
      assert.deepEqual([path, status], ['/mail/INBOX', 200]);
    });

    it('the operator enables the service', async () => {
      const link = '/etc/systemd/system/multi-user.target.wants/postern.service';
      await debian.root.run('ln', ['-s', '/lib/systemd/system/postern.service', link]);
      await debian.root.run('touch', ['/var/lib/systemd/timers/stamp-postern-audit-verify.timer']);
    });

    it('an upgrade keeps the session: after the restart the user goes on', async () => {
      await debian.root.run('cp', ['/usr/lib/systemd/system/postern.service', '/etc/systemd/system/']);
      const said = await debian.install(current);
      assert.match(said, /^postern: systemd takes \/etc\/systemd\/system\/postern\.service instead of the unit of/m);
      await debian.root.run('rm', ['/etc/systemd/system/postern.service']);
      await gateway[Symbol.asyncDispose]();
      gateway = await debian.start(port);
      const { path, body } = await browser.open('/mail/INBOX');
      assert.equal(path, '/mail/INBOX');
      assert.match(body.toString(), /alice@example\.test/);
      const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
      assert.ok((await debian.postern(['--version'])).startsWith(version));
      await gateway[Symbol.asyncDispose]();
    });

    it('a removal leaves configuration and state', async () => {
      await debian.root.run('dpkg', ['--remove', 'postern']);
      assert.deepEqual(
        ['usr/lib/postern', 'usr/bin/postern', 'etc/postern/postern.yaml', 'var/lib/postern/keys'].map((path) =>
          existsSync(at(path)),
        ),
        [false, false, true, true],
      );
    });

    it('a purge leaves nothing but a mount point, and ends also while a process holds the user, which goes later', async (t) => {
      // The answer of userdel while a gateway that was started by hand runs; it sees no processes of this root itself.
      const busy = at('usr/local/sbin/userdel');
      await writeFile(busy, '#!/bin/sh\necho "userdel: user $1 is currently used by process 1" >&2\nexit 8\n', {
        mode: 0o755,
      });
      const mounted = await mkdtemp(join(tmpdir(), 'postern-mounted-'));
      t.after(() => rm(mounted, { recursive: true, force: true }));
      await writeFile(join(mounted, 'audit.jsonl'), '');
      await debian.root.run('dpkg', ['--purge', 'postern'], { mounts: { [mounted]: '/var/log/postern' } });
      assert.deepEqual(await readdir(mounted), []);
      // What the gateway wrote there lies below the mount.
      await rm(at('var/log/postern'), { recursive: true });
      assert.match(await users(), /^postern:/m);
      await rm(busy);
      await debian.root.run('userdel', ['postern']);
      const filesAfter = await debian.files();
      assert.deepEqual(without(filesAfter, filesBefore), []);
      assert.deepEqual(without(filesBefore, filesAfter), []);
      assert.equal(await users(), usersBefore);
    });
  });
}
