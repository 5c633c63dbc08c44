import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { postern } from '../cli/cli.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { startStandbySite } from '../gateway/standby-site.fixture.ts';
import { runProgram } from '../programs.ts';

const sample = fileURLToPath(new URL('../../deploy/logrotate/postern', import.meta.url));

/** The sample, for an audit in another folder, of root. */
async function sampleFor(folder: string): Promise<string> {
  const text = await readFile(sample, 'utf8');
  return text
    .replaceAll('/var/log/postern/', `${folder}/`)
    .replace('/var/log/postern.log', join(folder, 'postern.log'))
    .replace('su postern postern', 'su root root');
}

/** Becomes a program that MemoryDenyWriteExecute= of Debian's logrotate.service confines. */
const confine = `
import errno, os, seccomp, sys
rules = seccomp.SyscallFilter(seccomp.ALLOW)
writable, executable = 2, 4
rules.add_rule(seccomp.ERRNO(errno.EPERM), 'mmap', seccomp.Arg(2, seccomp.MASKED_EQ, writable | executable, writable | executable))
for call in ('mprotect', 'pkey_mprotect'):
    rules.add_rule(seccomp.ERRNO(errno.EPERM), call, seccomp.Arg(2, seccomp.MASKED_EQ, executable, executable))
rules.load()
os.execvp(sys.argv[1], sys.argv[1:])
`;

function runConfined(program: string, args: readonly string[]): Promise<string> {
  return runProgram('/usr/bin/python3', ['-c', confine, program, ...args]);
}

test('logrotate rotates the audit of a gateway that writes: no line is lost, and the chain holds', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-rotation-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o750);
  await using site = await startStandbySite('', `audit: { file: ${join(folder, 'audit.jsonl')} }`);
  const conf = join(dirname(site.configFile), 'logrotate.conf');
  await writeFile(conf, await sampleFor(folder), { mode: 0o644 });
  let written = 0;
  let isOver = false;
  const writing = (async () => {
    while (!isOver) {
      const state = written % 2 === 0 ? 'DRAIN' : 'READY';
      const { status } = await site.api('PUT', '/backends/b/state', { state, reason: `the ${written}th time` });
      assert.equal(status, 200);
      written += 1;
    }
  })();
  const rotations = 3;
  try {
    for (let turn = 0; turn < rotations; turn += 1) {
      const before = written;
      await eventually(() => written > before);
      await runConfined('logrotate', ['--force', '--state', join(folder, 'state'), conf]);
    }
  } finally {
    isOver = true;
    await writing;
  }
  await site.api('PUT', '/backends/b/state', { state: 'READY', reason: 'done' });
  await site.gateway.close();
  const files = (await readdir(folder)).sort();
  assert.deepEqual(files, ['audit.jsonl', 'audit.jsonl.1', 'audit.jsonl.2', 'audit.jsonl.3', 'state']);
  const verified = await postern(['audit', 'verify', '-c', site.configFile]);
  assert.deepEqual(verified, { code: 0, out: `${written + 1} lines in one chain: nothing was changed.\n`, err: '' });
});

test('Node does not start under the restrictions of logrotate.service, so the sample runs no program', async () => {
  await assert.rejects(runConfined(process.execPath, ['--eval', '0']));
  assert.doesNotMatch(await readFile(sample, 'utf8'), /prerotate|postrotate|firstaction|lastaction|endscript/);
});
