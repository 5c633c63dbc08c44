import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import { serveUntilSignal } from '../../src/cli/serve.ts';
import { PosternError } from '../../src/core/error.ts';
import { gatewayWith, run } from './cli.fixture.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A gateway that notes what it is told, and closes when the test says so. */
function scene(started = Promise.resolve()) {
  const events: string[] = [];
  const signals = new EventEmitter();
  const closing = Promise.withResolvers<void>();
  const gateway = {
    reload: async () => {
      events.push('reload');
      return true;
    },
    close: () => {
      events.push('close');
      return closing.promise;
    },
  };
  const exit = (code: number) => void events.push(`exit ${code}`);
  const served = serveUntilSignal(
    started.then(() => gateway),
    { signals, exit },
  );
  return { events, signals, closing, served };
}

describe('a gateway that serves', () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`is closed by ${signal}, and the command ends when that is done`, async () => {
      const { events, signals, closing, served } = scene();
      signals.emit(signal);
      await turn();
      assert.deepEqual(events, ['close']);
      closing.resolve();
      await served;
      assert.deepEqual(signals.eventNames(), []);
    });
  }

  test('ends at once on a second signal', async () => {
    const { events, signals, closing, served } = scene();
    signals.emit('SIGTERM');
    await turn();
    signals.emit('SIGTERM');
    assert.deepEqual(events, ['close', 'exit 0']);
    closing.resolve();
    await served;
  });

  test('is closed when it has started by a signal that came before, and ends at once on a second one', async () => {
    const starting = Promise.withResolvers<void>();
    const { events, signals, closing, served } = scene(starting.promise);
    signals.emit('SIGTERM');
    await turn();
    assert.deepEqual(events, []);
    signals.emit('SIGTERM');
    assert.deepEqual(events, ['exit 0']);
    starting.resolve();
    closing.resolve();
    await served;
    assert.deepEqual(events, ['exit 0', 'close']);
  });

  test('reads its configuration again on SIGHUP, and serves on', async () => {
    const { events, signals, closing, served } = scene();
    signals.emit('SIGHUP');
    signals.emit('SIGHUP');
    await turn();
    assert.deepEqual(events, ['reload', 'reload']);
    signals.emit('SIGTERM');
    closing.resolve();
    await served;
  });
});

describe('a gateway that cannot start', () => {
  const failures: readonly (readonly [error: Error, code: number, says: RegExp])[] = [
    [
      new PosternError('ERR_KEYS_UNUSABLE', 'state/keys lacks a key', { source: 'config', retryable: false }),
      2,
      /^state\/keys lacks a key \(ERR_KEYS_UNUSABLE\)\n$/,
    ],
    [
      new PosternError('ERR_STORE_UNAVAILABLE', 'Redis is away', { source: 'store', retryable: true }),
      3,
      /^Redis is away \(ERR_STORE_UNAVAILABLE\)\n$/,
    ],
    [
      Object.assign(new Error('listen EADDRINUSE'), { syscall: 'listen', code: 'EADDRINUSE' }),
      3,
      /^listen EADDRINUSE\n$/,
    ],
    [new TypeError('oops'), 70, /^This is a bug in Postern: TypeError: oops\n/],
  ];
  for (const [error, code, says] of failures) {
    test(`${error.name} ${error.message}: ends with ${code}`, async () => {
      const ended = await run(['serve', '-c', 'x.yaml'], {
        loadGateway: gatewayWith({ startGateway: () => Promise.reject(error) }),
      });
      assert.equal(ended.code, code);
      assert.match(ended.err, says);
    });
  }
});
