import { readFileSync, writeFileSync } from 'node:fs';
import type { z } from 'zod';
import { isObject } from '../src/core/objects.ts';
import { Secret } from '../src/core/secrets.ts';
import type { MasterEntry, WebmailDriver } from '../src/core/webmail.ts';
import { driverNames, loadDriver, loadDriverModule } from '../src/webmail/registry.ts';

/** The page that holds the table, and the lines between which it stands. */
const page = new URL('../docs/webmails.md', import.meta.url);
const begin = '<!-- abilities: generated, npm run docs -->\n';
const end = '<!-- /abilities -->\n';

const secret = new Secret('0123456789abcdef0123456789abcdef');
const master = { user: 'master', password: secret, separator: '*' };
const entries: Readonly<Record<MasterEntry['kind'], string>> = {
  'own-account': 'yes',
  'other-account': 'as another account',
  impossible: '–',
};
const abilities: readonly (readonly [title: string, has: (driver: WebmailDriver) => boolean | string])[] = [
  ['entered without the password', ({ masterEntry }) => entries[masterEntry.kind]],
  ['looks into bodies', (driver) => 'judgeBody' in driver],
  ['keeps a page when the gateway’s session ends', (driver) => 'lostAnswer' in driver],
  ['keeps a page over a silent sign-in', (driver) => 'retryAnswer' in driver],
  ['adds fields to each request', (driver) => 'requestHeaders' in driver],
  ['the gateway checks the origin', ({ checksNoTokens }) => checksNoTokens === true],
  ['knows its sign-in page', (driver) => 'isSignInPage' in driver],
  ['knows polls', (driver) => 'isPoll' in driver],
];

/** The abilities of each webmail driver, as a Markdown table. They come from the drivers themselves. */
export async function abilitiesTable(): Promise<string> {
  const rows = (await Promise.all(driverNames.map(rowsOf))).flat();
  const titles = ['driver', ...abilities.map(([title]) => title)];
  return [row(titles), row(titles.map(() => '---')), ...rows].join('');
}

/** One row for each example in the schema of the driver's settings, or one for a driver without. */
async function rowsOf(name: string): Promise<string[]> {
  const examples = examplesOf((await loadDriverModule(name)).settings);
  return Promise.all(
    examples.map(async (written) => {
      const settings = Object.fromEntries(
        Object.entries(written).map(([key, value]) => [key, isObject(value) && 'file' in value ? secret : value]),
      );
      const driver = await loadDriver(name, { exchange, clock: { nowMs: () => 0 }, settings, master });
      const title = [name, ...choices(written, examples[0] ?? {})].map((text) => `\`${text}\``).join(', ');
      return row([title, ...abilities.map(([, has]) => cell(has(driver)))]);
    }),
  );
}

/** The settings that an example adds to the plainest one: `master_login`, or `mode: trusted`. */
function choices(written: object, plainest: object): string[] {
  return Object.entries(written)
    .filter(([key]) => !(key in plainest))
    .map(([key, value]) => (typeof value === 'string' ? `${key}: ${value}` : key));
}

/** The examples of a driver's settings; one without any settings where the schema has none. */
export function examplesOf(settings: z.ZodType): readonly Readonly<Record<string, unknown>>[] {
  const { examples } = settings.meta() ?? {};
  return Array.isArray(examples) ? examples.filter(isObject) : [{}];
}

/** The page with the table as it must be. Throws if the page has no place for it. */
export function withTable(text: string, table: string): string {
  const [before, rest] = text.split(begin);
  const [, after] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined) throw new Error('docs/webmails.md lacks the place of the table');
  return before + begin + table + end + after;
}

const exchange = { send: () => Promise.reject(new Error('a table asks no webmail')) };

function cell(has: boolean | string): string {
  if (typeof has === 'string') return has;
  return has ? 'yes' : '–';
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

if (import.meta.main) {
  const text = readFileSync(page, 'utf8');
  const wanted = withTable(text, await abilitiesTable());
  if (process.argv[2] === '--write') writeFileSync(page, wanted);
  else if (wanted !== text) {
    process.stderr.write('not what the drivers can: docs/webmails.md; run npm run docs\n');
    process.exitCode = 1;
  }
}
