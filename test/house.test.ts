import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = globSync('src/**/*.ts', { cwd: root });
const pages = globSync('{*.md,docs/**/*.md,integrations/**/*.md}', { cwd: root }).filter(
  // It names former files, too.
  (page) => page !== 'CHANGELOG.md',
);

/** Folders of src by floor: a file imports from its own folder and from the floors below. */
const floors: readonly (readonly string[])[] = [
  ['core'],
  ['schema', 'redis'],
  [
    'audit',
    'backends',
    'config',
    'directory',
    'directory-service',
    'login',
    'observe',
    'passdb',
    'proxy',
    'sessions',
    'support',
    'webmail',
  ],
  ['admin', 'http'],
  ['gateway'],
  ['cli'],
  // src/*.ts, the entries of the programs.
  [''],
];

/** The entry of a worker process, as src/main.ts is that of the first one. */
const workerEntry = 'src/gateway/worker-process.ts';

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

function folderOf(file: string): string {
  return file === workerEntry ? '' : (/^src\/([^/]+)\//.exec(file)?.[1] ?? '');
}

function floorOf(file: string): number {
  return floors.findIndex((folders) => folders.includes(folderOf(file)));
}

/** The files of src that a file imports, with imports of types and dynamic ones. */
function importsOf(file: string): readonly string[] {
  const found = read(file).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']*\.ts)'/g);
  return [...found].map(([, path = '']) => join(dirname(file), path)).filter((path) => path.startsWith('src/'));
}

/** The first circle that is met from a file on; undefined if there is none. */
function circleFrom(file: string, imports: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  function follow(at: string, way: readonly string[]): readonly string[] | undefined {
    if (way.includes(at)) return [...way.slice(way.indexOf(at)), at];
    if (done.has(at)) return undefined;
    for (const next of imports.get(at) ?? []) {
      const circle = follow(next, [...way, at]);
      if (circle !== undefined) return circle;
    }
    done.add(at);
    return undefined;
  }
  return follow(file, []);
}

/** Exports that stand without a doc comment. The formatter puts each at the beginning of a line. */
function undocumentedIn(file: string): readonly string[] {
  const lines = read(file).split('\n');
  return lines.flatMap((line, index) => {
    const name = /^export (?:async |abstract |declare )*(?:function\*?|class|interface|type|const|let) (\w+)/.exec(
      line,
    );
    const documented = index > 0 && lines[index - 1]?.endsWith('*/') === true;
    return name === null || documented ? [] : [`${file}:${index + 1}: ${name[1]}`];
  });
}

describe('the source', () => {
  it('says of every exported name what it is', () => {
    assert.deepEqual(sources.flatMap(undocumentedIn), []);
  });

  it('has no circle of imports, those of types counted', () => {
    const imports = new Map(sources.map((file) => [file, importsOf(file)]));
    assert.deepEqual(
      sources.map((file) => circleFrom(file, imports)).find((circle) => circle !== undefined),
      undefined,
    );
  });

  it('imports from the same folder and from the floors below, never upwards', () => {
    const astray = sources.flatMap((file) =>
      importsOf(file)
        .filter((path) => folderOf(path) !== folderOf(file) && floorOf(path) > floorOf(file))
        .map((path) => `${file} imports ${path}`),
    );
    assert.deepEqual(astray, []);
  });

  it('stands on a floor that is named here, each folder of it', () => {
    assert.deepEqual(
      sources.filter((file) => floorOf(file) === -1),
      [],
    );
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
