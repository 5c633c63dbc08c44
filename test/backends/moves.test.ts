import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import {
  createMoves,
  explainMove,
  type HookFacts,
  isHolding,
  type MoveHooks,
  type Moves,
  runHook,
} from '../../src/backends/moves.ts';
import { withOverrides } from '../../src/backends/user-orders.ts';
import type { StateReplica } from '../../src/backends/state-replica.ts';
import type { Move } from '../../src/backends/state-values.ts';
import { type HomeLookup, TryAgainLater } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import { silentLog } from '../../src/core/log.ts';
import type { LoginName } from '../../src/core/names.ts';
import { backendName, handClock, noteAudit, openState, userName } from './samples.fixture.ts';

const alice = userName('alice@example.test');
const order = { user: alice, from: backendName('a'), to: backendName('b'), reason: 'disk full', by: 'ops' };

describe('a move', () => {
  const clock = handClock();
  let state: StateReplica;
  let moves: Moves;
  let hooks: MoveHooks;
  let ended: string[];
  let ran: (HookFacts & { readonly program: string; readonly phase: string | undefined })[];
  let audit: ReturnType<typeof noteAudit>;
  let hookWork: (program: string) => Promise<void>;
  const start = () =>
    createMoves({
      state,
      backendNamed: backendName,
      hooks: () => hooks,
      async runHook(program, facts) {
        ran.push({ program, ...facts, phase: state.moves.get(facts.user)?.phase });
        await hookWork(program);
      },
      mail: { end: async (whose) => (ended.push(...whose.map(({ name }) => name)), undefined) },
      audit,
      node: 'gw1',
      clock,
      log: silentLog,
      settleMs: 1,
    });
  beforeEach(async () => {
    state = await openState();
    hooks = { timeoutMs: 1000 };
    ran = [];
    ended = [];
    audit = noteAudit();
    hookWork = async () => {};
    moves = start();
  });
  afterEach(async () => {
    await moves[Symbol.asyncDispose]();
    await state[Symbol.asyncDispose]();
  });

  it('switches the user, and leaves what it did', async () => {
    const outcome = await moves.move(order);
    assert.equal(outcome.kind, 'moved');
    assert.equal(state.overrides.get(alice)?.backend, 'b');
    assert.equal(state.moves.get(alice)?.phase, 'done');
    const facts = { step: 'done', from: 'a', to: 'b', reason: 'disk full' };
    assert.deepEqual(audit.noted, [{ event: 'user-move', actor: 'ops', subject: alice, facts }]);
  });

  it('holds the user for the hook before, and not for the one after', async () => {
    hooks = { before: '/carry', after: '/tell', timeoutMs: 1000 };
    await moves.move(order);
    assert.deepEqual(ran, [
      { program: '/carry', user: alice, from: 'a', to: 'b', phase: 'before' },
      { program: '/tell', user: alice, from: 'a', to: 'b', phase: 'after' },
    ]);
  });

  it('that fails before the switch leaves the user where the mailbox is, and says so', async () => {
    hooks = { before: '/carry', timeoutMs: 1000 };
    hookWork = () => Promise.reject(new Error('no space left'));
    const outcome = await moves.move(order);
    assert.ok(outcome.kind === 'failed');
    assert.match(outcome.move.why ?? '', /no space left.*still lives on a/);
    assert.equal(state.overrides.get(alice), undefined);
    assert.equal(audit.noted[0]?.facts?.['step'], 'failed');
    assert.match(String(audit.noted[0]?.facts?.['why']), /no space left/);
    hookWork = async () => {};
    assert.equal((await moves.move(order)).kind, 'moved');
  });

  it('that fails after the switch can be repeated, from where it began', async () => {
    hooks = { after: '/tell', timeoutMs: 1000 };
    hookWork = () => Promise.reject(new Error('away'));
    assert.equal((await moves.move(order)).kind, 'failed');
    assert.equal(state.overrides.get(alice)?.backend, 'b');
    hookWork = async () => {};
    assert.equal((await moves.move({ ...order, from: backendName('b') })).kind, 'moved');
    assert.deepEqual(ran.at(-1), { program: '/tell', user: alice, from: 'a', to: 'b', phase: 'after' });
  });

  it('asked for twice is done once', async () => {
    hooks = { before: '/carry', timeoutMs: 1000 };
    const [one, two] = await Promise.all([moves.move(order), moves.move(order)]);
    assert.equal(one, two);
    assert.equal(ran.length, 1);
    assert.deepEqual(await moves.move({ ...order, from: backendName('b') }), { kind: 'already-there' });
  });

  it('is not begun while another node is at work on one, but when that node went away', async () => {
    const theirs: Move = {
      from: 'a',
      to: 'b',
      phase: 'before',
      reason: 'x',
      by: 'ops',
      node: 'gw2',
      startedAtMs: clock.nowMs(),
      phaseAtMs: clock.nowMs(),
    };
    await state.moves.set(alice, theirs);
    assert.equal((await moves.move(order)).kind, 'busy');
    assert.equal(isHolding(theirs, clock.nowMs()), true);
    clock.advance(60_001);
    assert.equal(isHolding(theirs, clock.nowMs()), false, 'a user must not wait for a node that is gone');
    assert.match(explainMove(alice, theirs, clock.nowMs()), /gw2 died in the step "before".*still lives on a/);
    assert.equal((await moves.move(order)).kind, 'moved');
  });

  it('can wait for the next sign-in, runs then, once, and can be taken back before', async () => {
    assert.equal((await moves.moveAtSignIn(order)).kind, 'waiting');
    assert.equal(state.overrides.get(alice), undefined);
    const [one, two] = await Promise.all([moves.arrived(alice), moves.arrived(alice)]);
    assert.equal(one, two);
    assert.equal(state.overrides.get(alice)?.backend, 'b');
    assert.equal(await moves.arrived(alice), undefined);
    const bob = userName('bob@example.test');
    await moves.moveAtSignIn({ ...order, user: bob });
    assert.equal((await moves.stop(bob))?.kind, 'stopped');
    assert.equal(await moves.arrived(bob), undefined);
  });

  it('of which the node is told to stop leaves a state that explains itself', async () => {
    hooks = { before: '/carry', timeoutMs: 60_000 };
    const begun = Promise.withResolvers<void>();
    hookWork = () => {
      begun.resolve();
      return new Promise((_, reject) => setTimeout(() => reject(new Error('ended')), 5));
    };
    const outcome = moves.move(order);
    await begun.promise;
    await moves[Symbol.asyncDispose]();
    const settled = await outcome;
    assert.ok(settled.kind === 'failed');
    assert.match(explainMove(alice, settled.move, clock.nowMs()), /still lives on a; run the same move again/);
  });
});

describe('a hook program', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-hook-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const program = (name: string, script: string) => {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const facts = { user: "o'brien $(id)@example.test", from: 'a', to: 'b' };

  it('gets user and backends as arguments and environment, whatever is in them', async () => {
    const told = join(folder, 'told');
    await runHook(
      program(
        'tell',
        `printf '%s|' "$@" "$POSTERN_USER" "$POSTERN_TO" "$POSTERN_FROM_LOGIN" "$POSTERN_TO_LOGIN" > ${told}`,
      ),
      { ...facts, toLogin: "o'brien" },
      AbortSignal.timeout(5000),
    );
    assert.equal(readFileSync(told, 'utf8'), `${facts.user}|a|b|${facts.user}|b|${facts.user}|o'brien|`);
  });

  it('gets nothing else in its environment but PATH', async () => {
    const told = join(folder, 'environment');
    const tell = program('tell-environment', `cat /proc/$$/environ > ${told}`);
    await runHook(tell, facts, AbortSignal.timeout(5000));
    const names = readFileSync(told, 'utf8')
      .split('\0')
      .map((entry) => entry.replace(/=.*$/, ''));
    const ours = ['FROM', 'FROM_LOGIN', 'TO', 'TO_LOGIN', 'USER'].map((name) => `POSTERN_${name}`);
    assert.deepEqual(names.filter((name) => name !== '').sort(), ['PATH', ...ours]);
  });

  it('never takes a name for an option', async () => {
    const told = join(folder, 'dashed');
    const dashed = { ...facts, user: '--config=x@example.test' };
    const tell = program('tell-dashed', `printf '%s|' "$@" "$POSTERN_USER" > ${told}`);
    await runHook(tell, dashed, AbortSignal.timeout(5000));
    assert.equal(readFileSync(told, 'utf8'), `--|${dashed.user}|a|b|${dashed.user}|`);
  });

  it('that fails is told with its last words', async () => {
    const failing = program('fail', 'echo first; echo disk full >&2; exit 3');
    await assert.rejects(runHook(failing, facts, AbortSignal.timeout(5000)), /ended with 3: disk full/);
    await assert.rejects(runHook(join(folder, 'missing'), facts, AbortSignal.timeout(5000)), /ENOENT/);
  });

  it('that takes too long is ended', async () => {
    await assert.rejects(runHook(program('hang', 'exec sleep 60'), facts, AbortSignal.timeout(50)), /took too long/);
  });
});

describe('the directory with overrides', () => {
  const answers = new Map<string, HomeLookup>([
    ['alice@example.test', { kind: 'found', backend: backendName('a'), user: alice }],
    ['alias@example.test', { kind: 'found', backend: backendName('a'), user: alice }],
    ['mallory@example.test', { kind: 'refused', reason: 'suspended' }],
  ]);
  const moved = new Map(
    ['alice@example.test', 'mallory@example.test', 'new@example.test', 'waiting@example.test'].map((user) => [
      user,
      { backend: 'b', reason: '', by: '', sinceMs: 1 },
    ]),
  );
  let isAway = false;
  const directory = withOverrides(
    {
      async lookup(asked) {
        if (asked === 'waiting@example.test') throw new TryAgainLater('1 ldap');
        if (!isAway) return answers.get(asked) ?? { kind: 'unknown-user' };
        throw new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'away', { source: 'directory', retryable: true });
      },
    },
    { overrides: moved, backendNamed: (backend) => (backend === 'b' ? backendName('b') : undefined) },
  );
  const lookUp = async (user: string) => {
    const found = await directory.lookup(user as LoginName, new AbortController().signal);
    return found.kind === 'found' ? `${found.user} on ${found.backend}` : found.kind;
  };

  it('finds a moved user where the mailbox is now, under every name', async () => {
    assert.equal(await lookUp('alice@example.test'), 'alice@example.test on b');
    assert.equal(await lookUp('alias@example.test'), 'alice@example.test on b');
  });

  it('says where, never whether: who is refused stays refused', async () => {
    const found = await directory.lookup('mallory@example.test' as LoginName, new AbortController().signal);
    const at = { user: 'mallory@example.test', backend: 'b' };
    assert.deepEqual(found, { kind: 'refused', reason: 'suspended', at });
    await assert.rejects(lookUp('waiting@example.test'), {
      message: '1 ldap says "try again later"',
      at: { user: 'waiting@example.test', backend: 'b' },
    });
  });

  it('knows users whom no source knows, and answers while none can be asked', async () => {
    assert.equal(await lookUp('new@example.test'), 'new@example.test on b');
    assert.equal(await lookUp('nobody@example.test'), 'unknown-user');
    isAway = true;
    assert.equal(await lookUp('alice@example.test'), 'alice@example.test on b');
    await assert.rejects(lookUp('nobody@example.test'), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
    isAway = false;
  });

  it('does not follow an override to a backend that is not configured', async () => {
    moved.set('alice@example.test', { backend: 'gone', reason: '', by: '', sinceMs: 1 });
    assert.equal(await lookUp('alice@example.test'), 'alice@example.test on a');
  });
});
