import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../eventually.fixture.ts';
import { spawn } from '../programs.ts';

const fixture = fileURLToPath(new URL('fails-on-purpose.fixture.ts', import.meta.url));
const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** Whether a process runs; one that has ended and that nobody has asked for does not. */
function isRunning(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('a file of tests that goes wrong', () => {
  for (const fault of ['throws', 'hangs', 'hangs in a hook', 'dies']) {
    it(`ends, with all that it started, when a test of it ${fault}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'postern-endings-'));
      const pidFile = join(folder, 'pids');
      const args = [...npmTestOptions(), '--test-timeout=2000', fixture];
      // With the variable of this run it would take itself for one of its files.
      const { NODE_TEST_CONTEXT: _, ...own } = process.env;
      const env = { ...own, POSTERN_TEST_PIDS: pidFile, POSTERN_TEST_FAULT: fault };
      const run = spawn(process.execPath, ['--test', ...args], { env });
      const [out, [code]] = await Promise.all([text(run.stdout), once(run, 'close')]);
      assert.equal(code, 1, out);
      assert.match(out, /^ℹ (?:fail|cancelled) [1-9]/m);
      const pids = readFileSync(pidFile, 'utf8').split('\n').filter(Boolean);
      assert.ok(pids.length >= 4, `itself, nginx and a worker of it, Redis: ${pids.join(' ')}`);
      await eventually(() => !pids.some(isRunning), `all of ${pids.join(' ')} are gone`);
      await rm(folder, { recursive: true, force: true });
    });
  }
});

/** How `npm test` runs its files, but for its global setup and the time it allows. */
function npmTestOptions(): readonly string[] {
  const options = String(scripts.test).match(/--test-[a-z-]+(?:=\S+)?/g) ?? [];
  return options.filter((option) => !/^--test-(?:global-setup|timeout)/.test(option));
}
