import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { logEvents } from '../../src/core/log-events.ts';
import { errorCodes } from '../../src/core/error.ts';
import { blocksOf, root, textOf } from './pages.fixture.ts';

const page = 'docs/troubleshooting.md';
const known = new Map(Object.entries(logEvents));
const standard = new Set(['time', 'level', 'app', 'event', 'msg']);

/** The log lines of the page; a block may have several. */
const lines = blocksOf(page)
  .filter(({ language }) => language === 'json')
  .flatMap(({ at, text }) => [JSON.parse(text)].flat().map((line: Record<string, unknown>) => ({ at, line })));

describe('docs/troubleshooting.md', () => {
  it('shows only log lines that can be logged: event, level and fields', () => {
    for (const { at, line } of lines) {
      const row = known.get(String(line['event']));
      assert.ok(row !== undefined, `${at}: there is no event ${String(line['event'])}`);
      assert.ok(
        row.levels.some((level) => level === line['level']),
        `${at}: not at level ${String(line['level'])}`,
      );
      const unknown = Object.keys(line).filter(
        (field) => !standard.has(field) && !row.fields.some((each) => each === field),
      );
      assert.deepEqual(unknown, [], at);
    }
  });

  it('quotes only pages that users can see', () => {
    const texts = new Set(Object.values(JSON.parse(readFileSync(join(root, 'views/locales/en.json'), 'utf8'))));
    const quoted = [...textOf(page).matchAll(/(?:^> .*\n)+/gm)].map(([lines]) => lines.replace(/^> /gm, '').trim());
    assert.ok(quoted.length > 10);
    assert.deepEqual(
      quoted.filter((text) => !texts.has(text.replaceAll('\n', ' '))),
      [],
    );
  });

  it('quotes only messages of commands that stand in the source', () => {
    const source = globSync('{src,bin}/**/*.{ts,mjs}', { cwd: root }).map((file) =>
      readFileSync(join(root, file), 'utf8'),
    );
    const quoted = blocksOf(page).filter(({ language }) => language === 'text');
    const missing = quoted.filter(({ text }) => !source.some((each) => each.includes(text.trim())));
    assert.deepEqual(
      missing.map(({ at }) => at),
      [],
    );
  });

  it('names only error codes that exist', () => {
    const named = [...textOf(page).matchAll(/\bERR_[A-Z_]+/g)].map(([code]) => code);
    assert.deepEqual(
      named.filter((code) => !(code in errorCodes)),
      [],
    );
  });
});
