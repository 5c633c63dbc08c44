import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CachedSource, cacheDefaults, type CacheOptions } from '../../src/directory/cache.ts';
import { couldNotAsk, type SourceAnswer } from '../../src/directory/source.ts';
import { loginName } from './directory.fixture.ts';

const onA: SourceAnswer = { kind: 'found', home: 'a' };
const never = new AbortController().signal;
const alice = loginName('alice');
const bob = loginName('bob');

/** A source whose answers are given by hand, one question at a time, behind a cache with a clock of its own. */
function cacheUnderTest(options: Partial<CacheOptions> = {}) {
  const questions: { name: string; signal: AbortSignal; answer(answer: SourceAnswer): void; fail(why: Error): void }[] =
    [];
  const time = { nowMs: 1_000_000 };
  let isClosed = false;
  const cache = new CachedSource(
    {
      ask(name, signal) {
        const { promise, resolve, reject } = Promise.withResolvers<SourceAnswer>();
        questions.push({ name, signal, answer: resolve, fail: reject });
        signal.addEventListener('abort', () => reject(signal.reason));
        return promise;
      },
      async [Symbol.asyncDispose]() {
        isClosed = true;
      },
    },
    { ...cacheDefaults, ...options },
    { nowMs: () => time.nowMs },
  );
  async function ask(outcome: SourceAnswer | Error, name = alice) {
    const before = questions.length;
    const told = cache.ask(name, never);
    const question = questions.at(before);
    if (outcome instanceof Error) question?.fail(outcome);
    else question?.answer(outcome);
    return { told: await told, wasAsked: questions.length > before };
  }
  return { cache, questions, time, ask, isClosed: () => isClosed };
}

const isBob = (name: string): boolean => name.startsWith('bob');

describe('the cache of a source', () => {
  const lifetimes: readonly (readonly [name: string, answer: SourceAnswer, ttlMs: number])[] = [
    ['a home', onA, 600_000],
    ['an unknown user', { kind: 'unknown-user' }, 30_000],
    ['a refusal', { kind: 'refused', reason: 'suspended' }, 30_000],
  ];
  for (const [name, answer, ttlMs] of lifetimes) {
    test(`remembers ${name} for ${ttlMs / 1000} s`, async () => {
      const { ask, time } = cacheUnderTest();
      assert.deepEqual(await ask(answer), { told: { answer }, wasAsked: true });
      time.nowMs += ttlMs - 1;
      assert.deepEqual(await ask(onA), { told: { answer, ageMs: ttlMs - 1 }, wasAsked: false });
      time.nowMs += 1;
      assert.equal((await ask(onA)).wasAsked, true);
    });
  }

  test('remembers for 5 s that the source could not be asked, then asks again', async () => {
    const { ask, cache, questions, time } = cacheUnderTest();
    const away = couldNotAsk('away');
    await assert.rejects(ask(away), away);
    time.nowMs += 4999;
    await assert.rejects(cache.ask(alice, never), away);
    assert.equal(questions.length, 1);
    time.nowMs += 1;
    assert.deepEqual((await ask(onA)).told, { answer: onA });
  });

  test('serves the last home, with its age, for a day while the source is away', async () => {
    const { ask, cache, time } = cacheUnderTest();
    await ask(onA);
    time.nowMs += 3_600_000;
    assert.deepEqual((await ask(couldNotAsk('away'))).told, { answer: onA, ageMs: 3_600_000, stale: true });
    time.nowMs += 1000;
    assert.deepEqual(await cache.ask(alice, never), { answer: onA, ageMs: 3_601_000, stale: true });
    time.nowMs += 86_400_000 - 3_601_000;
    await assert.rejects(ask(couldNotAsk('away')), { message: 'away' });
    assert.deepEqual(cache.counts, { hits: 0, misses: 3, stale: 2 });
  });

  test('never serves an old "unknown": the user may exist by now', async () => {
    const { ask, time } = cacheUnderTest();
    await ask({ kind: 'unknown-user' });
    time.nowMs += 30_000;
    await assert.rejects(ask(couldNotAsk('away')), { message: 'away' });
  });

  test('keeps refusing a refused user while the source is away', async () => {
    const { ask, time } = cacheUnderTest();
    await ask({ kind: 'refused', reason: 'suspended' });
    time.nowMs += 30_000;
    assert.equal((await ask(couldNotAsk('away'))).told.answer.kind, 'refused');
  });

  test('asks anew on demand, remembers the answer, and never falls back to an old one', async () => {
    const { ask, cache, questions } = cacheUnderTest();
    await ask(onA);
    const anew = cache.askAnew(alice, never);
    questions[1]?.answer({ kind: 'found', home: 'b', role: 'helpdesk' });
    assert.deepEqual(await anew, { answer: { kind: 'found', home: 'b', role: 'helpdesk' } });
    assert.deepEqual(await ask(onA), {
      told: { answer: { kind: 'found', home: 'b', role: 'helpdesk' }, ageMs: 0 },
      wasAsked: false,
    });
    const failed = cache.askAnew(alice, never);
    questions[2]?.fail(couldNotAsk('away'));
    await assert.rejects(failed, { message: 'away' });
    assert.equal((await ask(onA)).told.stale, true);
    const again = cache.askAnew(alice, never);
    questions[3]?.answer(onA);
    assert.deepEqual(await again, { answer: onA }, 'nor does a remembered failure stand for the source');
  });

  test('asks once for concurrent lookups of the same name', async () => {
    const { cache, questions } = cacheUnderTest();
    const all = [cache.ask(alice, never), cache.ask(alice, never), cache.ask(bob, never)];
    assert.deepEqual(
      questions.map(({ name }) => name),
      ['alice@example.test', 'bob@example.test'],
    );
    for (const question of questions) question.answer(onA);
    assert.deepEqual(await Promise.all(all), [{ answer: onA }, { answer: onA }, { answer: onA }]);
  });

  test('aborts the question when its last caller is gone, not earlier', async () => {
    const { cache, questions } = cacheUnderTest();
    const [first, second] = [new AbortController(), new AbortController()];
    const asks = [cache.ask(alice, first.signal), cache.ask(alice, second.signal)];
    first.abort(new RangeError('first gone'));
    await assert.rejects(asks[0] ?? Promise.resolve(), { message: 'first gone' });
    assert.equal(questions[0]?.signal.aborted, false);
    second.abort(new RangeError('second gone'));
    await assert.rejects(asks[1] ?? Promise.resolve(), { message: 'second gone' });
    assert.equal(questions[0]?.signal.aborted, true);
    const next = cache.ask(alice, never);
    questions[1]?.answer(onA);
    assert.deepEqual(await next, { answer: onA });
  });

  test('does not remember a fault of its own driver', async () => {
    const { ask } = cacheUnderTest();
    await assert.rejects(ask(new TypeError('bug')), TypeError);
    assert.equal((await ask(onA)).wasAsked, true);
  });

  test('holds at most so many names, and keeps those that are used', async () => {
    const { ask, time } = cacheUnderTest({ maxEntries: 2 });
    const carol = loginName('carol');
    await ask(onA, alice);
    await ask(onA, bob);
    time.nowMs += 1;
    await ask(onA, alice);
    await ask(onA, carol);
    assert.equal((await ask(onA, alice)).wasAsked, false);
    assert.equal((await ask(onA, bob)).wasAsked, true);
  });

  test('forgets a user under every name, and answers that are on their way', async () => {
    const { ask, cache, questions } = cacheUnderTest();
    await ask({ kind: 'found', user: 'bob' }, alice);
    await ask(onA, bob);
    const carol = loginName('carol');
    await ask(onA, carol);
    cache.drop(isBob);
    assert.equal((await ask(onA, alice)).wasAsked, true);
    assert.equal((await ask(onA, carol)).wasAsked, false);
    const underWay = cache.ask(bob, never);
    cache.drop(isBob);
    questions.at(-1)?.answer(onA);
    assert.deepEqual(await underWay, { answer: onA });
    assert.equal((await ask(onA, bob)).wasAsked, true);
  });

  test('asks again when the clock was set back', async () => {
    const { ask, time } = cacheUnderTest();
    await ask(onA);
    time.nowMs -= 3_600_000;
    assert.equal((await ask(onA)).wasAsked, true);
  });

  test('closes with its source, and aborts its questions', async () => {
    const { cache, questions, isClosed } = cacheUnderTest();
    const ask = cache.ask(alice, never);
    await Promise.all([assert.rejects(ask, { name: 'AbortError' }), cache[Symbol.asyncDispose]()]);
    assert.equal(questions[0]?.signal.aborted, true);
    assert.equal(isClosed(), true);
  });
});
