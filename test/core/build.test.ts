import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildText, readBuild } from '../../src/core/build.ts';
import { runProgram } from '../programs.ts';

describe('the program says which one it is', () => {
  let folder = '';
  let checkout = '';
  let head = '';

  const git = (...args: readonly string[]) =>
    runProgram('git', ['-C', checkout, '-c', 'user.name=Test', '-c', 'user.email=test@example.org', ...args]);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-build-'));
    checkout = join(folder, 'checkout');
    await mkdir(checkout);
    await writeFile(join(checkout, 'package.json'), '{"version":"1.2.3"}');
    await git('init', '--quiet', '--initial-branch', 'main');
    await git('add', '.');
    await git('commit', '--quiet', '--message', 'first');
    head = (await git('rev-parse', 'HEAD')).trim();
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('by the commit of a checkout', () => {
    assert.deepEqual(readBuild(checkout), { version: '1.2.3', commit: head, node: process.versions.node });
  });

  it('by the commit of a worktree, whose branch is in the common folder', async () => {
    await git('worktree', 'add', '--quiet', '-b', 'other', join(folder, 'worktree'));
    assert.equal(readBuild(join(folder, 'worktree')).commit, head);
  });

  it('also after git has packed its references, and where no branch is checked out', async () => {
    await git('pack-refs', '--all');
    assert.equal(readBuild(checkout).commit, head);
    await git('checkout', '--quiet', '--detach');
    assert.equal(readBuild(checkout).commit, head);
  });

  it('by what the maker of a package wrote down, where there is no checkout', async () => {
    const packed = 'a'.repeat(40);
    const program = join(folder, 'packed');
    await cp(checkout, program, { recursive: true });
    await writeFile(join(program, 'commit'), `${packed}\n`);
    assert.equal(readBuild(program).commit, head);
    await rm(join(program, '.git'), { recursive: true });
    assert.deepEqual(readBuild(program), { version: '1.2.3', commit: packed, node: process.versions.node });
  });

  it('as unknown, where nobody wrote it down', async () => {
    const bare = join(folder, 'bare');
    await mkdir(bare);
    await writeFile(join(bare, 'package.json'), '{"version":"1.2.5"}');
    await writeFile(join(bare, 'commit'), 'no hash');
    assert.equal(buildText({ ...readBuild(bare), node: '24.0.0' }), '1.2.5 (commit unknown, Node 24.0.0)');
    assert.equal(readBuild(folder).version, 'unknown');
  });

  it('in one line that a person can read', () => {
    const line = buildText({ version: '1.2.3', commit: 'b'.repeat(40), node: '24.0.0' });
    assert.equal(line, '1.2.3 (commit bbbbbbbbbbbb, Node 24.0.0)');
  });
});
