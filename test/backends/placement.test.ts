import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createFailover } from '../../src/backends/failover.ts';
import { backendKey, createPlacement, hostKey } from '../../src/backends/placement.ts';
import type { StateReplica } from '../../src/backends/state-replica.ts';
import type { Backend, Serving } from '../../src/core/backend.ts';
import { silentLog } from '../../src/core/log.ts';
import type { Place, Placement } from '../../src/core/placement.ts';
import {
  backendName,
  backendOf,
  handClock,
  noteAudit,
  openState,
  recordOn,
  servingAs,
  setState,
  userName,
} from './samples.fixture.ts';

function hostOf(place: Place): string {
  return place.kind === 'closed' ? place.closure.kind : `${place.kind} ${place.host.name}`;
}

describe('the place of a session', () => {
  const clock = handClock();
  const pair = backendOf('a', 2);
  const farm = backendOf('farm', 3);
  const single = backendOf('b', 1);
  const lastPair = backendOf('z', 2);
  const backends = new Map<string, Backend>([pair, farm, single, lastPair].map((backend) => [backend.name, backend]));
  const serving = new Map<string, Serving>([
    ['a', servingAs('standby')],
    ['farm', servingAs('pool')],
    ['b', servingAs('standby')],
    ['z', servingAs('standby')],
  ]);
  let state: StateReplica;
  let placement: Placement;
  let down: Set<string>;
  let trials: number;
  let held: Map<string, number>;
  let changed: (() => void)[];
  const health = {
    isUp: (host: string) => !down.has(host),
    isWebmailUp: (host: string) => !down.has(host),
    takeTrial: () => (trials -= 1) >= 0,
    report: () => undefined,
    onChange: (listener: () => void) => {
      changed.push(listener);
      return () => {};
    },
  };

  beforeEach(async () => {
    state = await openState();
    down = new Set();
    held = new Map();
    changed = [];
    trials = 0;
    placement = createPlacement({
      backends: { backend: (name) => backends.get(name), serving: (name) => serving.get(name) },
      state,
      health,
      heldPerHost: () => held,
      clock,
    });
  });
  afterEach(() => state[Symbol.asyncDispose]());

  const sessionOn = (host: string) =>
    hostOf(placement.ofSession(recordOn('alice@example.test', host.split('/')[0] ?? '', host)));
  const signInAt = (backend: Backend, user = 'alice@example.test', stays = false) =>
    hostOf(placement.forSignIn(backend, userName(user), stays));
  const audit = noteAudit();
  const failover = () =>
    createFailover({
      backends: () =>
        [...backends.values()].flatMap((backend) => {
          const how = serving.get(backend.name);
          return how === undefined ? [] : [{ backend, serving: how }];
        }),
      state,
      health,
      placement,
      audit,
      node: 'gw1',
      clock,
      log: silentLog,
    });

  it('is the primary, as long as nothing is known against it', () => {
    assert.equal(sessionOn('a'), 'here a');
    assert.equal(signInAt(pair), 'here a');
  });

  it('is the standby once it took over, for sessions and sign-ins alike, and nothing goes back by itself', async () => {
    using takeover = failover();
    down.add('a');
    await takeover.look();
    assert.equal(sessionOn('a'), 'elsewhere a/2');
    assert.equal(sessionOn('a/2'), 'here a/2');
    assert.equal(signInAt(pair), 'here a/2');
    assert.deepEqual(audit.noted, [
      {
        event: 'failover',
        actor: 'failover on gw1',
        subject: 'a',
        facts: { from: 'a', to: 'a/2', reason: 'a is DOWN' },
      },
    ]);
    down.delete('a');
    await takeover.look();
    assert.equal(sessionOn('a/2'), 'here a/2');
  });

  it('is the standby also of a backend that is lost while another one is taken over', async () => {
    using takeover = failover();
    down.add('z');
    const first = takeover.look();
    down.add('a');
    await takeover.look();
    assert.equal(sessionOn('a'), 'elsewhere a/2');
    assert.equal(sessionOn('z'), 'elsewhere z/2');
    await first;
  });

  it('never goes to and fro: the host that was left is not taken back within five minutes', async () => {
    using takeover = failover();
    down.add('a');
    await takeover.look();
    down.delete('a');
    down.add('a/2');
    await takeover.look();
    assert.equal(sessionOn('a/2'), 'down');
    clock.advance(5 * 60_000);
    await takeover.look();
    assert.equal(sessionOn('a/2'), 'elsewhere a');
  });

  it('waits for the operator where failover is manual', async () => {
    serving.set('a', servingAs('standby', { failover: 'manual' }));
    using takeover = failover();
    down.add('a');
    await takeover.look();
    assert.equal(sessionOn('a'), 'down');
    assert.equal(signInAt(pair), 'down');
    await state.active.set('a', { host: 'a/2', from: 'a', by: 'ops', reason: 'by hand', sinceMs: clock.nowMs() });
    assert.equal(sessionOn('a'), 'elsewhere a/2');
    serving.set('a', servingAs('standby'));
  });

  it('is taken over, too, when the operator takes the primary alone into maintenance', async () => {
    using takeover = failover();
    await state.states.set(hostKey('a'), setState('MAINT'));
    await takeover.look();
    assert.equal(sessionOn('a'), 'elsewhere a/2');
  });

  it('is nowhere in maintenance, with the words, since and until when', async () => {
    await state.states.set(backendKey('b'), setState('MAINT', { untilMs: 99, texts: { de: 'Neue Platten.' } }));
    const place = placement.ofSession(recordOn('bob@example.test', 'b', 'b'));
    assert.deepEqual(place, {
      kind: 'closed',
      closure: {
        kind: 'maintenance',
        backend: backendName('b'),
        sinceMs: 1000,
        untilMs: 99,
        texts: { de: 'Neue Platten.' },
      },
    });
    assert.equal(signInAt(single), 'maintenance');
    await state.states.set(backendKey('b'), setState('READY'));
    assert.equal(sessionOn('b'), 'here b');
  });

  it('stays where it is while the backend drains, and nobody new comes', async () => {
    await state.states.set(backendKey('b'), setState('DRAIN'));
    assert.equal(sessionOn('b'), 'here b');
    assert.equal(signInAt(single), 'drain');
  });

  it('is where the user has sessions while the backend drains, and not while it is in maintenance', async () => {
    for (const backend of [pair, farm]) {
      await state.states.set(backendKey(backend.name), setState('DRAIN'));
      assert.equal(signInAt(backend), 'drain');
      assert.match(signInAt(backend, 'alice@example.test', true), /^here /);
      await state.states.set(backendKey(backend.name), setState('MAINT'));
      assert.equal(signInAt(backend, 'alice@example.test', true), 'maintenance');
    }
  });

  it('is closed while the only host is down, but for one trial', () => {
    down.add('b');
    assert.equal(sessionOn('b'), 'down');
    trials = 1;
    assert.equal(sessionOn('b'), 'here b');
    assert.equal(sessionOn('b'), 'down');
  });

  it('is among equals the same for a user each time, and another one when that is lost', async () => {
    const home = signInAt(farm);
    assert.equal(signInAt(farm), home);
    const name = home.replace('here ', '');
    down.add(name);
    const next = sessionOn(name);
    assert.match(next, /^elsewhere farm/);
    assert.notEqual(next, `elsewhere ${name}`);
    down.delete(name);
    assert.equal(sessionOn(next.replace('elsewhere ', '')), next.replace('elsewhere', 'here'));
  });

  it('is among equals not on one that drains, unless it was there before', async () => {
    for (const host of ['farm', 'farm/2']) await state.states.set(hostKey(host), setState('DRAIN'));
    assert.equal(signInAt(farm), 'here farm/3');
    assert.equal(sessionOn('farm/2'), 'here farm/2');
    await state.states.set(hostKey('farm/3'), setState('MAINT'));
    assert.match(sessionOn('farm/3'), /^elsewhere farm/);
  });

  it('is refused to a share of the users while a backend drains in part, and a greater share holds the smaller', async () => {
    const users = Array.from({ length: 1000 }, (_, i) => `user${i}@example.test`);
    const refusedAt = async (percent: number) => {
      await state.states.set(backendKey('b'), setState('DRAIN', { percent }));
      return new Set(users.filter((user) => signInAt(single, user) === 'drain'));
    };
    const [fifth, half, all] = [await refusedAt(20), await refusedAt(50), await refusedAt(100)];
    assert.ok(Math.abs(fifth.size - 200) < 40 && Math.abs(half.size - 500) < 50, `${fifth.size}, ${half.size}`);
    assert.ok([...fifth].every((user) => half.has(user)));
    assert.equal(all.size, users.length);
    assert.equal(sessionOn('b'), 'here b');
  });

  it('is among equals elsewhere for a share of the users of a host that drains in part', async () => {
    const users = Array.from({ length: 1000 }, (_, i) => `user${i}@example.test`);
    const homes = users.map((user) => signInAt(farm, user));
    await state.states.set(hostKey('farm/2'), setState('DRAIN', { percent: 20 }));
    const own = homes.filter((home) => home === 'here farm/2').length;
    const moved = users.filter((user, i) => signInAt(farm, user) !== homes[i]).length;
    assert.ok(Math.abs(moved / own - 0.2) < 0.08, `${moved} of ${own}`);
  });

  it('is among equals the one with the fewest sessions for its weight, where that is asked', () => {
    serving.set(
      'farm',
      servingAs('pool', { choice: 'least-sessions', weights: { farm: 1, 'farm/2': 4, 'farm/3': 1 } }),
    );
    held = new Map([
      ['farm', 3],
      ['farm/2', 8],
      ['farm/3', 5],
    ]);
    assert.equal(signInAt(farm), 'here farm/2');
    held.set('farm/2', 13);
    assert.equal(signInAt(farm), 'here farm');
    serving.set('farm', servingAs('pool'));
  });

  it('is on another backend for a user who was moved, and held while the move runs', async () => {
    const move = {
      from: 'a',
      to: 'b',
      reason: 'full',
      by: 'ops',
      node: 'gw1',
      startedAtMs: 5,
      phaseAtMs: clock.nowMs(),
    };
    await state.moves.set('alice@example.test', { ...move, phase: 'before' });
    assert.equal(sessionOn('a'), 'moving');
    assert.equal(signInAt(pair), 'moving');
    assert.equal(signInAt(pair, 'anna@example.test'), 'here a');
    await state.overrides.set('alice@example.test', { backend: 'b', reason: 'full', by: 'ops', sinceMs: 5 });
    await state.moves.set('alice@example.test', { ...move, phase: 'done' });
    assert.equal(sessionOn('a'), 'elsewhere b');
    assert.equal(sessionOn('b'), 'here b');
    await state.overrides.set('alice@example.test', { backend: 'gone', reason: 'full', by: 'ops', sinceMs: 5 });
    assert.equal(sessionOn('a'), 'here a');
  });

  it('is nowhere on a backend that a reload took away', () => {
    assert.equal(hostOf(placement.ofSession(recordOn('alice@example.test', 'gone', 'gone'))), 'down');
  });

  it('is decided once for all nodes: the second one follows', async () => {
    using one = failover();
    using two = failover();
    down.add('a');
    await Promise.all([one.look(), two.look()]);
    assert.equal(state.active.get('a')?.host, 'a/2');
    assert.equal(state.active.all().size, 1);
  });
});
