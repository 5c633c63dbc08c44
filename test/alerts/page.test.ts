import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import { logEvents } from '../../src/core/log-events.ts';
import { runProgram } from '../programs.ts';
import { parseAll, strangersIn } from './expressions.fixture.ts';
import { alertRules, rules, rulesFile } from './scrapes.fixture.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/alerts.md', import.meta.url)), 'utf8');
const { homepage } = JSON.parse(readFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'));
const parts = page
  .split(/^## /m)
  .slice(1)
  .map((part) => ({ title: part.slice(0, part.indexOf('\n')), text: part.slice(part.indexOf('\n')) }));
const partsOfAlerts = parts.filter(({ title }) => title.startsWith('Postern'));

describe('docs/alerts.md', () => {
  it('has a part for each alert, in the order of the rules, and no other', () => {
    assert.ok(alertRules.length >= 12);
    assert.deepEqual(
      partsOfAlerts.map(({ title }) => title),
      alertRules.map(({ alert }) => alert),
    );
  });

  it('is where runbook_url leads, to the part of the alert', () => {
    const base = `${String(homepage).replace(/#.*$/, '')}/blob/main/docs/alerts.md`;
    for (const { alert, annotations } of alertRules) {
      assert.equal(annotations['runbook_url'], `${base}#${alert.toLowerCase()}`, alert);
    }
  });

  it('says of each alert how bad it is, where to look, and what to do after that', () => {
    for (const { alert, labels, annotations } of alertRules) {
      assert.match(labels['severity'] ?? '', /^(critical|warning)$/, alert);
      assert.match(annotations['summary'] ?? '', /\.$/, alert);
      const { text = '' } = partsOfAlerts.find(({ title }) => title === alert) ?? {};
      assert.ok(
        text.startsWith(`\n\n*${labels['severity'] === 'critical' ? 'Critical' : 'Warning'}.* `),
        `${alert}${text}`,
      );
      if (!/ See\s+\[/.test(text))
        assert.match(text, /\n```sh\n[^`]+```\n\n\S/, `${alert} has commands, and then advice`);
    }
  });

  it('shows a configuration that Prometheus takes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-prometheus-'));
    try {
      const [, block = ''] = /^```yml\n([^`]*)```$/m.exec(page) ?? [];
      const file = join(folder, 'prometheus.yml');
      const packaged = '/usr/share/doc/postern/deploy/prometheus/rules.yml';
      assert.ok(block.includes(packaged));
      await writeFile(file, block.replace(packaged, rulesFile));
      assert.match(await runProgram('promtool', ['check', 'config', file]), /SUCCESS: .* is valid prometheus config/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('looks for events that the log has', () => {
    const looked = [...page.matchAll(/"event":"([^"]+)"/g)].flatMap(([, name = '']) => expand(name));
    assert.ok(looked.length > 5);
    assert.deepEqual(
      looked.filter((name) => !Object.hasOwn(logEvents, name)),
      [],
    );
  });
});

/** The names that `a-(b|c)` stands for. */
function expand(pattern: string): readonly string[] {
  const [, before = '', inner, behind = ''] = /^(.*)\((.*)\)(.*)$/.exec(pattern) ?? [];
  return inner === undefined ? [pattern] : inner.split('|').map((part) => before + part + behind);
}

describe('the rules', () => {
  it('name metrics, labels and values of docs/metrics.md', () => {
    const strangers = rules.flatMap((rule) => strangersIn(rule.expr).map((what) => ({ rule, what })));
    assert.deepEqual(strangers, []);
  });

  it('are parsed by promtool one by one', () => parseAll(rules.map(({ expr }) => expr)));
});
