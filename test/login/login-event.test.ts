import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { Log } from '../../src/core/log.ts';
import { createLoginLog, type LoginEvent } from '../../src/login/attempt.ts';

interface Line {
  readonly level: keyof Log;
  readonly event: string;
  readonly fields: object;
}

function createTried() {
  const lines: Line[] = [];
  const clock = { now: 0, nowMs: () => clock.now };
  const write =
    (level: keyof Log) =>
    (event: string, fields: object = {}) =>
      void lines.push({ level, event, fields });
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  return { lines, clock, tell: createLoginLog(log, clock, 3_000) };
}

const wrong: LoginEvent = {
  result: 'rejected',
  why: 'wrong-password',
  phase: 'imap',
  reference: 'R1',
  requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
  client: '192.0.2.7',
  user: 'alice@example.test',
  backend: 'a',
  ms: { imap: 40 },
};

test('a login is one line with its facts', () => {
  const { lines, tell } = createTried();
  tell(wrong);
  assert.deepEqual(lines, [{ level: 'info', event: 'login', fields: wrong }]);
});

test('a failure is a warning with its code and source; a fault of ours an error', () => {
  const { lines, tell } = createTried();
  const down = new PosternError('ERR_IMAP_UNAVAILABLE', 'connection refused', { source: 'imap', retryable: true });
  tell({ ...wrong, result: 'unavailable', error: down });
  tell({ ...wrong, result: 'failed', error: new TypeError('bug') });
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['warn', 'error'],
  );
  assert.ok(
    JSON.stringify(lines[0]).includes('"code":"ERR_IMAP_UNAVAILABLE","source":"imap","detail":"connection refused"'),
  );
});

test('a server that delays refusals for longer than the page does is named once a minute', () => {
  const { lines, clock, tell } = createTried();
  const warnings = () => lines.filter(({ event }) => event === 'refusals-slow').length;
  tell({ ...wrong, ms: { imap: 3_001 } });
  tell({ ...wrong, ms: { imap: 5_000 } });
  assert.equal(warnings(), 1);
  clock.now = 60_000;
  tell({ ...wrong, ms: { imap: 5_000 } });
  assert.equal(warnings(), 2);
});

test('an unknown user, or a quick server, is no reason to warn', () => {
  const { lines, tell } = createTried();
  tell({ ...wrong, ms: { imap: 3_000 } });
  tell({ ...wrong, why: 'unknown-user', ms: { imap: 9_000 } });
  assert.equal(lines.filter(({ level }) => level === 'warn').length, 0);
});
