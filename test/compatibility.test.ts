import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';
import { deeds, table, unsaid, withTable } from '../tools/compatibility.ts';
import { type Note, upstreamVersion } from '../tools/tested-with.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(join(root, 'docs/compatibility.md'), 'utf8');

const notes: readonly Note[] = [
  { file: 'test/lab/sign-in.test.ts', release: 'bookworm', versions: { 'dovecot-core': '2.3.19.1' } },
  { file: 'test/lab/move-users.test.ts', release: 'bookworm', versions: { 'dovecot-core': '2.3.19.1' } },
  {
    file: 'test/lab/sign-in.test.ts',
    release: 'trixie',
    versions: { 'dovecot-core': '2.4.1', 'redis-server': '8.0.2' },
  },
];

it('the table says which version did what, on both releases or on one', () => {
  assert.equal(
    table(notes),
    `|  | Debian 12 | Debian 13 | done with both | with the first alone | with the second alone |
| --- | --- | --- | --- | --- | --- |
| Dovecot | 2.3.19.1 | 2.4.1 | sign-in and sign-out | moves of users | – |
| Redis | – | 8.0.2 | – | – | sign-in and sign-out |
`,
  );
});

it('a version that the page does not have is found, up to its second number', () => {
  const written = withTable(page, table(notes));
  assert.deepEqual(unsaid(written, notes), []);
  const patched: Note = { file: 'test/lab/sign-in.test.ts', release: 'trixie', versions: { 'dovecot-core': '2.4.9' } };
  assert.deepEqual(unsaid(written, [patched]), []);
  const newer: Note = { ...patched, versions: { 'dovecot-core': '2.5.0', sogo: '5.12.1' } };
  assert.deepEqual(unsaid(written, [newer]), [
    'Dovecot 2.5.0 on trixie: the page has 2.4.1',
    'SOGo 5.12.1 on trixie: the page has no such row',
  ]);
});

it('Debian’s own parts of a version are left out', () => {
  const versions = ['1:2.4.1+dfsg1-6+deb13u7', '5:8.0.2-3+deb13u3', '17+278+deb13u1', '2:8.4+96', '142.0.1~deb12u1'];
  assert.deepEqual(versions.map(upstreamVersion), ['2.4.1', '8.0.2', '17', '8.4', '142.0.1']);
});

it('every deed is that of a test', () => {
  const files = globSync('test/**/*.test.ts', { cwd: root });
  for (const [pattern, deed] of deeds)
    assert.ok(
      files.some((file) => pattern.test(file)),
      `${deed}: ${pattern}`,
    );
});
