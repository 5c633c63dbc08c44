import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { logEvents } from '../../src/core/log-events.ts';
import { errorCodes } from '../../src/core/error.ts';
import type { FailureSource } from '../../src/core/error.ts';
import { silentLog } from '../../src/core/log.ts';
import { newReference } from '../../src/core/names.ts';
import type { LoginEvent } from '../../src/login/attempt.ts';
import { createRedisConnection } from '../../src/redis/connection.ts';
import { freePort } from '../ports.fixture.ts';
import { blocksOf, root, textOf } from './pages.fixture.ts';

const page = 'docs/troubleshooting.md';
const known = new Map(Object.entries(logEvents));
const standard = new Set(['time', 'level', 'app', 'event', 'msg']);

/** The log lines of the page; a block may have several. */
const lines = blocksOf(page)
  .filter(({ language }) => language === 'json')
  .flatMap(({ at, text }) => [JSON.parse(text)].flat().map((line: Record<string, unknown>) => ({ at, line })));

/** The values that a field can have, where these are few. */
const values = {
  source: ['client', 'config', 'directory', 'imap', 'webmail', 'store', 'audit', 'gateway'] satisfies FailureSource[],
  phase: ['form', 'store', 'directory', 'penalty', 'imap', 'webmail'] satisfies LoginEvent['phase'][],
};

/** Whether a field of a login or of a failed request is as the gateway writes it. */
function isPlausible(line: Record<string, unknown>, field: string): boolean {
  const value = String(line[field]);
  if (field === 'reference') return /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/.test(value);
  if (line['event'] !== 'login') return true;
  // A verdict on a password falls when the mail server would have been asked, also for a user who is unknown.
  if (field === 'why') return line['phase'] === 'imap';
  return field === 'source' || field === 'phase' ? values[field].some((each) => each === value) : true;
}

describe('docs/troubleshooting.md', () => {
  it('shows references, sources and phases as the gateway writes them', () => {
    assert.match(
      newReference((size) => randomBytes(size)),
      /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/,
    );
    for (const { at, line } of lines) {
      const wrong = Object.keys(line).filter((field) => !isPlausible(line, field));
      assert.deepEqual(wrong, [], at);
    }
  });

  it('shows a reload with a slip, and one that needs a restart, under their own events', () => {
    const reloads = lines.filter(({ line }) => Array.isArray(line['problems']));
    assert.deepEqual(
      reloads.map(({ line }) => line['event']),
      reloads.map(({ line }) =>
        String(line['problems']).includes('cannot change while the gateway runs')
          ? 'config-refused'
          : 'config-not-read',
      ),
    );
    assert.equal(reloads.length, 2);
  });

  it('shows the loss of Redis as it is logged', async () => {
    const port = await freePort();
    const { promise: written, resolve } = Promise.withResolvers<object>();
    const log = {
      ...silentLog,
      warn: (event: string, fields?: object) => resolve({ level: 'warn', event, ...fields }),
    };
    const connection = createRedisConnection({ settings: { url: `redis://127.0.0.1:${port}/0` }, log });
    await connection.open(AbortSignal.timeout(5000));
    connection.close();
    const shown = lines.find(({ line }) => line['event'] === 'redis-down');
    const here = JSON.stringify(shown?.line).replaceAll('10.0.0.20:6379', `127.0.0.1:${port}`);
    assert.partialDeepStrictEqual(await written, JSON.parse(here));
  });

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

describe('docs/operate.md', () => {
  it('names every result of a sign-in, which are values of a metric, too', () => {
    const results: Readonly<Record<LoginEvent['result'], true>> = {
      'signed-in': true,
      authenticated: true,
      rejected: true,
      policy: true,
      refused: true,
      expired: true,
      'contact-admin': true,
      insecure: true,
      malformed: true,
      busy: true,
      closed: true,
      unavailable: true,
      abandoned: true,
      failed: true,
    };
    const row = /^\| `result` \|.*$/m.exec(textOf('docs/operate.md'))?.[0] ?? '';
    const named = [...row.matchAll(/`([\w-]+)`/g)].map(([, name]) => name);
    assert.deepEqual(new Set(named), new Set(['result', ...Object.keys(results)]));
  });
});
