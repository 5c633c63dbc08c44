import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { errorCodes, PosternError } from '../../src/core/error.ts';

describe('an error code', () => {
  const page = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8');

  for (const [code, sentence] of Object.entries(errorCodes)) {
    it(`${code} stands in the operators' page with its sentence`, () => {
      assert.ok(page.includes(`| \`${code}\` | ${sentence} |`), `docs/operate.md lacks: | \`${code}\` | ${sentence} |`);
    });
  }

  it('is all that the page lists', () => {
    const listed = Array.from(page.matchAll(/^\| `(ERR_\w+)` /gm), ([, code]) => code);
    assert.deepEqual(new Set(listed), new Set(Object.keys(errorCodes)));
    assert.equal(listed.length, Object.keys(errorCodes).length);
  });

  it('stays with the failure, beside what caused it', () => {
    const cause = new Error('ECONNREFUSED');
    const error = new PosternError('ERR_IMAP_UNAVAILABLE', 'imap of a', { source: 'imap', retryable: true, cause });
    assert.equal(error.cause, cause);
    assert.match(inspect(error), /ERR_IMAP_UNAVAILABLE/);
  });
});
