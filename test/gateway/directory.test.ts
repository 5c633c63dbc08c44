import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { postern } from '../cli/cli.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

describe('the directory of a running gateway', () => {
  const homes = new Map([['alice@example.test', 'a']]);
  const asked: string[] = [];
  const service = createServer((request, response) => {
    const user = decodeURIComponent(request.url?.slice(1) ?? '');
    asked.push(user);
    const backend = homes.get(user);
    response.writeHead(backend === undefined ? 404 : 200).end(JSON.stringify({ backend }));
  });
  let running: RunningGateway;
  before(async () => {
    const port = await listening(service);
    running = await startRunning((yaml) =>
      yaml
        .replace('- { type: map, file: users.map }', `- { type: http, url: "http://127.0.0.1:${port}/%u" }`)
        .replace('operators: { listen: 127.0.0.1:0 }', 'operators: { listen: 127.0.0.1:0, socket: state/api.sock }'),
    );
  });
  after(async () => {
    await running[Symbol.asyncDispose]();
    service.close();
    service.closeAllConnections();
  });

  const explain = async (...args: string[]) => {
    const { code, out, err } = await postern(['explain', '-c', running.configFile, '--format', 'json', ...args]);
    assert.deepEqual([code, err], [0, '']);
    return JSON.parse(out);
  };

  it('is what explain asks: a remembered answer has its age, a host its state', async () => {
    await running.signIn('alice', 'wonderland');
    const { steps, backend, hosts, user } = await explain('alice');
    assert.deepEqual([user, backend, steps[0].home, asked.length], ['alice@example.test', 'a', 'a', 1]);
    assert.ok(steps[0].ageMs >= 0);
    assert.deepEqual([hosts[0].name, hosts[0].state, hosts[0].serves], ['a', 'READY', true]);
    const text = await postern(['explain', '-c', running.configFile, 'alice']);
    assert.match(text.out, /\n1 http +alice@example\.test +found: a +\d+ ms +remembered for \d+ \w+\n/);
    // Beside the gateway nothing is remembered.
    assert.equal((await explain('--fresh', 'alice')).steps[0].ageMs, undefined);
  });

  it('counts hits and misses of the cache', async () => {
    const text = await (await fetch(`http://127.0.0.1:${running.gateway.ports.operators}/metrics`)).text();
    assert.match(text, /^postern_directory_lookups_total\{source="1 http",result="miss"\} 1$/m);
    assert.match(text, /^postern_directory_lookups_total\{source="1 http",result="hit"\} (?:[2-9]|\d{2,})$/m);
  });

  it('asks anew for a user whom the command drops, and soon', async () => {
    homes.set('alice@example.test', 'b');
    assert.equal((await explain('alice')).backend, 'a');
    const dropped = await postern(['directory', 'drop', '-c', running.configFile, 'Alice']);
    assert.deepEqual([dropped.code, dropped.out], [0, 'All nodes will look up alice@example.test again.\n']);
    const deadline = Date.now() + 10_000;
    while ((await explain('alice')).backend !== 'b') assert.ok(Date.now() < deadline, 'it is still remembered');
    const audited = await postern(['audit', 'list', '--subject', 'alice@example.test', '-c', running.configFile]);
    assert.match(audited.out, /Z +home-forgotten +[\w.@-]+ \(command\) +alice@example\.test +-\n$/);
    assert.equal((await postern(['audit', 'verify', '-c', running.configFile])).code, 0);
  });
});
