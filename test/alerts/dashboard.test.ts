import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseAll, strangersIn } from './expressions.fixture.ts';

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly datasource: object;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly datasource: object;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly Target[];
}

interface Dashboard {
  readonly id?: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly panels: readonly Panel[];
}

const text = readFileSync(new URL('../../deploy/grafana/postern.json', import.meta.url), 'utf8');
const dashboard: Dashboard = JSON.parse(text);
const targets = dashboard.panels.flatMap((panel) => panel.targets.map((target) => ({ panel, ...target })));

describe('the Grafana dashboard', () => {
  for (const { panel, refId, expr } of targets) {
    it(`${panel.title} ${refId} names metrics, labels and values of docs/metrics.md`, () => {
      assert.deepEqual(strangersIn(expr), []);
    });
  }

  it('would be seen to name a metric, a label or a value that is not there', () => {
    assert.deepEqual(
      strangersIn('sum by (host) (postern_logins_totals{result="signed-in"}) + postern_store_up{why=~"a|b"}'),
      [
        'there is no metric postern_logins_totals',
        'postern_logins_totals has no label result',
        'postern_store_up has no label why',
        'no metric of it has the label host',
      ],
    );
    assert.deepEqual(strangersIn('postern_backend_state{state=~"DOWN|AWAY"}'), [
      'postern_backend_state has no state AWAY',
    ]);
  });

  it('has expressions that promtool parses', async () => {
    const readable = targets.map(({ expr }) =>
      expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(?:backend|instance)\b/g, '.*'),
    );
    await parseAll(readable);
    await assert.rejects(parseAll(['sum by (backend (x)']), /could not parse expression/);
  });

  it('offers the backends and nodes that there are', () => {
    const definitions = dashboard.templating.list.flatMap(({ definition }) => definition ?? []);
    const asked = definitions.map((definition) => /^label_values\((\w+), (\w+)\)$/.exec(definition));
    assert.equal(asked.length, 2);
    for (const match of asked) assert.deepEqual(strangersIn(`sum by (${match?.[2]}) (${match?.[1]})`), []);
  });

  it('shows what is needed at night: the cluster as a table, sign-ins, errors, times, sessions, Redis, alarms', () => {
    const titles = dashboard.panels.map(({ title }) => title).join('\n');
    for (const wanted of ['Cluster', 'Sign-ins a minute', 'Errors', 'p95', 'Sessions', 'Redis', 'Alarms']) {
      assert.ok(titles.includes(wanted), wanted);
    }
    for (const { title, description } of dashboard.panels) assert.match(description, /\.$/, title);
  });

  it('has no panel over another, and none twice', () => {
    const cells = dashboard.panels.flatMap(({ title, gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => ({ title, cell: `${x + (index % w)},${y + Math.floor(index / w)}` })),
    );
    assert.equal(new Set(cells.map(({ cell }) => cell)).size, cells.length);
    assert.ok(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24));
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  });

  it('belongs to no site: the data source is chosen, nothing has an id or an address of Grafana’s', () => {
    assert.equal(dashboard.id, undefined);
    for (const { datasource } of [...dashboard.panels, ...targets]) {
      assert.deepEqual(datasource, { type: 'prometheus', uid: '${datasource}' });
    }
    assert.doesNotMatch(text, /https?:\/\/|orgId|"iteration"|"folder/);
  });
});
