import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { driverChecks } from '../src/gateway/driver-checks.ts';
import { problemsOf } from './config/fixture.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = globSync('{*.md,docs/**/*.md,integrations/**/*.md}', { cwd: root });

/** The YAML examples of a page, each with the line that it begins on. */
function examplesOf(page: string): readonly { readonly at: string; readonly text: string }[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```$/gm)].map(({ index, 1: indent = '', 2: example = '' }) => ({
    at: `${page}:${text.slice(0, index).split('\n').length}`,
    text: example.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

const backendAt = (host: string) => ({ imap: `imaps://${host}`, webmail: `http://${host}/`, driver: 'none' });
const backends = Object.fromEntries(['a', 'b', 'b17', 'old'].map((name) => [name, backendAt(`${name}.test`)]));

/** The example as a whole configuration: what it does not name is as small as can be. */
function completed(example: object): string {
  const named: { directory?: object; backends?: object } = example;
  return stringify({
    public_url: 'http://127.0.0.1:8080',
    ...example,
    directory: { sources: [{ type: 'static', backend: 'a' }], ...named.directory },
    backends: { ...backends, ...named.backends },
  });
}

/** What a page cannot bring along: files beside the configuration, and an environment. */
const surroundings = /there is no file|the environment has no/;

describe('the documentation', () => {
  for (const page of pages) {
    it(`${page} points only to files that exist`, () => {
      const text = readFileSync(join(root, page), 'utf8');
      const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target);
      const missing = targets
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(join(root, dirname(page), target)));
      assert.deepEqual(missing, []);
    });
  }

  // Those of the reference have a test of their own.
  for (const { at, text } of pages.filter((page) => page !== 'docs/configuration.md').flatMap(examplesOf)) {
    it(`${at} shows a configuration that is accepted`, async (t) => {
      const example: unknown = parse(text);
      // A comment alone, or the lines of one backend.
      if (example === null || typeof example !== 'object' || 'driver' in example) return;
      const problems = await problemsOf(t, { 'postern.yaml': completed(example) }, { checks: driverChecks });
      assert.deepEqual(
        problems.filter((problem) => !surroundings.test(problem)),
        [],
      );
    });
  }

  it('opens with a README that is read in five minutes', () => {
    const lines = readFileSync(join(root, 'README.md'), 'utf8').split('\n').length;
    assert.ok(lines <= 121, `README.md has ${lines} lines`);
  });
});
