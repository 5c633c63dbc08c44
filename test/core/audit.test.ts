import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { auditEventNames } from '../../src/core/audit.ts';

test('every event of the audit is explained in its page', () => {
  const page = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8');
  const [, list = ''] = page.split('| event | what happened |');
  for (const name of auditEventNames) assert.ok(list.includes(`\`${name}\``), name);
});
