import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { before, describe, it } from 'node:test';
import { type FileCount, type Trace, traceGateway } from '../../bench/trace.ts';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/how-a-request-travels.md', root), 'utf8');

/** The files of src/ that one part of the page names. */
function namedUnder(title: string): ReadonlySet<string> {
  const part = page.split(/^## /m).find((text) => text.startsWith(title)) ?? '';
  return new Set([...part.matchAll(/`(src\/[^`]+\.ts)`/g)].map(([, file = '']) => file));
}

function isComposition({ file }: FileCount): boolean {
  return file === 'src/gateway.ts' || file.startsWith('src/gateway/');
}

describe('the way of a request', () => {
  let trace: Trace;
  before(async () => {
    trace = await traceGateway();
  });

  it('of a warm GET goes through the files that the page names, and no others', () => {
    const files = trace.warmGet.map(({ file }) => file).toSorted();
    assert.deepEqual([...namedUnder('A warm GET')].toSorted(), files);
  });

  it('of a sign-in goes through each file that the page names', () => {
    const files = new Set(trace.signIn.map(({ file }) => file));
    const named = [...namedUnder('A sign-in')];
    assert.ok(named.length > 10);
    assert.deepEqual(
      named.filter((file) => !files.has(file)),
      [],
    );
  });

  it('is short', () => {
    const calls = trace.warmGet.reduce((sum, count) => sum + count.calls, 0);
    assert.ok(trace.warmGet.length <= 32, `${trace.warmGet.length} files`);
    assert.ok(calls <= 180, `${calls} calls`);
    assert.ok(trace.warmGet.filter(isComposition).length <= 2);
    assert.ok(trace.signIn.length <= 65, `${trace.signIn.length} files of a sign-in`);
    const ofStart = trace.start.filter(({ functions }) => functions.length > 0);
    assert.ok(ofStart.length <= 138, `${ofStart.length} files of a start`);
  });
});

it('the page of the way names files that exist', () => {
  const named = [...page.matchAll(/`((?:src|test)\/[^`]+\.ts)`/g)].map(([, file = '']) => file);
  assert.deepEqual(
    named.filter((file) => !existsSync(fileURLToPath(new URL(file, root)))),
    [],
  );
});
