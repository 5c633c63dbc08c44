import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { markdownTable, significant, targetTable, withMeasured } from '../../bench/report.ts';
import { seriesOf } from '../../bench/statistics.ts';

describe('a series of rounds', () => {
  const cases = [
    { rounds: [5], series: { best: 5, median: 5, spread: 0 } },
    { rounds: [30, 10, 20], series: { best: 10, median: 20, spread: 0.5 } },
    { rounds: [4, 1, 3, 2], series: { best: 1, median: 2.5, spread: 0.6 } },
    { rounds: [9, 10, 10, 10, 100], series: { best: 9, median: 10, spread: 0 } },
  ];
  for (const { rounds, series } of cases) {
    it(`of ${rounds.join(', ')} has its best, its median and its spread`, () => {
      assert.deepEqual(seriesOf(rounds), series);
    });
  }

  it('has at least one round', () => {
    assert.throws(() => seriesOf([]), RangeError);
  });
});

describe('the report', () => {
  it('says of each target whether it was met, the limit itself included', () => {
    const { rows } = targetTable([
      { what: 'a', limit: 1.15, measured: 1.15 },
      { what: 'b', limit: 20, measured: 20.4, unit: ' KB', besides: 'of 10' },
    ]);
    assert.deepEqual(rows, [
      ['a', '≤ 1.15', '1.15', 'met', ''],
      ['b', '≤ 20 KB', '20.4 KB', '**not met**', 'of 10'],
    ]);
  });

  it('writes a table with its names to the left and its numbers to the right', () => {
    const table = markdownTable({ head: ['what', 'µs'], rows: [['one', '1']] });
    assert.equal(table, '| what | µs |\n| --- | ---: |\n| one | 1 |');
  });

  it('replaces what was measured before, and nothing else of the page', () => {
    const page = 'before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n';
    const fresh = withMeasured(page, '\nnew\n');
    assert.equal(fresh, 'before\n<!-- measured: begin -->\nnew\n<!-- measured: end -->\nafter\n');
    assert.equal(withMeasured(fresh, 'new'), fresh);
    assert.throws(() => withMeasured('no place', 'new'), /no place for what was measured/);
  });

  it('shows the digits that count', () => {
    assert.deepEqual([0.123, 1.049, 12.34, 123.4, 1234.5].map(significant), ['0.12', '1.05', '12.3', '123', '1235']);
  });
});
