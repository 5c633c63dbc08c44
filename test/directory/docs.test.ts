import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { Secret } from '../../src/core/secrets.ts';
import { checkSource, type SourceSettings, sourceTypes } from '../../src/directory/registry.ts';

const pages = ['docs/directory.md', ...globSync('docs/directory/*.md')];

/** The sources of all YAML examples of a page. */
function sourcesIn(page: string): readonly SourceSettings[] {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/```yaml\n([^]*?)```/g)];
  return blocks.flatMap(([, text = '']) => parse(text).directory.sources ?? []);
}

function isSecret(value: unknown): boolean {
  return typeof value === 'object' && value !== null && /^(?:file|env)$/.test(Object.keys(value).join());
}

/** As the configuration does it: a map of nothing but `file` or `env` is a secret. */
function withSecrets(source: SourceSettings): SourceSettings {
  return Object.fromEntries(
    Object.entries(source).map(([key, value]) => [key, isSecret(value) ? new Secret('x') : value]),
  );
}

describe('the pages of the directory', () => {
  for (const page of pages) {
    test(`${page} has examples that are right`, async () => {
      for (const source of sourcesIn(page)) assert.deepEqual(await checkSource(withSecrets(source)), []);
    });
  }

  test('have an example of every source', () => {
    const shown = new Set(pages.flatMap(sourcesIn).map(({ type }) => type));
    assert.deepEqual(shown, new Set(sourceTypes));
  });
});
