import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from '../programs.ts';
import { type Block, root } from './pages.fixture.ts';

/** A command as a page shows it, with the output that the page shows under it. */
export interface ShownCommand {
  readonly at: string;
  /** As it is typed, in one line or several. */
  readonly text: string;
  /** Without its comment: how commands.tsv names it. */
  readonly name: string;
  /** Undefined if the page shows none. */
  readonly output: string | undefined;
}

/** What commands.tsv says of a command. */
export type Treatment =
  /** It cannot run here; another test runs it, or what it does. */
  | { readonly kind: 'elsewhere'; readonly test: string; readonly why: string }
  /** A text with the placeholders filled in is run instead. */
  | { readonly kind: 'as'; readonly text: string }
  /** It is refused here, with these words. */
  | { readonly kind: 'refused'; readonly words: string; readonly text: string | undefined };

/** Returns what commands.tsv says, by the name of the command. A name that ends in `*` stands for all that begin so. */
export function readTreatments(): ReadonlyMap<string, Treatment> {
  const lines = readFileSync(new URL('commands.tsv', import.meta.url), 'utf8').split('\n');
  return new Map(lines.filter((line) => line !== '' && !line.startsWith('# ')).map(treatmentIn));
}

function treatmentIn(line: string): readonly [string, Treatment] {
  const [name = '', kind = '', text = '', why = ''] = line.split('\t');
  if (kind === 'as' && text !== '') return [name, { kind, text }];
  if (kind === 'refused' && text !== '') return [name, { kind, words: text, text: why === '' ? undefined : why }];
  if (kind !== 'elsewhere' || why === '') throw new Error(`commands.tsv: ${line}`);
  if (!existsSync(join(root, text))) throw new Error(`commands.tsv: there is no test ${text}`);
  return [name, { kind, test: text, why }];
}

/** Returns the commands of a block of `sh` or `console`. */
export function commandsIn(block: Block): readonly ShownCommand[] {
  if (block.language === 'console') return typedIn(block);
  const commands: ShownCommand[] = [];
  let open = '';
  for (const line of block.text.split('\n')) {
    if (open === '' && /^\s*(?:#.*)?$/.test(line)) continue;
    open += open === '' ? line : `\n${line}`;
    if (!isComplete(open)) continue;
    commands.push(shown(block, open, undefined));
    open = '';
  }
  if (open.trim() !== '') throw new Error(`${block.at}: a command without its end: ${open}`);
  return commands;
}

/** Lines after `$ ` are typed, as are those after `> ` that continue them; what follows is output. */
function typedIn(block: Block): readonly ShownCommand[] {
  return block.text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [first = '', ...others] = part.replace(/\n$/, '').split('\n');
      const more = others.findIndex((line) => !line.startsWith('> '));
      const continued = more === -1 ? others : others.slice(0, more);
      const output = others.slice(continued.length).join('\n');
      return shown(block, [first, ...continued.map((line) => line.slice(2))].join('\n'), output);
    });
}

function shown({ at }: Block, text: string, output: string | undefined): ShownCommand {
  return { at, text, name: text.replace(/\s+#\s.*$/, '').trim(), output };
}

/** Whether bash has a whole command there: no open quote, loop, here-document or continued line. */
function isComplete(text: string): boolean {
  if (text.endsWith('\\')) return false;
  const { status, stderr } = spawnSync('bash', ['-n', '-c', text], { encoding: 'utf8' });
  return status === 0 && stderr === '';
}

/** Makes outputs of two runs comparable: times, random texts and ports differ. */
export function comparable(output: string): string {
  return output
    .trim()
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d\b/g, 'TIME')
    .replace(/\b\w{4}-\w{4}-\w{4}-\w{4}\b/g, 'CODE')
    .replace(/https?:\/\/[\w.:-]+/g, 'ORIGIN')
    .replace(/ +/g, ' ');
}
