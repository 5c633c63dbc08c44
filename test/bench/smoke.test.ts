import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runSuite } from '../../bench/suite.ts';

/*
 * Checks that the benchmark still runs with all its peers: a failed request ends it. Its figures, measured for a second
 * on a busy machine, are not compared.
 */
describe('the benchmark', () => {
  it('gets answers through every peer, echoes through every WebSocket, and signs in', async () => {
    const sections = await runSuite({
      effort: { warmUps: 0, rounds: 1, fewerRounds: 1, seconds: 1 },
      only: ['1k', 'web-sockets', 'sign-ins'],
      say: () => {},
    });
    const [requests, echoes, signIns] = sections.map(({ table }) => table.rows.map(([name]) => name));
    assert.deepEqual(requests, [
      'Postern',
      'undici relay',
      'Node relay',
      'HAProxy',
      'nginx + service',
      'nginx + cached service',
      'Caddy + service',
      'Express stack',
      'direct',
    ]);
    assert.deepEqual(echoes, ['Postern', 'Node relay', 'HAProxy', 'nginx + service']);
    assert.deepEqual(signIns, ['Postern', 'bare imapflow logins']);
    for (const { measured, what } of sections.flatMap(({ targets }) => targets)) {
      assert.ok(Number.isFinite(measured) && measured > 0, what);
    }
  });
});
