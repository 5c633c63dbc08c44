import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import { bringsSecrets, exposureOf } from '../../src/core/secret-files.ts';
import { makeKeysFile, readKeysFile } from '../../src/sessions/keys-file.ts';
import { filesOf, smallest } from '../config/config.fixture.ts';
import { runProgram } from '../programs.ts';

function remedyFor(uid: number, gid: number): string | undefined {
  return /chmod \d+ FILE/.exec(exposureOf('FILE', { mode: 0o666, uid, gid }) ?? '')?.[0];
}

describe('a file that holds a secret', () => {
  const remedy = 'run: chmod 600 FILE, or mount it read-only as a secret of the container';
  const readable = (mode: string) => `FILE is too open: every user may read it (mode ${mode}); ${remedy}`;
  const changeable = (mode: string) => `FILE is too open: other users may change it (mode ${mode}); ${remedy}`;
  const cases: readonly (readonly [mode: number, exposure: string | undefined])[] = [
    [0o400, undefined],
    [0o600, undefined],
    [0o440, undefined],
    [0o640, undefined],
    [0o444, readable('0444')],
    [0o604, readable('0604')],
    [0o644, readable('0644')],
    [0o660, changeable('0660')],
    [0o602, changeable('0602')],
    [0o666, changeable('0666')],
  ];
  for (const [mode, exposure] of cases) {
    test(`with mode 0${mode.toString(8)} in a folder is ${exposure === undefined ? '' : 'not '}kept`, (t) => {
      const file = join(filesOf(t, { secret: 'secret\n' }), 'secret');
      chmodSync(file, mode);
      assert.equal(exposureOf(file, statSync(file))?.replaceAll(file, 'FILE'), exposure);
    });
  }

  test('stays readable for the group that it is kept for: root’s file of a service gets 640, all others 600', () => {
    const own = process.getuid?.() ?? 0;
    assert.deepEqual(
      [remedyFor(0, 4711), remedyFor(0, 0), remedyFor(own + 1, 4711)],
      ['chmod 640 FILE', 'chmod 600 FILE', 'chmod 600 FILE'],
    );
  });

  test('is judged alike as server keys, as the secret of a configuration and as a private key', async (t) => {
    const yaml = smallest('operators: { token: { file: token } }\n');
    const folder = filesOf(t, { 'postern.yaml': yaml, token: 'secret\n' });
    const keys = join(folder, 'keys');
    await makeKeysFile(keys);
    for (const [mode] of cases) {
      chmodSync(keys, mode);
      chmodSync(join(folder, 'token'), mode);
      const { exposedSecrets } = await loadConfig(join(folder, 'postern.yaml'), { env: {} });
      const refusal = await readKeysFile(keys).then(
        () => [],
        (error: Error) => [error.message.replaceAll(keys, join(folder, 'token'))],
      );
      assert.deepEqual(exposedSecrets, refusal, `mode 0${mode.toString(8)}`);
    }
  });
});

describe('a mount in the list of the kernel', () => {
  const root = '22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw';
  const overlay = '40 1 0:52 / / rw,relatime master:9 - overlay overlay rw';
  const cases: readonly (readonly [what: string, mounts: readonly string[], path: string, isSecret: boolean])[] = [
    [
      'of kubelet: memory, bound read-only',
      [overlay, '90 40 0:77 / /etc/postern/secrets ro,relatime - tmpfs tmpfs rw,size=64k'],
      '/etc/postern/secrets/..2026_01_01/keys',
      true,
    ],
    [
      'of kubelet, in two places',
      [overlay, '90 40 0:77 / /a ro - tmpfs tmpfs rw', '91 40 0:77 / /b ro - tmpfs tmpfs rw'],
      '/a/keys',
      true,
    ],
    [
      'of Docker: one file of the host',
      [overlay, '91 40 8:1 /srv/secrets/keys /run/secrets/keys ro - ext4 /dev/sda1 rw'],
      '/run/secrets/keys',
      true,
    ],
    [
      'of Podman, which can be written',
      [overlay, '91 40 0:60 /c/secrets/keys /run/secrets/keys rw - tmpfs tmpfs rw'],
      '/run/secrets/keys',
      true,
    ],
    [
      'with a blank in its name',
      [overlay, String.raw`93 40 0:78 / /srv/my\040secrets ro - tmpfs x rw`],
      '/srv/my secrets/k',
      true,
    ],
    ['that can be written', [overlay, '91 40 8:1 /srv/s /etc/postern rw - ext4 /dev/sda1 rw'], '/etc/postern/k', false],
    ['beside the file', [overlay, '90 40 0:77 / /etc/postern ro - tmpfs t rw'], '/etc/postern-keys', false],
    [
      'under one that can be written',
      [overlay, '90 40 0:77 / /s ro - tmpfs a rw', '94 90 0:79 / /s/rw rw - tmpfs b rw'],
      '/s/rw/keys',
      false,
    ],
    [
      'hidden by one that can be written',
      [overlay, '90 40 0:77 / /s/in ro - tmpfs a rw', '94 40 0:79 / /s rw - tmpfs b rw'],
      '/s/in/keys',
      false,
    ],
    [
      'over one that can be written',
      [overlay, '90 40 0:77 / /s rw - tmpfs a rw', '94 90 0:79 / /s ro - tmpfs b rw'],
      '/s/keys',
      true,
    ],
    [
      'whose folder can be written at another place',
      [overlay, '90 40 8:1 /srv/s /s ro - ext4 d rw', '91 40 8:1 /srv /work rw - ext4 d rw'],
      '/s/keys',
      false,
    ],
    ['that is a read-only root', ['40 1 0:52 / / ro - overlay overlay rw'], '/etc/keys', false],
    ['that is a root upon itself', ['1 1 0:2 / / rw - rootfs rootfs rw', '22 1 8:1 / / ro - ext4 d rw'], '/k', false],
    ['that is a whole disk', [root, '92 22 8:2 / /usr ro - ext4 /dev/sda2 ro'], '/usr/keys', false],
    [
      'that is a folder upon itself, as with ProtectSystem=full',
      [root, '95 22 8:1 /etc /etc ro - ext4 /dev/sda1 rw'],
      '/etc/postern/keys',
      false,
    ],
    [
      'that is a folder of the machine’s disk elsewhere',
      [root, '95 22 8:1 /srv/secrets /etc/postern ro - ext4 /dev/sda1 rw'],
      '/etc/postern/keys',
      false,
    ],
    [
      'that is the machine’s own /run, as with ProtectSystem=strict',
      [root, '95 22 0:24 / /run ro,nosuid shared:90 master:12 - tmpfs tmpfs rw'],
      '/run/postern/keys',
      false,
    ],
    [
      'that a service of systemd has at /run/secrets',
      [root, '95 22 8:1 /srv/secrets /run/secrets rw shared:90 master:12 - ext4 /dev/sda1 rw'],
      '/run/secrets/keys',
      false,
    ],
    ['that nobody tells of', [], '/etc/postern/keys', false],
  ];
  for (const [what, mounts, path, isSecret] of cases) {
    test(`${what} ${isSecret ? 'brings secrets' : 'brings none'}`, () => {
      assert.equal(bringsSecrets(`${mounts.join('\n')}\n`, path, false), isSecret);
    });
  }

  test('of Podman brings none that others may change', () => {
    const mounts = [overlay, '91 40 0:60 /c/secrets/keys /run/secrets/keys rw - tmpfs tmpfs rw'];
    assert.equal(bringsSecrets(`${mounts.join('\n')}\n`, '/run/secrets/keys', true), false);
  });
});

describe('server keys on a real mount', () => {
  const module = fileURLToPath(new URL('../../src/sessions/keys-file.ts', import.meta.url));
  const reader = `import { readKeysFile } from ${JSON.stringify(module)};
    console.log(await readKeysFile('keys').then(() => 'taken', (error) => error.message));`;
  const source = mkdtempSync(join(tmpdir(), 'postern-keys-'));
  before(() => makeKeysFile(join(source, 'keys')));
  after(() => rmSync(source, { recursive: true }));

  /** In a mount namespace of its own: `$1` is a folder with the file `keys`, `$2` an empty folder beside it. */
  async function readAfter(script: string): Promise<string> {
    const inside = `set -e; mount --make-rprivate /; mount -t tmpfs tmpfs /mnt; mkdir /mnt/place; ${script}; "$2" --input-type=module -e "$3"`;
    const args = ['-m', 'sh', '-c', inside, 'sh', source, process.execPath, reader];
    return (await runProgram('unshare', args)).trim();
  }
  const memory = 'mount -t tmpfs tmpfs /mnt/place; cp "$1"/keys /mnt/place';
  const readOnly = 'mount -o remount,bind,ro /mnt/place; cd /mnt/place';
  const taken = /^taken$/;
  const tooOpen = /^keys is too open: every user may read it \(mode 0444\)/;
  const cases: readonly (readonly [what: string, script: string, answer: RegExp])[] = [
    [
      'as kubelet makes it, behind its links, with 0644',
      `mount -t tmpfs tmpfs /mnt/place; mkdir /mnt/place/..1; cp "$1"/keys /mnt/place/..1; chmod 644 /mnt/place/..1/keys
       ln -s ..1 /mnt/place/..data; ln -s ..data/keys /mnt/place/keys; ${readOnly}`,
      taken,
    ],
    ['of memory, read-only, with 0666', `${memory}; chmod 666 /mnt/place/keys; ${readOnly}`, taken],
    ['of memory that can be written, with 0444', `${memory}; cd /mnt/place; chmod 444 keys`, tooOpen],
    ['of memory that can be written, with 0440', `${memory}; cd /mnt/place; chmod 440 keys`, taken],
    [
      'of one file, as Docker makes it',
      `mkdir /mnt/host; mount -t tmpfs tmpfs /mnt/host; cp "$1"/keys /mnt/host; chmod 444 /mnt/host/keys; : >/mnt/place/keys
       mount --bind /mnt/host/keys /mnt/place/keys; mount -o remount,bind,ro /mnt/place/keys; umount -l /mnt/host; cd /mnt/place`,
      taken,
    ],
    [
      'that shows a folder of the machine twice',
      `cp "$1"/keys /mnt/; chmod 444 /mnt/keys; mount --bind /mnt /mnt/place; ${readOnly}`,
      tooOpen,
    ],
    [
      'that a link leaves for a folder that can be written',
      `cp "$1"/keys /mnt/open; chmod 444 /mnt/open; mount -t tmpfs tmpfs /mnt/place; ln -s /mnt/open /mnt/place/keys; ${readOnly}`,
      tooOpen,
    ],
    [
      'of the machine, in a service with ProtectSystem=strict',
      `mount --make-shared /mnt; cp "$1"/keys /mnt/; chmod 444 /mnt/keys
       unshare -m --propagation slave sh -c 'mount -o remount,bind,ro /mnt; cd /mnt; "$2" --input-type=module -e "$3"' sh "$@"; exit`,
      tooOpen,
    ],
  ];
  for (const [what, script, answer] of cases) {
    test(`${what}, are ${answer === taken ? 'taken' : 'refused'}`, async () => {
      assert.match(await readAfter(script), answer);
    });
  }
});
