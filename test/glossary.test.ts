import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = globSync('{src,tools,test,bench,demo}/**/*.ts', {
  cwd: root,
  exclude: (name) => name === 'var' || name === 'node_modules',
});

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const page = read('docs/glossary.md');
const gone = page.slice(page.indexOf('## Gone'));

/** The words in code of one sentence of the section "Gone". */
function wordsOf(sentence: RegExp): readonly string[] {
  const text = sentence.exec(gone)?.[1] ?? '';
  return [...text.matchAll(/`(\w+)`/g)].map(([, word = '']) => word);
}

/** Identifiers that hold one of the words as a part in camel case, in what a file declares. */
function declaredWith(words: readonly string[]): readonly string[] {
  const declaration = /\b(?:class|interface|type|function|enum) (\w+)/g;
  // "RunningUpkeep" and "upkeepOf" hold the word; "reimplement" does not hold "Impl".
  const parts = new RegExp(
    `(?:^|[a-z\\d])(?:${words.join('|')})(?![a-z])|^(?:${words.map((word) => word.charAt(0).toLowerCase() + word.slice(1)).join('|')})(?![a-z])`,
  );
  return sources.flatMap((file) =>
    [...read(file).matchAll(declaration)]
      .map(([, name = '']) => name)
      .filter((name) => parts.test(name))
      .map((name) => `${file}: ${name}`),
  );
}

describe('the glossary', () => {
  it('has one line for each word, in tables that say what it means', () => {
    const lines = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:word|---) /.test(line));
    const words = lines.map((line) => line.split(' | ')[0]);
    assert.ok(lines.length > 40);
    assert.deepEqual([...new Set(words)], words);
    assert.deepEqual(
      lines.filter((line) => !line.endsWith('. |')),
      [],
    );
  });

  it('names what is gone, and nothing is called so', () => {
    const words = wordsOf(/must not come back:\s+([^.]*)\./);
    assert.ok(words.includes('Course'));
    assert.deepEqual(declaredWith(words), []);
  });

  it('names words that say nothing, and nothing is called so', () => {
    const words = wordsOf(/parts of names: ([^.]*)\./);
    assert.ok(words.includes('Manager'));
    assert.deepEqual(declaredWith(words), []);
  });

  it('knows the words of the code by which files are called', () => {
    assert.deepEqual(
      globSync('src/**/*.ts', { cwd: root }).filter((file) =>
        /(?:^|[/-])(?:course|upkeep|surroundings|judgement|adoption|mirror|visit|standing|passage)(?:[.-])/.test(file),
      ),
      [],
    );
  });
});
