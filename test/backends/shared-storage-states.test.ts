import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSharedStorageStates } from '../../src/backends/shared-storage.ts';
import { createLoginNameParser } from '../../src/core/names.ts';
import type { HostState } from '../../src/core/placement.ts';
import { backendName, backendOf, recordOn, servingAs } from './samples.fixture.ts';

const pair = backendOf('a', 2);
const farm = backendOf('farm', 2);
const backends = new Map<string, typeof pair>([pair, farm].map((backend) => [backend.name, backend]));

/** Sessions of alice on these backends, the last one at 1, the others before. */
interface Known {
  readonly states?: Record<string, HostState>;
  /** A user whom one that drains takes all the same. */
  readonly taken?: string;
  readonly homes?: string[];
  /** Where she was found to live since, and when. */
  readonly found?: { readonly backend: string; readonly sinceMs: number };
  readonly forgottenAtMs?: number;
}

function sharedStorage(known: Known) {
  const found = known.found === undefined ? undefined : { from: 'a', ...known.found };
  return createSharedStorageStates({
    backends: {
      backend: (name) => backends.get(name),
      serving: (name) => servingAs(name === 'farm' ? 'pool' : 'standby'),
    },
    placement: {
      hostState: (_, host) => known.states?.[host.name] ?? 'READY',
      takesNew: (_, host, user) => (known.states?.[host.name] ?? 'READY') === 'READY' || user === known.taken,
      activeHost: ({ hosts }) => hosts[1] ?? hosts[0],
    },
    state: { homes: { get: () => found }, overrides: { get: () => undefined } },
    sessionsOfUser: async () =>
      (known.homes ?? []).map((home) => ({
        record: { ...recordOn('alice@example.test', home, home), createdAtMs: 1 },
      })),
    forgotten: { get: () => known.forgottenAtMs },
    loads: { sessions: (name) => name.length },
  });
}

const [a, ring] = [backendName('a'), backendName('farm')];
const [a1, a2] = pair.hosts.map(({ name }) => name);
const [f1, f2] = farm.hosts.map(({ name }) => name);
assert.ok(a1 !== undefined && a2 !== undefined && f1 !== undefined && f2 !== undefined);

const parsed = createLoginNameParser({})('alice@example.test');
assert.ok(parsed.kind === 'ok');
const alice = parsed.name;

describe('what a computed directory knows of backends', () => {
  it('is the state of the host that serves, not of one that stands by', () => {
    assert.equal(sharedStorage({ states: { [a1]: 'DOWN' } }).isServing(a), true);
    assert.equal(sharedStorage({ states: { [a2]: 'DOWN' } }).isServing(a), false);
  });

  it('is for a pool that any of its hosts serves', () => {
    assert.equal(sharedStorage({ states: { [f1]: 'MAINT' } }).isServing(ring), true);
    assert.equal(sharedStorage({ states: { [f1]: 'MAINT', [f2]: 'DOWN' } }).isServing(ring), false);
  });

  it('tells one that drains from one that takes new sessions', () => {
    const states = sharedStorage({ states: { [a2]: 'DRAIN' } });
    assert.deepEqual([states.isServing(a), states.takesNew(a, alice)], [true, false]);
    assert.equal(sharedStorage({}).takesNew(a, alice), true);
    assert.equal(sharedStorage({ states: { [a2]: 'DRAIN' }, taken: alice }).takesNew(a, alice), true);
  });

  const homes: readonly (readonly [name: string, known: Known, home: string | undefined])[] = [
    ['where the user signed in last', { homes: ['a', 'farm'] }, 'farm'],
    ['nowhere without a session', {}, undefined],
    ['where the user was led since', { homes: ['a'], found: { backend: 'farm', sinceMs: 2 } }, 'farm'],
    ['where a later sign-in was', { homes: ['a'], found: { backend: 'farm', sinceMs: 0 } }, 'a'],
    ['nowhere once an operator had it forgotten', { homes: ['a'], forgottenAtMs: 2 }, undefined],
    [
      'where the user is since then',
      { homes: ['a'], found: { backend: 'farm', sinceMs: 3 }, forgottenAtMs: 2 },
      'farm',
    ],
    ['nowhere where a backend is not configured any more', { homes: ['gone'] }, undefined],
  ];
  for (const [name, known, home] of homes) {
    it(`is ${name}`, async () => {
      assert.equal(await sharedStorage(known).currentHome(alice), home);
    });
  }
});
