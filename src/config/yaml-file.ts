import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  stringify,
} from 'yaml';

/** Keys and indexes that lead from the root of a document to a value. */
export type Path = readonly (string | number)[];
/** Counts from 1. */
interface Position {
  readonly line: number;
  readonly column: number;
}

/** A YAML file, as plain values, with the place of each of them. */
export interface YamlFile {
  /** Undefined if the file has problems. */
  readonly root: unknown;
  readonly problems: readonly (Position & { readonly text: string })[];
  /** The place of a value or of its key; the place of the nearest enclosing map if there is no such value. */
  locate(path: Path, at: 'key' | 'value'): Position;
}

/** Messages for common mistakes; others are in the words of the YAML library. */
const remedies: ReadonlyMap<string, string> = new Map([
  ['DUPLICATE_KEY', 'the same key stands above: remove one of the two'],
  ['TAB_AS_INDENT', 'a tab indents this line: YAML allows only spaces'],
  ['MULTIPLE_DOCS', 'a second document begins here: write everything into one, without ---'],
  ['TAG_RESOLVE_FAILED', 'tags (!…) are not supported: put the value in quotes'],
  ['BAD_SCALAR_START', 'this value begins with a character that YAML reserves: put it in quotes'],
  [
    'BLOCK_AS_IMPLICIT_KEY',
    'a second ": " stands on this line: put the value in quotes, or its keys on lines of their own',
  ],
]);

/** Parses one YAML document and keeps the position of every value. */
export function parseYamlFile(text: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text.replace(/^\ufeff/, ''), { lineCounter: lines, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings].map(({ code, pos, message }) => ({
    ...positionOf(lines, pos[0]),
    text: remedies.get(code) ?? `is not YAML: ${message}`,
  }));
  visit(document, {
    Alias(_, node) {
      if (node.resolve(document) !== undefined) return;
      const text = `*${node.source} is not defined: define &${node.source} above, or put the value in quotes`;
      problems.push({ ...positionOf(lines, node.range?.[0] ?? 0), text });
    },
  });
  return {
    root: problems.length === 0 ? document.toJS() : undefined,
    problems,
    locate: (path, at) => positionOf(lines, offsetOf(document, path, at)),
  };
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  // An empty file has no line at all.
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function offsetOf(document: Document, path: Path, at: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let keyOffset = startOf(node) ?? 0;
  let valueOffset = keyOffset;
  for (const step of path) {
    const found = stepInto(isAlias(node) ? node.resolve(document) : node, step);
    // A missing value is reported at the key of the map that lacks it.
    if (found === undefined) return keyOffset;
    node = found.value;
    keyOffset = found.keyOffset ?? keyOffset;
    valueOffset = startOf(node) ?? keyOffset;
  }
  return at === 'key' ? keyOffset : valueOffset;
}

function stepInto(node: unknown, step: string | number): { value: unknown; keyOffset: number | undefined } | undefined {
  if (isSeq(node)) {
    const value = node.items[Number(step)];
    return value === undefined ? undefined : { value, keyOffset: startOf(value) };
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
  return pair === undefined ? undefined : { value: pair.value, keyOffset: startOf(pair.key) };
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value);
}

/** Formats a value as YAML, with no line broken. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
