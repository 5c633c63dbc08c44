import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { auditCsvHead, auditCsvRow } from '../../src/core/audit.ts';

/** The cells of one row of RFC 4180. */
function cellsOf(row: string): readonly string[] {
  assert.ok(row.endsWith('\r\n'));
  const cells = [...row.slice(0, -2).matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",\r\n]*))/g)];
  return cells.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '');
}

test('every cell comes back as it was, and none begins a formula', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =1', '＝1', 'a,"b"\r\nc'),
  );
  fc.assert(
    fc.property(text, text, text, (actor, subject, reason) => {
      const facts = { reason };
      const row = auditCsvRow({ chain: 'c', sequence: 1, timeMs: 0, node: 'n', event: 'e', actor, subject, facts });
      const cells = cellsOf(row);
      assert.equal(cells.length, cellsOf(auditCsvHead).length);
      for (const cell of cells) assert.doesNotMatch(cell, /^\s*[=+\-@＝＋－＠]/);
      const isFormula = /^\s*[=+\-@＝＋－＠]/.test(actor);
      assert.equal(cells[3], isFormula ? `'${actor}` : actor);
      assert.deepEqual(JSON.parse(cells[6] ?? ''), facts);
    }),
  );
});
