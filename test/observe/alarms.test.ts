import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import { withAlarms } from '../../src/observe/log.ts';

const away = new PosternError('ERR_STORE_UNAVAILABLE', 'the store is away', { source: 'store', retryable: true });
const errors: readonly (readonly [what: string, fields: object, code: string])[] = [
  ['its code', { code: 'ERR_KEY_UNKNOWN' }, 'ERR_KEY_UNKNOWN'],
  ['the code of its failure', { err: away }, 'ERR_STORE_UNAVAILABLE'],
  ['a defect where it has neither', { err: new TypeError('odd') }, 'defect'],
];

for (const [what, fields, code] of errors) {
  test(`an error is logged, and counted under ${what}`, () => {
    const counted: string[] = [];
    const logged: unknown[] = [];
    const note = (...line: unknown[]): void => void logged.push(line);
    const log = withAlarms({ debug: note, info: note, warn: note, error: note }, (each) => counted.push(each));
    log.error('api-failed', fields);
    assert.deepEqual(counted, [code]);
    assert.deepEqual(logged, [['api-failed', fields]]);
  });
}

test('lines that are no errors are logged, and not counted', () => {
  const logged: string[] = [];
  const note = (event: string): void => void logged.push(event);
  const log = withAlarms({ debug: note, info: note, warn: note, error: note }, () => assert.fail('no alarm'));
  log.debug('penalty-stored');
  log.info('ready');
  log.warn('state-store-down', { err: away });
  assert.deepEqual(logged, ['penalty-stored', 'ready', 'state-store-down']);
});
