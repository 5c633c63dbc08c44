import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type RingSite, startRingSite } from '../gateway/ring-site.fixture.ts';
import { run } from './cli.fixture.ts';

describe('postern reload', () => {
  let site: RingSite;
  before(async () => {
    site = await startRingSite();
    await eventually(async () => (await site.api('GET', '/nodes')).body.nodes.length === 2);
  });
  after(() => site[Symbol.asyncDispose]());

  const fileOf = (node: string) => join(site.directory, `${node}.yaml`);
  const postern = (node: string, ...args: readonly string[]) => run([...args, '-c', fileOf(node)]);
  async function rewrite(node: string, search: string | RegExp, text: string): Promise<void> {
    const before = await readFile(fileOf(node), 'utf8');
    assert.notEqual(before.replace(search, text), before);
    await writeFile(fileOf(node), before.replace(search, text));
  }

  it('says what changed on this node, and nothing of the value', async () => {
    const same = await postern('first', 'reload');
    assert.deepEqual([same.code, same.err], [0, '']);
    assert.match(same.out, /^\S+ \d+ [0-9a-f]{4}: nothing has changed\n$/);
    await rewrite('first', 'refusal_after: 0s', 'refusal_after: 7ms');
    const changed = await postern('first', 'reload');
    assert.match(changed.out, /^\S+ \d+ [0-9a-f]{4}: changed: login\.refusal_after\n$/);
    await rewrite('first', 'refusal_after: 7ms', 'refusal_after: 0s');
    await postern('first', 'reload');
  });

  it('names each problem with its place, and leaves the old configuration in force', async () => {
    await rewrite('first', 'log: { level: silent }', 'log: { level: loud }');
    const refused = await postern('first', 'reload');
    assert.equal(refused.code, 2);
    assert.match(refused.out, /: the old configuration stays in force\n {2}\S+first\.yaml:\d+:\d+ log\.level: /);
    await rewrite('first', 'log: { level: loud }', 'log: { level: silent }');
    await rewrite('first', 'socket: first.sock', 'socket: other.sock');
    const fixed = await run(['reload', '-c', fileOf('second')]);
    assert.equal(fixed.code, 0);
    await rewrite('first', 'socket: other.sock', 'socket: first.sock');
  });

  it('reaches all nodes, waits for them, and says it of each', async () => {
    for (const node of ['first', 'second']) await rewrite(node, 'refusal_after: 0s', 'refusal_after: 5ms');
    const all = await postern('second', 'reload', '--all', '--reason', 'a test');
    assert.equal(all.code, 0, all.err);
    assert.match(all.out, /^(?:\S+ \d+ [0-9a-f]{4}: changed: login\.refusal_after\n){2}$/);
    const { body } = await site.api('GET', '/audit?event=reload');
    assert.deepEqual(body.lines[0].facts, { reason: 'a test', nodes: 2, active: 2 });
    await rewrite('first', 'log: { level: silent }', 'log: { level: loud }');
    const one = await postern('second', 'reload', '--all', '--format', 'json');
    assert.equal(one.code, 2);
    const nodes: { active: boolean; problems: readonly string[] }[] = JSON.parse(one.out).nodes;
    assert.equal(nodes.filter(({ active }) => active).length, 1);
    assert.match(nodes.flatMap(({ problems }) => problems).join(), /^\S+first\.yaml:\d+:\d+ log\.level/);
  });
});
