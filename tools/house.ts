/**
 * Counts what the source looks like to a reader: `npm run house`. test/house.test.ts holds the bounds.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The size of the files of src/, and the names that stand in them. */
export interface House {
  readonly files: number;
  /** Lines of the median file. */
  readonly medianLines: number;
  /** Files of at most 40 lines. */
  readonly shortFiles: readonly string[];
  readonly longestFile: string;
  readonly longestLines: number;
  /** Names that two or more files declare at their top level, each with its files. Names that a driver must have are left out. */
  readonly sharedNames: ReadonlyMap<string, readonly string[]>;
  /** Exports without a doc comment, as `file:line: name`. */
  readonly undocumented: readonly string[];
  /** Imports of a file on a higher floor, as `file imports file`. */
  readonly upwards: readonly string[];
  /** The first circle of imports, types counted; undefined if there is none. */
  readonly circle: readonly string[] | undefined;
  /** Folders that stand on no floor. */
  readonly homeless: readonly string[];
}

const root = fileURLToPath(new URL('..', import.meta.url));

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

/** The formatter puts each declaration of the top level at the beginning of a line. */
const declaration =
  /^(export )?(?:async |abstract |declare )*(?:function\*?|class|interface|type|const|let|enum) (\w+)/;

/** The names by which a registry knows each driver of its kind. */
const driverNames = new Set(['driver', 'about', 'settings', 'create']);

/** Reads all of src/ and counts. */
export function measureHouse(): House {
  const sources = globSync('src/**/*.ts', { cwd: root }).toSorted();
  const lines = new Map(sources.map((file) => [file, readFileSync(join(root, file), 'utf8').trimEnd().split('\n')]));
  const bySize = sources.toSorted((a, b) => sizeOf(a) - sizeOf(b));
  const longestFile = bySize.at(-1) ?? '';
  const imports = new Map(sources.map((file) => [file, importsIn(file, lines.get(file) ?? [])]));
  return {
    files: sources.length,
    medianLines: sizeOf(bySize[Math.floor(bySize.length / 2)] ?? ''),
    shortFiles: bySize.filter((file) => sizeOf(file) <= 40),
    longestFile,
    longestLines: sizeOf(longestFile),
    sharedNames: sharedNamesIn(lines),
    undocumented: [...lines].flatMap(([file, text]) => undocumentedIn(file, text)),
    upwards: [...imports].flatMap(([file, paths]) =>
      paths
        .filter((path) => folderOf(path) !== folderOf(file) && floorOf(path) > floorOf(file))
        .map((path) => `${file} imports ${path}`),
    ),
    circle: sources.map((file) => circleFrom(file, imports)).find((circle) => circle !== undefined),
    homeless: sources.filter((file) => floorOf(file) === -1),
  };

  function sizeOf(file: string): number {
    return lines.get(file)?.length ?? 0;
  }
}

function folderOf(file: string): string {
  return file === workerEntry ? '' : (/^src\/([^/]+)\//.exec(file)?.[1] ?? '');
}

function floorOf(file: string): number {
  return floors.findIndex((folders) => folders.includes(folderOf(file)));
}

/** The files of src that a file imports, also for types alone and when it is needed first. */
function importsIn(file: string, lines: readonly string[]): readonly string[] {
  const found = lines.join('\n').matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']*\.ts)'/g);
  return [...found].map(([, path = '']) => join(dirname(file), path)).filter((path) => path.startsWith('src/'));
}

/** The first circle of imports reached from a file; undefined if there is none. */
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

function undocumentedIn(file: string, lines: readonly string[]): readonly string[] {
  return lines.flatMap((line, index) => {
    const [, exported, name] = declaration.exec(line) ?? [];
    const documented = index > 0 && lines[index - 1]?.endsWith('*/') === true;
    return exported === undefined || documented ? [] : [`${file}:${index + 1}: ${name}`];
  });
}

function sharedNamesIn(lines: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, readonly string[]> {
  const filesOf = new Map<string, Set<string>>();
  for (const [file, text] of lines) {
    for (const line of text) {
      const name = declaration.exec(line)?.[2];
      if (name === undefined || driverNames.has(name)) continue;
      filesOf.set(name, (filesOf.get(name) ?? new Set()).add(file));
    }
  }
  return new Map([...filesOf].filter(([, files]) => files.size > 1).map(([name, files]) => [name, [...files]]));
}

if (import.meta.main) {
  const house = measureHouse();
  const rows: readonly (readonly [what: string, count: number | string])[] = [
    ['source files', house.files],
    ['lines of the median file', house.medianLines],
    ['files of at most 40 lines', house.shortFiles.length],
    ['longest file', `${house.longestLines} (${house.longestFile})`],
    ['names declared by several files', house.sharedNames.size],
    ['exports without a doc comment', house.undocumented.length],
    ['imports of a higher floor', house.upwards.length],
    ['circles of imports', house.circle === undefined ? 0 : house.circle.join(' → ')],
  ];
  for (const [what, count] of rows) process.stdout.write(`${what.padEnd(34)}${count}\n`);
  if (process.argv[2] === '--names') {
    for (const [name, files] of house.sharedNames) process.stdout.write(`${name}: ${files.join(', ')}\n`);
  }
}
