import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { silentLog } from '../../src/core/log.ts';
import { renewState } from '../../src/gateway/offline.ts';
import { addKey, promoteKey, readKeysFile, retireKey } from '../../src/sessions/keys-file.ts';
import { syslogListener } from '../audit/syslog-listener.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { type Ended, postern } from './cli.fixture.ts';

describe('postern audit', () => {
  let site: StandbySite;
  let file: string;
  let asWritten: string;
  const server = createServer();
  const syslog = syslogListener(server);
  before(async () => {
    const port = await listening(server);
    site = await startStandbySite('', `audit: { syslog: "tcp://127.0.0.1:${port}" }`);
    file = join(dirname(site.configFile), 'state/audit.jsonl');
    const reasons = ['new disks', '=HYPERLINK("http://evil.test")', 'a, "quoted" reason', 'done'];
    for (const [index, reason] of reasons.entries()) {
      const state = index % 2 === 0 ? 'DRAIN' : 'READY';
      assert.equal((await site.api('PUT', '/backends/b/state', { state, reason })).status, 200);
    }
    await site.api('DELETE', '/users/-alice/sessions', { reason: 'abused' });
    await site.gateway.close();
    asWritten = readFileSync(file, 'utf8');
  });
  after(async () => {
    await site[Symbol.asyncDispose]();
    await syslog[Symbol.asyncDispose]();
  });
  beforeEach(() => writeFileSync(file, asWritten));

  const audit = (...args: string[]): Promise<Ended> => postern(['audit', ...args, '-c', site.configFile]);
  const lines = () => asWritten.trimEnd().split('\n');
  const rewrite = (texts: readonly string[]) => writeFileSync(file, texts.map((text) => `${text}\n`).join(''));

  it('verifies what a gateway wrote, against the end that the gateway anchored', async () => {
    const { code, out } = await audit('verify');
    assert.equal(out, '5 lines in one chain: nothing was changed.\n');
    assert.equal(code, 0);
  });

  it('has its copy in syslog', async () => {
    await eventually(() => syslog.messages.length === 5);
    assert.deepEqual(
      syslog.messages.map((message) => message.slice(message.indexOf('{'))),
      lines(),
    );
  });

  it('names the first line that was edited, deleted, reordered, cut off or added, and ends with 1', async () => {
    const [first = '', second = '', third = '', ...rest] = lines();
    const cases: readonly [string, readonly string[], RegExp][] = [
      [
        'edited',
        [first, second.replace('READY', 'MAINT'), third, ...rest],
        /audit\.jsonl:2: EDITED, chain \w+ line 2:/,
      ],
      ['deleted', [first, third, ...rest], /audit\.jsonl:2: DELETED, chain \w+ line 2: should follow line 2/],
      [
        'reordered',
        [first, third, second, ...rest],
        /audit\.jsonl:2: REORDERED, chain \w+ line 3: stands before line 2/,
      ],
      ['cut off', [first, second, third], /audit\.jsonl:3: TRUNCATED, chain \w+ line 4: was followed by lines 4 to 5/],
      ['added', [...lines(), first.replace('"sequence":1', '"sequence":6')], /audit\.jsonl:6: APPENDED, chain \w+:/],
      ['emptied', [], /nowhere: TRUNCATED, chain \w+ line 1: all lines up to 5 are missing/],
    ];
    for (const [what, texts, expected] of cases) {
      rewrite(texts);
      const { code, out } = await audit('verify');
      assert.match(out, expected, what);
      assert.match(out, /this audit was changed\.\n$/, what);
      assert.equal(code, 1, what);
    }
  });

  it('follows the chain over rotated files, and says what to do where one was removed', async () => {
    const texts = lines();
    rewrite(texts.slice(0, 2));
    renameSync(file, `${file}.1`);
    rewrite(texts.slice(2));
    assert.equal((await audit('verify')).code, 0);
    assert.match((await audit('verify', file)).out, /audit\.jsonl:1: DELETED/);
    const removed = await audit('verify', file, '--older-removed');
    assert.equal(removed.code, 0);
    assert.match(removed.out, /note: chain \w+ begins at line 3: earlier lines were in files that have been removed/);
    assert.equal(JSON.parse((await audit('list', '--format', 'json')).out).length, 5);
    renameSync(`${file}.1`, `${file}.old`);
    const none = await audit('verify', file, '/nowhere.jsonl');
    assert.deepEqual([none.code, none.out, none.err], [2, '', 'there is no file /nowhere.jsonl: name another\n']);
  });

  it('verifies what was written under a key that was retired since', async () => {
    const keys = join(dirname(file), 'keys');
    const [before] = (await readKeysFile(keys)) ?? [];
    await promoteKey(keys, await addKey(keys));
    await renewState(await loadConfig(site.configFile, { env: {} }), silentLog);
    await retireKey(keys, before?.id ?? '');
    assert.equal((await audit('verify')).out, '5 lines in one chain: nothing was changed.\n');
  });

  it('sees no missing end without the store, and says so', async () => {
    rewrite(lines().slice(0, 3));
    const { code, out } = await audit('verify', '--without-store');
    assert.equal(code, 0);
    assert.match(out, /note: chain \w+ has no anchor in the store: nothing shows whether its end is missing/);
  });

  it('lists what fits, newest first', async () => {
    const { out } = await audit('list', '--event', 'backend-state', '--limit', '2');
    const [heading = '', ...rows] = out.trimEnd().split('\n');
    assert.match(heading, /^TIME +EVENT +ACTOR +SUBJECT +FROM +FACTS$/);
    assert.equal(rows.length, 3);
    assert.equal(rows[2], 'The newest 2; --limit shows more.');
    assert.match(rows[0] ?? '', /^\S+Z +backend-state +test \(socket\) +b +- +state: READY; reason: done$/);
    assert.match((await audit('list', '--since', 'yesterday')).err, /Write a time such as/);
    assert.equal((await audit('list', '--until', '2020-01-01', '--format', 'json')).out, '[]\n');
  });

  it('exports JSON, and CSV in which no cell is a formula', async () => {
    const exported: { event: string; facts: { reason: string } }[] = JSON.parse(
      (await audit('export', '--format', 'json')).out,
    );
    assert.deepEqual(
      exported.map(({ facts }) => facts.reason),
      ['new disks', '=HYPERLINK("http://evil.test")', 'a, "quoted" reason', 'done', 'abused'],
    );
    const csv = (await audit('export')).out.split('\r\n');
    assert.equal(csv[0], 'time,node,event,actor,subject,address,facts,chain,sequence');
    assert.match(csv[2] ?? '', /,"\{""state"":""READY"",""reason"":""=HYPERLINK\(\\""http:\/\/evil\.test\\""\)""\}",/);
    assert.match(csv[5] ?? '', /,session-end,test \(socket\),'-alice@example\.test,,/);
    assert.equal(csv.length, 7);
    assert.equal((await audit('export', '--actor', 'nobody', '--format', 'json')).out, '[\n]\n');
  });
});
