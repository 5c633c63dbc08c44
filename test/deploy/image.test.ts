import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { alice } from '../../demo/people.ts';
import { makeKeysFile } from '../../src/sessions/keys-file.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { connects, type RunningProgram, runProgram, startProgram } from '../programs.ts';
import { buildImage, type BuiltImage } from './image.fixture.ts';

/**
 * Runs a program in a container's root as an engine does with `--read-only`: the root read-only, the configuration and
 * the secrets mounted read-only, one folder of memory to write to. `$1`: the root, `$2`: the folder of the
 * configuration, `$3`: the folder of the secrets, `$4`: the user; then the program.
 */
const contain = `set -e
root=$1 configuration=$2 secrets=$3 user=$4; shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root/run/secrets"
mount --bind "$configuration" "$root/etc/postern"; mount -o remount,bind,ro "$root/etc/postern"
mount -t tmpfs tmpfs "$root/run/secrets"; cp "$secrets"/* "$root/run/secrets/"; chmod 444 "$root"/run/secrets/*
mount -o remount,bind,ro "$root/run/secrets"
mount -t tmpfs -o uid=1000,gid=1000,mode=0700 tmpfs "$root/var/lib/postern"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
exec chroot --userspec="$user" "$root" env -C /var/lib/postern -i "$@"`;

const revision = '0123456789abcdef0123456789abcdef01234567';

describe('the image', () => {
  let image: BuiltImage;
  before(async () => {
    image = await buildImage({ VERSION: '1.2.3', REVISION: revision, SOURCE: 'https://example.org/postern' });
  });
  after(() => image[Symbol.asyncDispose]());

  it('takes its base image from one argument, which can name a digest', async () => {
    const text = await readFile(fileURLToPath(new URL('../../Dockerfile', import.meta.url)), 'utf8');
    const bases = [...text.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    assert.deepEqual(new Set(bases), new Set(['${NODE_IMAGE}']));
  });

  it('runs as a user in numbers, starts with a signal’s receiver, and says what it is', () => {
    const { User, Entrypoint, Cmd, StopSignal, Labels } = image.config;
    assert.equal(User, '1000:1000');
    assert.equal(Entrypoint[0], 'node');
    assert.deepEqual(Cmd, ['serve', '-c', '/etc/postern/postern.yaml']);
    assert.equal(StopSignal, 'SIGTERM');
    const label = (name: string) => Labels[`org.opencontainers.image.${name}`];
    assert.deepEqual(['title', 'version', 'revision', 'source', 'licenses'].map(label), [
      'Postern',
      '1.2.3',
      revision,
      'https://example.org/postern',
      'MIT',
    ]);
  });

  it('takes the configuration that its own `init --container` writes', async () => {
    const as = ['--userspec=1000:1000', image.root, 'env', '-C', '/var/lib/postern', '-i', ...image.config.Env];
    const postern = (...args: readonly string[]) => runProgram('chroot', [...as, 'postern', ...args]);
    const backend = ['--public-url', 'https://webmail.example.org', '--backend', 'a=mx1.internal'];
    assert.match(await postern('init', '--container', ...backend), /Wrote \/etc\/postern\/postern\.yaml/);
    await postern('check');
    await rm(join(image.root, 'etc/postern/postern.yaml'));
  });

  describe('with a read-only root, its configuration and its secrets mounted', () => {
    const ends = new AsyncDisposableStack();
    let gateway: RunningProgram;
    let origin = '';
    let operators = '';
    let environment: readonly string[] = [];

    before(async () => {
      const [port = 0, operatorsPort = 0] = await freePorts(2);
      origin = `http://127.0.0.1:${port}`;
      operators = `http://127.0.0.1:${operatorsPort}`;
      const folder = await mkdtemp(join(tmpdir(), 'postern-image-'));
      ends.defer(() => rm(folder, { recursive: true, force: true }));
      const [configuration, secrets] = [join(folder, 'configuration'), join(folder, 'secrets')];
      for (const each of [configuration, secrets]) await mkdir(each);
      await makeKeysFile(join(secrets, 'keys'));
      const backends = ends.use(await startBackends(Date.now()));
      const file = await writeConfiguration(backends, { directory: configuration, port });
      const demo = await readFile(file, 'utf8');
      const ours = `sessions: { keys_file: /run/secrets/keys, store_file: /var/lib/postern/sessions.sqlite }
audit: { file: /var/lib/postern/audit.jsonl }
operators: { listen: "127.0.0.1:${operatorsPort}", socket: /var/lib/postern/postern.sock }
`;
      await writeFile(file, demo.replace(/^(?:operators|sessions|audit):.*\n/gm, '').concat(ours));
      await chmod(configuration, 0o755);
      environment = [...image.config.Env, `POSTERN_HEALTH_URL=${operators}/-/live`];
      const run = [...environment, ...image.config.Entrypoint, ...image.config.Cmd];
      const args = [
        '-m',
        'bash',
        '-c',
        contain,
        'contain',
        image.root,
        configuration,
        secrets,
        image.config.User,
        ...run,
      ];
      gateway = ends.use(await startProgram('unshare', args, { isReady: () => connects(port) }));
    });
    after(() => ends.disposeAsync());

    /** As `docker exec` does it. */
    function execute(program: string, ...args: readonly string[]): Promise<string> {
      const target = ['--target', String(gateway.pid), '--mount', '--root', '--setuid', '1000', '--setgid', '1000'];
      return runProgram('nsenter', [...target, 'env', '-i', ...environment, program, ...args]);
    }

    it('signs a user in', async () => {
      const browser = new Browser(origin);
      const asked = await browser.open('/');
      const fields = fieldsIn(asked.body.toString());
      fields.set('user', alice.address);
      fields.set('password', alice.password);
      const landed = await browser.submit(asked.path, fields);
      assert.equal(landed.path, '/mail/INBOX');
    });

    it('is healthy by its own check', async () => {
      const [kind, program = '', ...args] = image.config.Healthcheck.Test;
      assert.equal(kind, 'CMD');
      await execute(program, ...args);
    });

    it('has `postern` on the PATH, which knows the running gateway', async () => {
      assert.match(await execute('postern', '--version'), /^\d+\.\d+\.\d+ \(commit 0123456789ab, Node /);
      assert.match(await execute('postern', 'who', alice.address), /alice@example\.test/);
    });

    it('may write to its volume and to nothing else', async () => {
      await assert.rejects(execute('touch', '/var/cache/postern/x', '/opt/postern/x', '/etc/postern/x', '/tmp/x'));
      assert.match(await execute('ls', '/var/lib/postern'), /postern\.sock/);
    });

    it('drains by the command of the chart’s preStop: not ready, and still serving', async () => {
      await execute('postern', 'drain', '--reason', 'the pod stops');
      assert.equal((await fetch(`${operators}/-/ready`)).status, 503);
      assert.equal((await fetch(`${origin}/-/login`)).status, 200);
    });
  });
});
