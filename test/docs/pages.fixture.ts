import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The pages that people read, by their paths in the project. */
export const pages: readonly string[] = globSync('{*.md,docs/**/*.md,demo/*.md,integrations/**/*.md,deploy/**/*.md}', {
  cwd: root,
}).sort();

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  /** Page and line on which it begins. */
  readonly at: string;
  /** Empty if it names none. */
  readonly language: string;
  /** The file of the project that it is a part of, if it names one behind its language. */
  readonly file: string | undefined;
  /** Without the indentation of a list. */
  readonly text: string;
}

/** Returns the text of a page. */
export function textOf(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** Returns page and line of a place in a page's text. */
export function placeIn(page: string, text: string, index: number): string {
  return `${page}:${text.slice(0, index).split('\n').length}`;
}

/** Returns the fenced blocks of a page, from top to bottom. */
export function blocksOf(page: string): readonly Block[] {
  const text = textOf(page);
  return [...text.matchAll(/^( *)```(\S*) *(.*)\n([\s\S]*?)^ *```$/gm)].map(
    ({ index, 1: indent = '', 2: language = '', 3: file = '', 4: lines = '' }) => ({
      page,
      at: placeIn(page, text, index),
      language,
      file: file === '' ? undefined : file,
      text: lines.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
}

/** The fenced blocks of all pages. */
export const blocks: readonly Block[] = pages.flatMap(blocksOf);
