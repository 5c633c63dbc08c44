import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Note, notesFolder, products } from './tested-with.ts';

/*
 * node tools/compatibility.ts --write   writes the table of docs/compatibility.md from the notes of the tests
 * node tools/compatibility.ts --check   fails if the tests ran with something that the page does not say
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join(root, 'docs/compatibility.md');
const begin = '<!-- tested with: generated, npm run compatibility -->\n';
const end = '<!-- /tested with -->\n';

/** The releases of Debian that the page has columns for. */
const releases = ['bookworm', 'trixie'] as const;

/** What the tests of a file do, in the words of the page. The first that fits counts; a file that none fits is left out. */
export const deeds: readonly (readonly [file: RegExp, deed: string])[] = [
  [/^test\/lab\/sign-in|^test\/browser\/sign-(in|out)/, 'sign-in and sign-out'],
  [/^test\/webmail\/(sogo|horde)-lab/, 'sign-in and sign-out'],
  [/^test\/(lab|browser)\/lost-session/, 'lost webmail sessions'],
  [/^test\/lab\/(support-|notice)|^test\/browser\/support/, 'support'],
  [/^test\/webmail\/(sogo-trusted|master-login)|^test\/integrations\/roundcube-entry/, 'entry without the password'],
  [/^test\/integrations\/forgotten-password/, 'entry without the password'],
  [/^test\/lab\/move-users/, 'moves of users'],
  [/^test\/lab\/cluster/, 'several nodes'],
  [/^test\/lab\/(passdb|mailboxes)/, 'passwords and mailboxes over IMAP'],
  [/^test\/lab\/transfers|^test\/webmail\/big-bodies|^test\/browser\/letters/, 'mail with attachments'],
  [/^test\/(lab\/hostile-mail|field\/one-mail)/, 'hostile mail'],
  [/^test\/browser\/(interrupted-letter|roundcube-forms)|^test\/webmail\/sogo-draft/, 'forms and drafts'],
  [/^test\/lab\/roundcube-|^test\/webmail\/header-lab/, 'other settings of the webmail'],
  [/^test\/webmail\/pool/, 'pools of hosts'],
  [/^test\/clients\//, 'calendars and address books'],
  [/^test\/directory-service\//, 'mail proxies'],
  [/^test\/balancers\//, 'load balancers'],
  [/^test\/directory\//, 'directory sources'],
  [/^test\/(sessions|redis|faults|login|workers|backends)\//, 'the store of sessions and states'],
  [/^test\/(integrations\/samples|docs\/configurations)/, 'samples, by its own check'],
  [/^test\/browser\//, 'pages'],
];

/** The notes of the last runs, without those of files that are gone. */
export function readNotes(): readonly Note[] {
  return globSync('*/*.json', { cwd: notesFolder })
    .map((name): Note => JSON.parse(readFileSync(join(notesFolder, name), 'utf8')))
    .filter(({ file }) => existsSync(join(root, file)));
}

/** What was done with a product of one release. */
interface Trial {
  readonly version: string;
  readonly deeds: ReadonlySet<string>;
}

/** What was done with a product of this release; undefined if no file with a deed used it. */
function trialOf(notes: readonly Note[], product: string, release: string): Trial | undefined {
  const done = notes
    .filter((note) => note.release === release)
    .flatMap(({ file, versions }) => {
      const deed = deeds.find(([pattern]) => pattern.test(file))?.[1];
      const version = Object.entries(versions).find(([name]) => products[name] === product)?.[1];
      return deed === undefined || version === undefined ? [] : [{ deed, version }];
    });
  const last = done.at(-1);
  return last && { version: last.version, deeds: new Set(done.map(({ deed }) => deed)) };
}

/** The table of products, with their versions on each release and what was done with them. */
export function table(notes: readonly Note[]): string {
  const rows = [...new Set(Object.values(products))].flatMap((product) => {
    const trials = releases.map((release) => trialOf(notes, product, release));
    if (trials.every((trial) => trial === undefined)) return [];
    const [twelve = new Set<string>(), thirteen = new Set<string>()] = trials.map((trial) => trial?.deeds ?? new Set());
    return [
      row([
        product,
        ...trials.map((trial) => trial?.version ?? '–'),
        listed(deedsInOrder.filter((deed) => twelve.has(deed) && thirteen.has(deed))),
        listed(deedsInOrder.filter((deed) => twelve.has(deed) && !thirteen.has(deed))),
        listed(deedsInOrder.filter((deed) => !twelve.has(deed) && thirteen.has(deed))),
      ]),
    ];
  });
  const titles = ['', 'Debian 12', 'Debian 13', 'done with both', 'with the first alone', 'with the second alone'];
  return [row(titles), row(titles.map(() => '---')), ...rows].join('');
}

const deedsInOrder = [...new Set(deeds.map(([, deed]) => deed))];

function listed(words: readonly string[]): string {
  return words.length === 0 ? '–' : words.join(', ');
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

/** The page with another table. Throws if the page has no place for it. */
export function withTable(text: string, made: string): string {
  const [before, rest] = text.split(begin);
  const [, after] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined)
    throw new Error('docs/compatibility.md lacks the place of the table');
  return before + begin + made + end + after;
}

/**
 * What the tests ran with and the page does not say: products, and versions up to the second number. Chromium is
 * exempt: Debian replaces it every few weeks.
 */
export function unsaid(text: string, notes: readonly Note[]): readonly string[] {
  const said = new Map<string, readonly string[]>();
  for (const [, product = '', ...versions] of text.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|.*\|$/gm)) {
    said.set(product, versions);
  }
  return [...new Set(Object.values(products))].flatMap((product) =>
    releases.flatMap((release, index) => {
      const seen = trialOf(notes, product, release)?.version;
      if (seen === undefined || product === 'Chromium') return [];
      const written = said.get(product)?.[index];
      if (written !== undefined && minor(written) === minor(seen)) return [];
      return [`${product} ${seen} on ${release}: the page has ${written ?? 'no such row'}`];
    }),
  );
}

function minor(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

if (import.meta.main) {
  const text = readFileSync(page, 'utf8');
  const notes = readNotes();
  if (process.argv[2] === '--write') writeFileSync(page, withTable(text, table(notes)));
  else {
    const missing = unsaid(text, notes);
    for (const line of missing) process.stderr.write(`docs/compatibility.md: ${line}; run npm run compatibility\n`);
    process.exitCode = missing.length === 0 ? 0 : 1;
  }
}
