import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostState } from '../../src/backends/placement.ts';
import { createRingStates } from '../../src/backends/ring-states.ts';
import { createLoginNameParser } from '../../src/core/login-name.ts';
import { backendName, backendOf, handClock, recordOn, servingAs } from './samples.ts';

const pair = backendOf('a', 2);
const farm = backendOf('farm', 2);
const backends = new Map<string, typeof pair>([pair, farm].map((backend) => [backend.name, backend]));

function ringStates(known: { states?: Record<string, HostState>; held?: Record<string, number>; homes?: string[] }) {
  const clock = handClock();
  const held = known.held ?? {};
  const states = createRingStates({
    backends: {
      backend: (name) => backends.get(name),
      serving: (name) => servingAs(name === 'farm' ? 'pool' : 'standby'),
    },
    placement: {
      hostState: (_, host) => known.states?.[host.name] ?? 'READY',
      activeHost: ({ hosts }) => hosts[1] ?? hosts[0],
    },
    sessions: {
      heldPerHost: () => new Map(Object.entries(held)),
      sessionsOfUser: async () =>
        (known.homes ?? []).map((home) => ({ record: recordOn('alice@example.test', home, home) })),
    },
    clock,
  });
  return { states, clock, held };
}

const [a, ring] = [backendName('a'), backendName('farm')];
const [a1, a2] = pair.hosts.map(({ name }) => name);
const [f1, f2] = farm.hosts.map(({ name }) => name);
assert.ok(a1 !== undefined && a2 !== undefined && f1 !== undefined && f2 !== undefined);

describe('what a computed directory knows of backends', () => {
  it('is the state of the host that serves, not of one that stands by', () => {
    assert.equal(ringStates({ states: { [a1]: 'DOWN' } }).states.isInRing(a), true);
    assert.equal(ringStates({ states: { [a2]: 'DOWN' } }).states.isInRing(a), false);
  });

  it('is for a pool that any of its hosts serves', () => {
    assert.equal(ringStates({ states: { [f1]: 'MAINT' } }).states.isInRing(ring), true);
    assert.equal(ringStates({ states: { [f1]: 'MAINT', [f2]: 'DOWN' } }).states.isInRing(ring), false);
  });

  it('tells one that drains from one that takes new sessions', () => {
    const { states } = ringStates({ states: { [a2]: 'DRAIN' } });
    assert.deepEqual([states.isInRing(a), states.takesNew(a)], [true, false]);
    assert.equal(ringStates({}).states.takesNew(a), true);
  });

  it('counts the sessions of all hosts of a backend, anew after a second', () => {
    const { states, clock, held } = ringStates({ held: { [f1]: 3, [f2]: 4 } });
    assert.equal(states.sessions(ring), 7);
    held[f1] = 10;
    assert.equal(states.sessions(ring), 7);
    clock.advance(1000);
    assert.equal(states.sessions(ring), 14);
    assert.equal(states.sessions(backendName('gone')), 0);
  });

  it('is where the user signed in last', async () => {
    const parsed = createLoginNameParser({})('alice@example.test');
    assert.ok(parsed.kind === 'ok');
    assert.equal(await ringStates({ homes: ['a', 'farm'] }).states.currentHome(parsed.name), 'farm');
    assert.equal(await ringStates({}).states.currentHome(parsed.name), undefined);
  });
});
