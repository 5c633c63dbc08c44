import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { attempt, createBench, type Script } from './login.fixture.ts';

const never = new AbortController().signal;

suite('the password of a member of staff', () => {
  test('is checked as at any sign-in, and enters no webmail', async () => {
    const bench = createBench();
    assert.deepEqual(await bench.staffLogin(attempt(), never), {
      kind: 'authenticated',
      user: 'alice@example.test',
      backend: 'a',
      host: 'a',
    });
    assert.deepEqual(bench.asked, ['store', 'directory alice@example.test', 'imap a alice@example.test 192.0.2.7 R1']);
    assert.deepEqual(bench.settled, ['right']);
    assert.deepEqual(
      bench.events.map(({ result, user }) => ({ result, user })),
      [{ result: 'authenticated', user: 'alice@example.test' }],
    );
  });

  for (const [what, script] of [
    ['a wrong password', { passdb: async () => ({ kind: 'wrong' }) }],
    ['an unknown user', { directory: async () => ({ kind: 'unknown-user' }) }],
  ] satisfies [string, Script][]) {
    test(`${what} is penalised, and refused at the moment of all refusals`, async () => {
      const bench = createBench(script);
      assert.deepEqual(await bench.staffLogin(attempt(), never), { kind: 'rejected' });
      assert.deepEqual(bench.settled, ['wrong']);
      assert.equal(bench.nowMs, 1_003_000);
    });
  }

  test('a penalty is waited out before it is tried', async () => {
    const bench = createBench({ penalty: 'busy' });
    assert.deepEqual(await bench.staffLogin(attempt(), never), { kind: 'busy' });
    assert.deepEqual(bench.tried, []);
  });
});
