import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { spawn } from '../programs.ts';
import { sample } from './haproxy.fixture.ts';

/** The output of `keepalived -t` for a file. Its exit status is useless: with VRRP it ends itself by a signal. */
async function complaints(file: string): Promise<string> {
  const keepalived = spawn('keepalived', ['-t', '-f', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err] = await Promise.all([keepalived.stdout.toArray(), keepalived.stderr.toArray()]);
  return Buffer.concat([...out, ...err]).toString();
}

/** VRRP refuses the loopback interface, and one that does not exist. */
function someInterface(): string {
  const found = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some(({ internal }) => !internal),
  );
  assert.ok(found !== undefined, 'the test needs a network interface beside loopback');
  return found[0];
}

test('keepalived has nothing to say against its sample, nor against its checks of LVS', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-keepalived-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'keepalived.conf');
  const text = await sample('keepalived.conf', { 'interface eth0': `interface ${someInterface()}` });
  const [vrrp = '', lvs = ''] = text.split(/^# Instead: .*\n#\n/m);
  for (const config of [vrrp, lvs.replace(/^# /gm, '')]) {
    await writeFile(file, config);
    assert.equal(await complaints(file), '');
  }
  // A file with a mistake is reported, so silence is meaningful.
  await writeFile(file, vrrp.replace('virtual_router_id 51', 'virtual_router_id 5100'));
  assert.notEqual(await complaints(file), '');
});
