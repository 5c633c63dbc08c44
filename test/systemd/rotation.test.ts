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

const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const sample = fileURLToPath(new URL('../../deploy/logrotate/postern', import.meta.url));

/** The sample, for an audit in another folder, of root, verified by the command of this checkout. */
async function sampleFor(folder: string, configFile: string): Promise<string> {
  const command = join(dirname(configFile), 'postern');
  const verify = `exec ${process.execPath} ${bin} "$@" -c ${configFile} --without-store`;
  await writeFile(command, `#!/bin/sh\n${verify}\n`, { mode: 0o755 });
  const text = await readFile(sample, 'utf8');
  return text
    .replaceAll('/var/log/postern/', `${folder}/`)
    .replaceAll('/var/log/postern.log', join(folder, 'postern.log'))
    .replace('su postern postern', 'su root root')
    .replaceAll('/usr/bin/postern', command)
    .replace('logger', `echo changed >> ${join(folder, 'alarm')}; true`);
}

test('logrotate rotates the audit of a gateway that writes: no line is lost, and the chain holds', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-rotation-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o750);
  await using site = await startStandbySite('', `audit: { file: ${join(folder, 'audit.jsonl')} }`);
  const conf = join(dirname(site.configFile), 'logrotate.conf');
  await writeFile(conf, await sampleFor(folder, site.configFile), { mode: 0o644 });
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
      await runProgram('logrotate', ['--force', '--state', join(folder, 'state'), conf]);
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

test('logrotate says so before it rotates an audit that somebody changed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-rotation-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'audit.jsonl');
  await using site = await startStandbySite('', `audit: { file: ${file} }`);
  for (const state of ['DRAIN', 'READY']) await site.api('PUT', '/backends/b/state', { state, reason: 'disks' });
  await writeFile(file, (await readFile(file, 'utf8')).replace('disks', 'fans'));
  const conf = join(dirname(site.configFile), 'logrotate.conf');
  await writeFile(conf, await sampleFor(folder, site.configFile), { mode: 0o644 });
  await runProgram('logrotate', ['--force', '--state', join(folder, 'state'), conf]);
  assert.equal(await readFile(join(folder, 'alarm'), 'utf8'), 'changed\n');
});
