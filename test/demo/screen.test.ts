import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScreen } from '../../demo/screen.ts';

const erase = '\r\u001B[K';

function written(isTTY: boolean) {
  const texts: string[] = [];
  const output = { isTTY, write: (text: string) => texts.push(text), on: () => undefined };
  return { texts, screen: createScreen(output, (text) => texts.push(`log ${text}`)) };
}

test('on a terminal the last line is replaced, and stays the last under whatever is said or logged', () => {
  const { texts, screen } = written(true);
  screen.setStatus("Sam's code: 111111");
  screen.setStatus("Sam's code: 111111");
  screen.setStatus("Sam's code: 222222");
  screen.say('Machine a is gone.\n');
  screen.log.warn('failover', { backend: 'a', from: 'a', to: 'a/2', because: 'DOWN' });
  assert.deepEqual(texts, [
    `${erase}Sam's code: 111111`,
    `${erase}Sam's code: 222222`,
    `${erase}Machine a is gone.\nSam's code: 222222`,
    `${erase}warning: standby took over { backend: 'a', from: 'a', to: 'a/2', because: 'DOWN' }\nSam's code: 222222`,
  ]);
});

test('in a file each new last line is a line, and the log goes elsewhere', () => {
  const { texts, screen } = written(false);
  screen.setStatus("Sam's code: 111111");
  screen.setStatus("Sam's code: 111111");
  screen.setStatus("Sam's code: 222222");
  screen.log.info('ready');
  screen.log.error('certificate-expired', { names: 'a' });
  assert.deepEqual(texts, [
    "Sam's code: 111111\n",
    "Sam's code: 222222\n",
    "log error: certificate expired: put a new one in its file { names: 'a' }\n",
  ]);
});
