import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostReport } from '../../src/backends/health.ts';
import { createFollowedHealth } from '../../src/backends/worker-health.ts';
import { handClock } from './samples.fixture.ts';

const up: HostReport = { webmail: { up: true, sinceMs: 1 }, imap: { up: true, sinceMs: 1 } };
const webmailDown: HostReport = { ...up, webmail: { up: false, sinceMs: 2, why: 'answered 502' } };
const imapDown: HostReport = { ...up, imap: { up: false, sinceMs: 2, why: 'no answer' } };

function follow() {
  const told: string[] = [];
  const health = createFollowedHealth({
    tell: (host, evidence) => void told.push(`${host} ${evidence}`),
    clock: handClock(),
  });
  return { health, told };
}

describe('the health that another process finds', () => {
  it('is up where nothing was heard, and then what was heard', () => {
    const { health } = follow();
    assert.equal(health.isUp('a'), true);
    health.follow(
      new Map([
        ['a', webmailDown],
        ['b', imapDown],
      ]),
    );
    assert.deepEqual([health.isUp('a'), health.isWebmailUp('a')], [false, false]);
    assert.deepEqual([health.isUp('b'), health.isWebmailUp('b')], [false, true]);
    assert.equal(health.report('a')?.webmail.why, 'answered 502');
    assert.deepEqual([health.takeTrial('a'), health.takeTrial('a')], [true, false]);
    health.follow(new Map([['a', up]]));
    assert.equal(health.isUp('a'), true);
    health.follow(new Map([['c', { ...up, webmail: { up: false, sinceMs: 2, hangs: true } }]]));
    assert.equal(health.takeTrial('c'), false);
  });

  it('tells what is bad, and a good answer only where it can change a mind', () => {
    const { health, told } = follow();
    health.follow(new Map([['a', up]]));
    health.note('a', 'good');
    health.note('a', 'failed');
    health.note('a', 'good');
    health.note('a', 'good');
    assert.deepEqual(told, ['a failed', 'a good']);
    assert.equal(health.isUp('a'), true);
  });

  it('believes a refused connection at once, until it hears more', () => {
    const { health, told } = follow();
    let changes = 0;
    health.onChange(() => {
      changes += 1;
    });
    health.follow(new Map([['a', up]]));
    health.note('a', 'refused');
    assert.deepEqual([health.isUp('a'), health.isWebmailUp('a'), changes], [false, false, 2]);
    health.note('a', 'good');
    assert.deepEqual(told, ['a refused', 'a good']);
    health.follow(new Map([['a', up]]));
    assert.equal(health.isUp('a'), true);
  });
});
