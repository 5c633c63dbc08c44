import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import { type AskLeader, badAnswer, couldNotAsk } from '../../src/directory/source.ts';
import { createDirectoryQuestions, replyTo } from '../../src/gateway/worker-messages.ts';
import { loginName } from '../directory/directory.fixture.ts';

const alice = loginName('alice');

/** A worker that asks through what JSON makes of messages, as between processes. */
function askingOver(leader: AskLeader): AskLeader {
  const questions = createDirectoryQuestions((question) => {
    void replyTo(JSON.parse(JSON.stringify(question)), leader).then((reply) =>
      questions.heard(JSON.parse(JSON.stringify(reply))),
    );
    return true;
  });
  return questions.ask;
}

describe('what a worker asks the first process', () => {
  test('is answered to who asked it, in any order', async () => {
    const pending = new Map<string, () => void>();
    const ask = askingOver(
      (source, name) =>
        new Promise((resolve) => pending.set(source, () => resolve({ kind: 'found', home: source, user: name }))),
    );
    const answers = ['one', 'two'].map((source) => ask(source, alice, new AbortController().signal));
    pending.get('two')?.();
    pending.get('one')?.();
    assert.deepEqual(await Promise.all(answers), [
      { kind: 'found', home: 'one', user: alice },
      { kind: 'found', home: 'two', user: alice },
    ]);
  });

  for (const failure of [couldNotAsk('the master is away'), badAnswer('the master said nonsense')]) {
    test(`fails as it failed there: ${failure.code}`, async () => {
      const ask = askingOver(() => Promise.reject(failure));
      const { code, message, retryable, source } = failure;
      await assert.rejects(ask('one', alice, new AbortController().signal), (error) => {
        assert.ok(error instanceof PosternError);
        const { code: itsCode, message: itsMessage, retryable: isRetryable, source: itsSource } = error;
        assert.deepEqual([itsCode, itsMessage, isRetryable, itsSource], [code, message, retryable, source]);
        return true;
      });
    });
  }

  test('could not be asked when that process is gone', async () => {
    const { ask } = createDirectoryQuestions(() => false);
    await assert.rejects(ask('one', alice, new AbortController().signal), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
  });

  test('is given up by who asked, and an answer that comes too late is nobody’s', async () => {
    const questions = createDirectoryQuestions(() => true);
    const gone = new AbortController();
    const asking = questions.ask('one', alice, gone.signal);
    gone.abort(new Error('gone'));
    await assert.rejects(asking, /gone/);
    questions.heard({ id: 1, answer: { kind: 'unknown-user' } });
  });
});
