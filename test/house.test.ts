import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { measureHouse } from '../tools/house.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = globSync('{*.md,docs/**/*.md,integrations/**/*.md}', { cwd: root }).filter(
  // It names what has been, too.
  (page) => page !== 'CHANGELOG.md',
);

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const house = measureHouse();

describe('the source', () => {
  it('says of every exported name what it is', () => {
    assert.deepEqual(house.undocumented, []);
  });

  it('has no circle of imports, those of types counted', () => {
    assert.equal(house.circle, undefined);
  });

  it('imports from the same folder and from the floors below, never upwards', () => {
    assert.deepEqual(house.upwards, []);
  });

  it('stands on a floor that is named, each folder of it', () => {
    assert.deepEqual(house.homeless, []);
  });

  it('has files of a reader’s size: few fragments, none over 350 lines', () => {
    assert.ok(house.shortFiles.length <= 20, `at most 40 lines: ${house.shortFiles.join(', ')}`);
    assert.ok(house.longestLines <= 350, `${house.longestFile} has ${house.longestLines} lines`);
    assert.ok(house.medianLines >= 110, `the median file has ${house.medianLines} lines`);
  });

  it('gives a name to one thing: few are declared by several files', () => {
    const shared = [...house.sharedNames].map(([name, files]) => `${name}: ${files.join(', ')}`);
    assert.ok(shared.length <= 20, shared.join('\n'));
  });
});

describe('the documentation of the source', () => {
  for (const page of pages) {
    it(`${page} names only source files that exist`, () => {
      const named = [...read(page).matchAll(/(?<![\w/.-])(?:src|test|tools|bench|demo)\/[\w./-]*\.(?:ts|mjs|tsv)\b/g)];
      assert.deepEqual(
        named.map(([path]) => path).filter((path) => !path.includes('NAME') && !existsSync(join(root, path))),
        [],
      );
    });
  }
});
