import assert from 'node:assert/strict';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import { filesOf } from '../config/config.fixture.ts';
import { runProgram } from '../programs.ts';
import { run } from './cli.fixture.ts';

let script: string;
before(async () => {
  const { code, out, err } = await run(['completion', 'bash']);
  assert.deepEqual([code, err], [0, '']);
  script = out;
});

/** The words that bash offers at the end of a line. `backends` is what `postern backend list` prints. */
async function completed(
  t: TestContext,
  line: string,
  backends = '',
  look: (folder: string) => void = () => {},
): Promise<readonly string[]> {
  const folder = filesOf(t, { completion: script, 'postern.yaml': '', 'users.map': '' });
  writeFileSync(join(folder, 'postern'), `#!/bin/sh\necho "$@" > asked\ncat <<'END'\n${backends}\nEND\n`);
  chmodSync(join(folder, 'postern'), 0o755);
  const words = line.split(' ');
  const typed = words.map((word) => `'${word}'`).join(' ');
  const asking = `source ./completion
COMP_WORDS=(${typed}) COMP_CWORD=${words.length - 1}
compopt() { :; }
"$(complete -p postern | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = await runProgram('bash', ['-u', '-c', asking], {
    cwd: folder,
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
  });
  look(folder);
  return out.split('\n').filter((word) => word !== '');
}

const table = `BACKEND  HOST  STATE
a        a     READY
a        a/2   READY
b17      b17   READY
bern     bern  READY`;

describe('bash', () => {
  const cases: readonly (readonly [line: string, words: readonly string[]])[] = [
    ['postern ch', ['check']],
    ['postern backend ', ['list', 'set', 'activate']],
    ['postern check --on', ['--online']],
    ['postern keys retire --', ['--help', '--now', '--config']],
    ['postern check --format ', ['table', 'csv', 'json']],
    ['postern check --format json --form', ['--format']],
    ['postern audit export --format ', ['csv', 'json']],
    ['postern check -c postern.', ['postern.yaml']],
    ['postern audit verify users', ['users.map']],
    ['postern backend set a ', ['READY', 'DRAIN', 'MAINT']],
    ['postern backend set a D', ['DRAIN']],
    ['postern who ', []],
    ['postern nonsense ', []],
  ];
  for (const [line, words] of cases) {
    test(`completes: ${line}`, async (t) => assert.deepEqual(await completed(t, line), words));
  }

  test('completes the names of backends, each once, as the running gateway gives them', async (t) => {
    assert.deepEqual(await completed(t, 'postern backend set b', table), ['b17', 'bern']);
    assert.deepEqual(await completed(t, 'postern session list --backend ', table), ['a', 'b17', 'bern']);
    assert.deepEqual(await completed(t, 'postern user move mia --to be', table), ['bern']);
  });

  test('neither offers nor runs what a name of a backend contains', async (t) => {
    const hostile =
      '$(touch${IFS}ran)  x  READY\n`touch${IFS}ran`  x  READY\n-rf  x  READY\n*  x  READY\nbern;id  x  READY';
    const offered = await completed(t, 'postern backend set ', `${table}\n${hostile}`, (folder) => {
      assert.equal(existsSync(join(folder, 'ran')), false);
    });
    assert.deepEqual(offered, ['a', 'b17', 'bern']);
  });

  test('knows every command and every option', async (t) => {
    const [commands, options] = [await completed(t, 'postern '), await completed(t, 'postern backend set --')];
    assert.ok(commands.includes('serve') && commands.includes('completion'), commands.join(' '));
    assert.deepEqual(options, ['--help', '--host', '--reason', '--percent', '--until', '--text', '--config']);
  });
});
