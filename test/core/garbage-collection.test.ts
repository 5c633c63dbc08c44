import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from '../programs.ts';

const collection = new URL('../../src/core/garbage-collection.ts', import.meta.url);

/** Makes what a start makes, and lets go of it; then says how many megabytes of it the process still has. */
const program = `
import { getHeapStatistics } from 'node:v8';
import { collectAfterStart } from ${JSON.stringify(collection)};
const used = () => getHeapStatistics().total_physical_size / 1e6;
const before = used();
let made = Array.from({ length: 1_000_000 }, (_, i) => [i]);
const most = used();
made = undefined;
collectAfterStart();
setTimeout(() => console.log((used() - before) / (most - before)), 1500);
`;

test('what only the start needed goes back to the system, a moment later and without being asked', async () => {
  const stdout = await runProgram(process.execPath, ['--input-type=module', '-e', program]);
  assert.ok(Number(stdout) < 0.5, `${stdout.trim()} of it is still there`);
});
