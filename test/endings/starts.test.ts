import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertListed, listedPrograms, spawn } from '../programs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (name: string): string => readFileSync(`${root}/${name}`, 'utf8');

describe('programs of other packages', () => {
  it('are started by tests and benchmarks in one place only', () => {
    const files = globSync(['test/**/*.ts', 'bench/**/*.ts'], { cwd: root });
    const importing = files.filter((name) => /import (?!type )[^;]*(?:node:)?child_process['"]/.test(read(name)));
    assert.deepEqual(importing, ['test/programs.ts']);
  });

  it('are refused where the table does not name their package', () => {
    assert.throws(() => spawn('cowsay', ['moo']), /cowsay is not in test\/programs\.tsv: add it there/);
    assert.throws(() => assertListed('/usr/games/cowsay'), /cowsay is not in/);
  });

  it('are known to the table where the lab starts them', () => {
    const scripts = globSync(['test/lab/lab', 'test/lab/backends/*.sh'], { cwd: root });
    const started = scripts.flatMap((name) => {
      const text = read(name).replace(/^\s*#.*$/gm, '');
      const byName = text.matchAll(/(?:\b(?:quiet|setsid|pg|exec|runuser -u \S+ --(?: env \S+)?) )"?([\w./$-]+)/g);
      const byPath = text.matchAll(/"?(\/usr\/(?:s?bin|lib\/cyrus\/bin)\/[\w.$-]+)/g);
      return [...byName, ...byPath].map(([, program = '']) =>
        basename(program)
          .replace(/\$version$/, '')
          .replace(/\.\$p$/, '.imap4'),
      );
    });
    const words = [...new Set(started)].filter(
      (word) => /^[a-z]/.test(word) && word !== 'env' && word !== 'policy-rc.d' && word !== 'debian-root',
    );
    assert.ok(words.includes('dovecot') && words.includes('sogod') && words.includes('memcached'), words.join(' '));
    for (const word of words) assert.doesNotThrow(() => assertListed(word));
  });

  it('stand in the table once, each with its package and with who wants it', () => {
    for (const { package: name, wantedBy } of listedPrograms) {
      assert.match(name, /^[a-z0-9.+-]+$/);
      assert.ok(wantedBy.length > 0 && !wantedBy.includes(''), name);
    }
    assert.equal(new Set(listedPrograms.map((line) => JSON.stringify(line))).size, listedPrograms.length);
  });
});
