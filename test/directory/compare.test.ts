import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLoginNameParser } from '../../src/core/names.ts';
import { compareDirectories } from '../../src/directory/compare.ts';
import type { SourceSettings } from '../../src/directory/registry.ts';
import { nameRules, temporaryDirectory, testDirectory } from './directory.fixture.ts';

const parseName = createLoginNameParser(nameRules);

async function compare(before: SourceSettings, after: SourceSettings, users: Iterable<string>) {
  await using directories = new AsyncDisposableStack();
  const changes: string[] = [];
  const both = {
    before: { directory: directories.use(await testDirectory([before])), parseName },
    after: { directory: directories.use(await testDirectory([after])), parseName },
  };
  const onChange = ({ user, from, to }: { user: string; from: string; to: string }) =>
    changes.push(`${user} ${from} ${to}`);
  return { ...(await compareDirectories(both, users, { onChange }, AbortSignal.timeout(20_000))), changes };
}

test('two directories are compared user by user', async () => {
  await using folder = await temporaryDirectory();
  const [before, after] = [join(folder.path, 'before'), join(folder.path, 'after')];
  await writeFile(before, 'alice: a\nbob: b\ncarol: a\ndora: a\ndora: b\n');
  await writeFile(after, 'alice: a\nbob: a\ndora: a\nemil: b\n');
  const names = ['alice', 'bob', 'carol', 'dora', 'emil', 'nobody'];
  const { changes, ...counts } = await compare({ type: 'map', file: before }, { type: 'map', file: after }, names);
  assert.deepEqual(counts, {
    users: 6,
    moved: 3,
    unsure: 1,
    flows: new Map([
      ['b → a', 1],
      ['a → unknown', 1],
      ['unknown → b', 1],
    ]),
  });
  assert.deepEqual(changes.sort(), ['bob b a', 'carol a unknown', 'emil unknown b']);
});

test('a change of weights is previewed', async () => {
  const names = Array.from({ length: 4000 }, (_, number) => `user${number}`);
  const { users, moved, flows } = await compare(
    { type: 'hash', weights: { a: 1, b: 1 } },
    { type: 'hash', weights: { a: 1, b: 3 } },
    names,
  );
  assert.equal(users, 4000);
  assert.deepEqual([...flows.keys()], ['a → b']);
  // A quarter of all: from one half to three quarters.
  assert.ok(Math.abs(moved / users - 0.25) < 0.04, `${moved}`);
});

test('a comparison ends when its signal is aborted', async () => {
  await using directory = await testDirectory([{ type: 'static', backend: 'a' }]);
  const both = { before: { directory, parseName }, after: { directory, parseName } };
  const gone = AbortSignal.abort(new RangeError('gone'));
  await assert.rejects(compareDirectories(both, ['alice'], {}, gone), RangeError);
});
