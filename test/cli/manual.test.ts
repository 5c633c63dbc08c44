import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { manualPages } from '../../tools/man-pages.ts';
import { runProgram } from '../programs.ts';
import { run } from './cli.fixture.ts';

describe('the manual', () => {
  let folder: string;
  let pages: ReadonlyMap<string, string>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-manual-'));
    pages = await manualPages({ version: '0.0.0', date: '2026-01-01' });
    for (const [name, text] of pages) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const files = () => [...pages.keys()].map((name) => join(folder, name));
  const shown = (name: string) =>
    runProgram('man', ['--warnings', '-E', 'UTF-8', '-l', join(folder, name)], { env: { MANWIDTH: '200' } });

  test('has a page for each command of the help, one of all, and one of the configuration', async () => {
    const { out } = await run(['--help']);
    const [, listed = ''] = out.split('\nCommands:\n');
    const commands = [...(listed.split('\n\n', 1)[0]?.matchAll(/^ {2}([a-z]+)\b/gm) ?? [])].map(([, name]) => name);
    assert.ok(commands.length > 10, out);
    const expected = commands.filter((name) => name !== 'help').map((name) => `man1/postern-${name}.1`);
    assert.deepEqual([...pages.keys()].sort(), ['man1/postern.1', 'man5/postern.yaml.5', ...expected].sort());
  });

  test('has nothing of which mandoc warns', async () => {
    assert.equal(await runProgram('mandoc', ['-T', 'lint', '-W', 'warning', ...files()]), '');
  });

  test('has nothing of which man warns', async () => {
    for (const name of pages.keys()) {
      const page = join(folder, name);
      assert.equal(
        await runProgram('sh', ['-c', 'man --warnings -E UTF-8 -l -Tutf8 "$1" 2>&1 >/dev/null', 'sh', page]),
        '',
        name,
      );
    }
  });

  test('shows what the help says: options with their defaults, and examples', async () => {
    const page = await shown('man1/postern-backend.1');
    assert.match(page, /postern backend set \[options\] <name> <state>/);
    assert.match(page, /--until time\n\s+Expected end, such as 2030-01-31T06:00:00Z/);
    assert.match(
      page,
      /postern backend set a MAINT --reason "new disks" --text "en=Back at six\."\n\s+Nobody is served/,
    );
  });

  test('shows every key of the configuration, with its default', async () => {
    const page = await shown('man5/postern.yaml.5');
    const reference = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const keys = [...reference.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key = '']) => key);
    assert.ok(keys.length > 100);
    const titles = new Set(page.split('\n').map((line) => line.trim().split(' ', 1)[0]));
    for (const key of keys) assert.ok(titles.has(key), key);
    assert.match(page, / idle_timeout\n\s+duration; default 30 min\n/);
  });
});
