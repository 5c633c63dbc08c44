import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isoTime, momentNamed } from '../../src/core/clock.ts';

it('a moment is in UTC unless it has a zone, whatever the time zone of the process', (t) => {
  const before = process.env['TZ'];
  t.after(() => {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  });
  process.env['TZ'] = 'America/New_York';
  for (const [text, moment] of [
    ['2026-11-01', '2026-11-01T00:00:00.000Z'],
    ['2026-11-01T10:00', '2026-11-01T10:00:00.000Z'],
    ['2026-11-01 10:00', '2026-11-01T10:00:00.000Z'],
    ['2026-11-01T10:00:30.5Z', '2026-11-01T10:00:30.500Z'],
    ['2026-11-01T10:00+01:00', '2026-11-01T09:00:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ] as const) {
    assert.equal(isoTime(momentNamed(text)), moment, text);
  }
});

it('what names no moment is no other one: a day that does not exist, a bare number, a word', () => {
  for (const text of [
    '2026-02-30',
    '2026-02-29',
    '2026-11-31',
    '2026-13-01',
    '2026-11-01T25:00',
    '1',
    '2026',
    '20261101',
    '9999-12-31T23:30-01:00',
    '0000-01-01T00:30+01:00',
  ]) {
    assert.ok(Number.isNaN(momentNamed(text)), text);
  }
  for (const text of [
    '',
    'tomorrow',
    'yesterday',
    '1h',
    'Nov 1 2026',
    '2026-11-01T',
    '2026-11-01T10:00 CET',
    ' 2026-11-01',
  ])
    assert.ok(Number.isNaN(momentNamed(text)), text);
});
