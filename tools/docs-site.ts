import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vitepress';

/*
 * Builds the docs as a site: npm run docs:site. The pages of docs/ become the site, README.md its first page, and every
 * file of the project that they point to a page under files/, so that the site needs nothing beside itself. A link that
 * leads nowhere fails the build.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'dist/site-source');

const linkTarget = /(\]\()([^)\s#]+)(#[^)\s]*)?(\))/g;

/** Where a file of the project stands in the source of the site. */
function placeOf(file: string): string {
  if (file === 'README.md') return 'index.md';
  if (file.startsWith('docs/')) return file.slice('docs/'.length);
  return `files/${extname(file) === '.md' ? file : `${file}.md`}`;
}

/** Names of files that VitePress copies as they are. */
const isAsset = (file: string): boolean => /\.(?:png|svg|json|yaml)$/.test(file) && file.startsWith('docs/');

const languages: Readonly<Record<string, string>> = {
  '.conf': 'nginx',
  '.cfg': 'nginx',
  '.php': 'php',
  '.yaml': 'yaml',
};

/** A page that shows a file. Four fences, since the file may have three. */
function pageAbout(file: string, text: string): string {
  return `# ${basename(file)}\n\n\`${file}\` of the project:\n\n\`\`\`\`${languages[extname(file)] ?? 'text'}\n${text}\n\`\`\`\`\n`;
}

/** Lets the links of a page lead to where their targets stand in the site; `found` gets the targets. */
function withLinks(file: string, text: string, found: Set<string>): string {
  return text.replace(linkTarget, (whole, before: string, target: string, anchor = '', after: string) => {
    if (/^[a-z]+:/.test(target)) return whole;
    const aimed = posix.join(dirname(file), target).replace(/\/$/, '');
    if (!existsSync(join(root, aimed))) throw new Error(`${file} points to ${target}, which is not there`);
    if (statSync(join(root, aimed)).isDirectory()) return withDirectory(before, aimed, after, found);
    found.add(aimed);
    if (isAsset(aimed) && !/\.(?:png|svg)$/.test(aimed)) return `${before}/${placeOf(aimed)}${after}`;
    const place = isAsset(aimed) ? placeOf(aimed) : placeOf(aimed).replace(/(?:index)?\.md$/, '');
    return `${before}/${place}${anchor}${after}`;
  });
}

/** A folder is shown by its README, by its first page, or by its first file. */
function withDirectory(before: string, folder: string, after: string, found: Set<string>): string {
  const names = globSync(['README.md', '*.md', '**/*'], { cwd: join(root, folder) });
  const files = names.filter((name) => statSync(join(root, folder, name)).isFile());
  const [first] = files.sort((a, b) => rank(a) - rank(b));
  if (first === undefined) throw new Error(`${folder} is empty`);
  const file = posix.join(folder, first);
  found.add(file);
  return `${before}/${placeOf(file).replace(/\.md$/, '')}${after}`;
}

const rank = (name: string): number => (name === 'README.md' ? 0 : name.endsWith('.md') ? 1 : 2);

/** Copies all pages, and what they point to, and what that points to. */
function stage(): void {
  rmSync(source, { recursive: true, force: true });
  const waiting = new Set(['README.md', ...globSync('docs/**/*.{md,png,svg,json,yaml}', { cwd: root })]);
  for (const file of waiting) {
    const isPublic = isAsset(file) && !/\.(?:png|svg)$/.test(file);
    const copy = join(source, isPublic ? join('public', placeOf(file)) : placeOf(file));
    mkdirSync(dirname(copy), { recursive: true });
    if (isAsset(file)) {
      cpSync(join(root, file), copy);
    } else {
      const text = readFileSync(join(root, file), 'utf8');
      writeFileSync(copy, extname(file) === '.md' ? withLinks(file, text, waiting) : pageAbout(file, text));
    }
  }
}

stage();
await build(join(root, 'docs'));
