import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readBuild } from '../src/core/build.ts';

/*
 * Writes lib/, the JavaScript of src/, for the npm package: Node runs no TypeScript below node_modules. Beside it goes
 * the file `commit`. npm pack runs this first, and removes both afterwards. A checkout uses neither.
 */

const source = fileURLToPath(new URL('../src', import.meta.url));
const target = fileURLToPath(new URL('../lib', import.meta.url));

/**
 * A module without its types. Every line and column keeps its number. A quoted path of a TypeScript file, as of an
 * import or of the workers' entry, becomes that of its JavaScript. Throws if another `.ts` path is left: it would name
 * a file that the package lacks.
 */
export function withoutTypes(file: string): string {
  const code = stripTypeScriptTypes(readFileSync(file, 'utf8'), { mode: 'strip' });
  return code.replaceAll(/(['"`])([^'"`\s]+)\.ts\1/g, (_, quote: string, path: string) => {
    if (!existsSync(resolve(dirname(file), `${path}.ts`))) throw new Error(`${file}: there is no ${path}.ts`);
    return `${quote}${path}.js${quote}`;
  });
}

if (import.meta.main) {
  rmSync(target, { recursive: true, force: true });
  for (const name of globSync('**/*.ts', { cwd: source, exclude: ['**/*.d.ts'] })) {
    const written = join(target, name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(written), { recursive: true });
    writeFileSync(written, withoutTypes(join(source, name)));
  }
  writeFileSync(new URL('../commit', import.meta.url), `${readBuild().commit}\n`);
}
