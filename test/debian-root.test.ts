import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { it } from 'node:test';
import { type DebianRelease, debianRoot } from './debian-root.fixture.ts';
import { connects } from './programs.ts';
import { freePort } from './ports.fixture.ts';

/**
 * The processes whose root folder is this one. The link of /proc leads there, whatever it is called: where the tests
 * themselves run in a root, it names a path from outside.
 */
function processesIn({ dev, ino }: Pick<Stats, 'dev' | 'ino'>): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const root = /^\d+$/.test(pid) ? statSync(`/proc/${pid}/root`) : undefined;
      return root?.dev === dev && root.ino === ino;
    } catch {
      return false; // It has ended meanwhile.
    }
  });
}

const releases: readonly [DebianRelease, string][] = [
  ['bookworm', '12'],
  ['trixie', '13'],
];

for (const [release, version] of releases) {
  it(`a root of ${release} is a clean Debian ${version}, with what this machine needs to install packages`, async () => {
    await using root = await debianRoot(release);
    assert.match(await root.run('cat', ['/etc/debian_version']), new RegExp(`^${version}\\.`));
    assert.equal(await root.run('id', ['-un'], { user: 'nobody' }), 'nobody\n');
    await assert.rejects(root.run('touch', ['/etc/passwd.new'], { user: 'nobody' }), /Permission denied/);
    assert.equal(
      await root.run('sh', ['-c', 'cat; printenv WORD'], { input: 'in, ', env: { WORD: 'out' } }),
      'in, out\n',
    );

    const here = import.meta.dirname;
    assert.match(await root.run('ls', ['/mnt/tests'], { mounts: { [here]: '/mnt/tests' } }), /programs\.tsv/);
    assert.equal(await root.run('ls', ['/mnt/tests']), '', 'the folder is there for that program alone');

    await root.install('logrotate');
    assert.match(await root.run('dpkg', ['--verify', 'logrotate']), /^$/);
    assert.match(await root.run('apt-cache', ['policy']), new RegExp(`${release}-security`));
  });
}

it('a root that is not needed any more leaves no process, no mount and no file', async () => {
  const port = await freePort();
  const root = await debianRoot('bookworm');
  const folder = statSync(root.path);
  await root.install('redis-server');
  await root.run('sh', ['-c', 'redis-server --port 1 --daemonize yes >/dev/null; sleep 600 >/dev/null 2>&1 &']);
  assert.deepEqual(processesIn(folder), [], 'a daemon ends with the program that started it');
  await root.start('redis-server', ['--port', String(port)], { isReady: () => connects(port), user: 'redis' });
  assert.notDeepEqual(processesIn(folder), []);
  await root[Symbol.asyncDispose]();
  await assert.rejects(connects(port));
  assert.deepEqual(processesIn(folder), []);
  assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(root.path));
  assert.ok(!existsSync(root.path));
});
