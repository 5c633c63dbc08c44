import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { filesOf } from '../config/config.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { spawn } from '../programs.ts';
import { bin } from './cli.fixture.ts';

/** Each question by its beginning, with wrong answers, the words of the complaint about them, and a right one. */
const conversation = [
  ['The address that users type', ['mail.example.org', 'ftp://mail.example.org'], 'https://mail.example.test'],
  ['Listen on', ['8080x', '127.0.0.1:99999'], '127.0.0.1:8180'],
  ['Domain for names', ['exa mple'], 'example.test'],
  ['Redis URL', ['http://redis:6379'], ''],
  ['Webmail (', ['roundcubes'], 'none'],
  ['CA certificates', ['no-such.pem', 'notes.txt'], ''],
  ['Backends, as', ['a', 'a=mx1 a=mx2', 'a=mx1 b=mx1', '=mx1'], 'a=mx1.test b=mx2.test'],
] as const;

test('init on a terminal asks again after each wrong answer, says why, and keeps all answers before', async (t) => {
  const cwd = filesOf(t, { 'notes.txt': 'no certificate\n' });
  const child = spawn('script', ['--quiet', '--return', '--command', `${process.execPath} ${bin} init`, '/dev/null'], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  for (const [question, wrongs, right] of conversation) {
    for (const answer of [...wrongs, right]) {
      await eventually(
        () => new RegExp(`(?:^|\\n|\\r|\\u001b\\[\\d*\\w)${question.replace('(', '\\(')}[^\\n]*: `).test(said),
        `${question}: ${said}`,
      );
      said = '';
      child.stdin.write(`${answer}\n`);
      if (answer === right) continue;
      const complaint = `${JSON.stringify(answer)} `;
      await eventually(
        () => said.includes(complaint) && said.slice(said.indexOf(complaint)).includes('\n'),
        `complaint of ${answer}`,
      );
    }
  }
  const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
  assert.equal(code, 0, said);
  const file = join(cwd, 'postern.yaml');
  const config = await loadConfig(file, { env: {} });
  assert.deepEqual(
    [
      config.publicUrls[0].origin,
      config.listen.port,
      config.directory.nameRules.defaultDomain,
      [...config.backends.keys()],
    ],
    ['https://mail.example.test', 8180, 'example.test', ['a', 'b']],
    readFileSync(file, 'utf8'),
  );
});
