import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type EventRow, logFields } from '../../src/core/log-event-row.ts';
import { logEvents } from '../../src/core/log-events.ts';
import { logPage } from '../../tools/log-events.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tableFiles = new Set(['src/core/log-events.ts', 'src/core/log-events-of-users.ts', 'src/core/log-event-row.ts']);
const sources = globSync('src/**/*.ts', { cwd: root })
  .filter((file) => !tableFiles.has(file))
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));
const rows: readonly (readonly [string, EventRow])[] = Object.entries(logEvents);

/** Matches a call of a log, with the first characters of the first argument. */
const logCall = /\b(?:log|logger|console)\??\.(?:trace|debug|info|warn|error|fatal)\(\s*(?=(.{0,40}))/g;

describe('the table of log events', () => {
  it('is what every call of a log names', () => {
    // A capped event goes through createWarnings.
    const named = new Set(rows.filter(([, { capped }]) => !capped).map(([event]) => event));
    const raw: string[] = [];
    for (const { file, text } of sources) {
      // These two hand lines on, with the event that they were given.
      if (file === 'src/observe/log.ts' || file === 'src/core/log.ts') continue;
      for (const { 1: argument = '', index } of text.matchAll(logCall)) {
        const event = /^'([a-z-]+)'/.exec(argument)?.[1] ?? /\? '([a-z-]+)' :/.exec(argument)?.[1];
        const line = text.slice(0, index).split('\n').length;
        if (event === undefined || !named.has(event)) raw.push(`${file}:${line}: ${argument}`);
      }
    }
    assert.deepEqual(raw, []);
  });

  it('is written by pino in one place only', () => {
    const users = sources.filter(({ text }) => /from 'pino'/.test(text)).map(({ file }) => file);
    assert.deepEqual(users, ['src/observe/log.ts']);
  });

  it('has no event that nothing logs', () => {
    const unused = rows.filter(([event]) => {
      const call = new RegExp(`(?:\\b(?:log\\.\\w+|warn|refuse)\\(|\\? |: )\\s*'${event}'`);
      return !sources.some(({ text }) => call.test(text));
    });
    assert.deepEqual(unused, []);
  });

  it('has names in kebab-case, and messages of one line', () => {
    for (const [event, { message }] of rows) {
      assert.match(event, /^[a-z]+(?:-[a-z]+)*$/);
      assert.match(message, /^\S.*\S$/);
    }
  });

  it('says of every alarm what to do', () => {
    const silent = rows.filter(([, { levels, action }]) => levels.includes('error') && action === undefined);
    assert.deepEqual(silent, []);
  });

  it('uses every field that it describes', () => {
    const used = new Set<string>(rows.flatMap(([, { fields }]) => fields));
    assert.deepEqual(
      Object.keys(logFields).filter((field) => field !== 'leftOut' && !used.has(field)),
      [],
    );
  });

  it('is what docs/log.md shows', () => {
    assert.equal(readFileSync(join(root, 'docs/log.md'), 'utf8'), logPage());
  });
});
