import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'src/gateway');
const files = readdirSync(folder);

describe('the composition', () => {
  it('is described by ADR 4, file by file', () => {
    const page = readFileSync(join(root, 'docs/adr/0004-composition.md'), 'utf8');
    const named = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
    assert.deepEqual(new Set(named), new Set(['gateway.ts', ...files]));
  });

  it('has its contracts in a file that imports none of the others', () => {
    const contracts = readFileSync(join(folder, 'parts.ts'), 'utf8');
    assert.doesNotMatch(contracts, /from '\.\//);
  });
});
