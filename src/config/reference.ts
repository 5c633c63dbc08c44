import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { referenceMarkdown } from './reference-markdown.ts';
import { createOutside } from './referenced-files.ts';
import { configShape } from './schema.ts';

/** The files that follow from the schema, by their names in the checkout, with what they must hold. */
export function referenceFiles(): ReadonlyMap<string, string> {
  // No file is opened for the schema alone.
  const shape = configShape(createOutside('.', {}));
  const schema = z.toJSONSchema(z.strictObject(shape), { io: 'input', reused: 'inline' });
  const titled = { ...schema, title: 'Postern', description: 'The configuration of Postern.' };
  return new Map([
    ['docs/postern.schema.json', `${JSON.stringify(titled, null, 2)}\n`],
    ['docs/configuration.md', referenceMarkdown(schema)],
  ]);
}

/** The files that are not what they must be. */
export function staleReferenceFiles(root: URL): readonly string[] {
  return [...referenceFiles()]
    .filter(([name, text]) => readIfThere(new URL(name, root)) !== text)
    .map(([name]) => name);
}

function readIfThere(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function main(mode: string | undefined): number {
  const root = new URL('../../', import.meta.url);
  if (mode === '--write') {
    for (const [name, text] of referenceFiles()) writeFileSync(new URL(name, root), text);
    return 0;
  }
  if (mode === '--check') {
    const stale = staleReferenceFiles(root);
    if (stale.length > 0) process.stderr.write(`not what the schema says: ${stale.join(', ')}; run npm run docs\n`);
    return stale.length === 0 ? 0 : 1;
  }
  process.stderr.write('usage: node src/config/reference.ts --write | --check\n');
  return 2;
}

if (import.meta.main) process.exitCode = main(process.argv[2]);
