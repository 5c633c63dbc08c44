import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runProgram } from '../programs.ts';
import { copiedCommit } from './checkout.fixture.ts';
import { type Architecture, builder, buildDebs, foreign, native } from './deb.fixture.ts';

const root = new URL('../../', import.meta.url);
const opened = new AsyncDisposableStack();
let folder: string;
let debs: Record<Architecture, string>;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-deb-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const [amd64 = '', arm64 = ''] = await buildDebs(folder);
  debs = { amd64, arm64 };
  for (const [arch, file] of Object.entries(debs)) {
    await runProgram('dpkg-deb', ['--raw-extract', file, join(folder, arch)]);
  }
});
after(() => opened.disposeAsync());

/** A file of the package for this machine. */
function at(path: string): string {
  return join(folder, native, path);
}

async function field(file: string, name: string): Promise<string> {
  return (await runProgram('dpkg-deb', ['--field', file, name])).trim();
}

describe('the Debian package', () => {
  it('is built for two architectures, each with a Node for it', async () => {
    const { version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'));
    const changes = await readFile(new URL('CHANGELOG.md', root), 'utf8');
    const isReleased = !/^## .*$/m.exec(changes)?.[0].endsWith('(unreleased)');
    // The date of releasedAt.
    const unreleased = isReleased ? '' : `~git20261118110640.${copiedCommit.slice(0, 12)}`;
    // Of the ELF header: System V's numbers of machines.
    for (const [arch, machine] of [
      ['amd64', 0x3e],
      ['arm64', 0xb7],
    ] as const) {
      assert.equal(await field(debs[arch], 'Architecture'), arch);
      assert.equal(await field(debs[arch], 'Version'), `${version}${unreleased}-1`);
      await using node = await open(join(folder, arch, 'usr/lib/postern/bin/node'));
      const { buffer } = await node.read(Buffer.alloc(20), 0, 20, 0);
      assert.deepEqual([buffer.toString('latin1', 1, 4), buffer.readUInt16LE(18)], ['ELF', machine]);
    }
  });

  it('is the same, byte for byte, when it is built again elsewhere', async () => {
    const [again = ''] = await buildDebs(join(folder, 'again'), { architecture: native });
    const hashes = await Promise.all(
      [debs[native], again].map(async (file) =>
        createHash('sha256')
          .update(await readFile(file))
          .digest('hex'),
      ),
    );
    assert.equal(hashes[1], hashes[0]);
  });

  it('has a version before its release that is older than the release', async () => {
    const version = await field(debs[native], 'Version');
    await runProgram('dpkg', ['--compare-versions', version, 'le', version.replace(/~git.*-1$/, '-1')]);
    await runProgram('dpkg', ['--compare-versions', version, 'gt', '0.1.0-1']);
  });

  it('says a size that does not depend on the file system on which it was built', async () => {
    const said = Number(await field(debs[native], 'Installed-Size'));
    const entries = await readdir(join(folder, native), { recursive: true, withFileTypes: true });
    const sizes = entries
      .filter(({ name, parentPath }) => name !== 'DEBIAN' && !parentPath.endsWith('/DEBIAN'))
      .map((entry) => (entry.isFile() ? Math.ceil(statSync(join(entry.parentPath, entry.name)).size / 1024) : 1));
    // And the root itself.
    assert.equal(
      said,
      sizes.reduce((sum, size) => sum + size, 1),
    );
  });

  it('has no error that lintian finds', async () => {
    await runProgram('lintian', ['--allow-root', '--fail-on', 'error', debs[native]], { timeoutMs: 200_000 });
  });

  it('carries the licences of all that is in it', async () => {
    const text = await readFile(at('usr/share/doc/postern/copyright'), 'utf8');
    for (const part of ['The Postern authors', 'Node.js contributors', 'node_modules/undici: MIT', 'Matteo Collina']) {
      assert.ok(text.includes(part), part);
    }
    const parts = text.split(/^==== /m).slice(1);
    // Debian has the text of the Apache License.
    const bare = parts.filter((part) => part.trim().split('\n').length < 4 && !/^\S+ Apache-2\.0, by/.test(part));
    assert.deepEqual(bare, []);
    for (const name of ['@redis/client', 'pg-types', 'pgpass', 'cookie-signature', 'strict-event-emitter-types']) {
      const part = parts.find((candidate) => candidate.startsWith(`/usr/lib/postern/node_modules/${name}: `));
      assert.match(part ?? '', /\n\nCopyright \(c\) .*\n\nPermission /, name);
    }
  });

  it('carries a NOTICE that names the Apache License, but not the text of that licence', async (t) => {
    const modules = await mkdtemp(join(tmpdir(), 'postern-modules-'));
    t.after(() => rm(modules, { recursive: true, force: true }));
    const module = join(modules, 'node_modules/noted');
    await mkdir(module, { recursive: true });
    await writeFile(join(module, 'package.json'), '{"license":"Apache-2.0"}');
    await writeFile(join(module, 'LICENSE'), 'Apache License, in full');
    await writeFile(join(module, 'NOTICE'), 'Noted, by N., under the Apache License');
    const script = new URL('deploy/deb/copyright.mjs', root).pathname;
    const ours = new URL('LICENSE', root).pathname;
    const print = () => runProgram(process.execPath, [script, ours, ours, modules]);
    const [, part = ''] = (await print()).split('==== /usr/lib/postern/');
    assert.equal(
      part,
      'node_modules/noted: Apache-2.0, by its contributors\n\nNoted, by N., under the Apache License\n',
    );
    await rm(join(module, 'LICENSE'));
    await writeFile(join(module, 'package.json'), '{"license":"0BSD"}');
    await assert.rejects(print(), {
      stderr: /node_modules\/noted has no text of its licence, 0BSD: add it to standardTexts/,
    });
  });

  it('has pages whose links and pictures lead to files of the package', () => {
    const docs = at('usr/share/doc/postern');
    const pages = globSync('**/*.md', { cwd: docs });
    assert.ok(pages.includes('README.md') && pages.includes('docs/install.md'));
    const broken = pages.flatMap((page) => {
      const targets = [...readFileSync(join(docs, page), 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)];
      return targets
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(docs, dirname(page), target)))
        .map((target) => `${page}: ${target}`);
    });
    assert.deepEqual(broken, []);
  });

  it('brings the units, the manual, the completion, a check for Nagios, and what logrotate and fail2ban need, which dpkg keeps as it was edited', async () => {
    assert.equal(
      await readFile(at('DEBIAN/conffiles'), 'utf8'),
      '/etc/fail2ban/filter.d/postern.conf\n/etc/fail2ban/jail.d/postern.conf\n/etc/logrotate.d/postern\n',
    );
    for (const unit of ['postern.service', 'postern-audit-verify.service', 'postern-audit-verify.timer']) {
      const shipped = await readFile(at(`usr/lib/systemd/system/${unit}`), 'utf8');
      assert.equal(shipped, await readFile(new URL(`deploy/systemd/${unit}`, root), 'utf8'));
    }
    const check = at('usr/lib/nagios/plugins/check_postern');
    assert.equal(statSync(check).mode & 0o777, 0o755);
    assert.match(await runProgram('python3', [check, '--help']), /^usage: check_postern/);
    const manual = await runProgram('man', ['-P', 'cat', at('usr/share/man/man1/postern-check.1.gz')]);
    assert.match(manual, /--online/);
    assert.match(await readFile(at('usr/share/bash-completion/completions/postern'), 'utf8'), /^complete /m);
  });

  it('says on a machine of another architecture which package is needed', async () => {
    for (const [program, code] of [
      ['usr/bin/postern', 126],
      ['DEBIAN/preinst', 1],
    ] as const) {
      await assert.rejects(runProgram('sh', [join(folder, foreign, program), 'install']), {
        code,
        stderr: new RegExp(
          `^postern: this is the package for ${foreign}, but this machine is \\S+: install the package for ${native}\\.\n$`,
        ),
      });
    }
  });

  it('is not built from wrong arguments: one sentence says what is right', async () => {
    const checkout = new URL('.', root).pathname;
    for (const [args, says] of [
      [['--arch', 'riscv64'], 'there is no package for riscv64: write --arch amd64, arm64 or all'],
      [['--fast'], 'there is no --fast: write --arch amd64|arm64|all, --output FOLDER or --quick'],
      [['--output'], '--output lacks a folder'],
    ] as const) {
      await assert.rejects(builder(checkout, args), { code: 1, stderr: `deploy/deb/build: ${says}\n` });
    }
  });
});
