import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProgress, listText, relativeTime, table, timeCell, wantsColours } from '../../src/cli/output.ts';

describe('a list', () => {
  const since = new Date(Date.now() - 200_000).toISOString();
  const list = {
    headings: ['NAME', 'CHECKED AT', 'STATE', 'NOTE'],
    rows: [
      ['=cmd', timeCell(since), { shown: 'DOWN', value: 'DOWN', tone: 'bad' as const }, 'a, "b"'],
      ['b', '-', 'READY', '-'],
    ],
    body: { rows: 2 },
    note: 'The newest 2.',
  };

  it('is a table for people, with times as they say them', () => {
    assert.equal(
      listText(list, 'table', {}),
      'NAME  CHECKED AT  STATE  NOTE\n=cmd  3 min ago   DOWN   a, "b"\nb     -           READY  -\nThe newest 2.\n',
    );
  });

  it('is CSV with ISO times, empty cells, and no formula', () => {
    assert.equal(
      listText(list, 'csv', {}),
      `name,checked_at,state,note\r\n'=cmd,${since},DOWN,"a, ""b"""\r\nb,,READY,\r\n`,
    );
  });

  it('is JSON as the API has it', () => {
    assert.deepEqual(JSON.parse(listText(list, 'json', { colours: true })), { rows: 2 });
  });

  it('has colours that leave the columns where they are', () => {
    const plain = listText(list, 'table', {});
    const coloured = listText(list, 'table', { colours: true });
    assert.match(coloured, /\u001b\[31mDOWN\u001b\[39m {3}a/);
    assert.equal(coloured.replaceAll(/\u001b\[\d+m/g, ''), plain);
  });

  it('steers no terminal, and cuts a long cell but the last', () => {
    const long = 'x'.repeat(100);
    assert.equal(
      table(['A', 'B'], [[`\u001b[31m${long}`, long]]).split('\n')[1],
      `\ufffd[31m${'x'.repeat(54)}…  ${long}`,
    );
  });
});

describe('colours', () => {
  it('are for terminals, unless the environment says otherwise', () => {
    for (const [isTerminal, env, wanted] of [
      [true, {}, true],
      [false, {}, false],
      [true, { NO_COLOR: '1' }, false],
      [true, { NO_COLOR: '' }, true],
      [true, { TERM: 'dumb' }, false],
      [false, { FORCE_COLOR: '1' }, true],
      [true, { FORCE_COLOR: '0' }, false],
      [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
    ] as const) {
      assert.equal(wantsColours(isTerminal, env), wanted, JSON.stringify([isTerminal, env]));
    }
  });
});

describe('a time in a table', () => {
  it('is as people say it', () => {
    const nowMs = Date.parse('2030-06-15T12:00:00Z');
    for (const [ms, said] of [
      [0, 'now'],
      [-59_000, '59 s ago'],
      [-60_000, '1 min ago'],
      [20 * 60_000, 'in 20 min'],
      [-47 * 3_600_000, '47 h ago'],
      [3 * 86_400_000, 'in 3 days'],
      [-40 * 86_400_000, '2030-05-06'],
    ] as const) {
      assert.equal(relativeTime(nowMs + ms, nowMs), said);
    }
  });
});

describe('the progress of long work', () => {
  it('shows how many are done, how fast, and how long it still takes', () => {
    const shown: string[] = [];
    let nowMs = 0;
    const parts = { progress: (text: string) => void shown.push(text) };
    const progress = createProgress(parts, { nowMs: () => nowMs }, { total: 10_000 });
    nowMs = 2_000;
    progress.count(2_000);
    nowMs = 2_100;
    progress.count(2_100);
    progress.end();
    assert.deepEqual(shown, ['2,000 of 10,000 users, 1,000 a second, 8 s left', '']);
  });
});
