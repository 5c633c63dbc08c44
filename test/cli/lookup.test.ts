import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import type { OpenDirectory } from '../../src/cli/environment.ts';
import { cell } from '../../src/cli/api-client.ts';
import { json, table } from '../../src/cli/output.ts';
import { buildDirectory } from '../../src/gateway.ts';
import { filesOf, smallest } from '../config/config.fixture.ts';
import { gatewayWith, run } from './cli.fixture.ts';

type Outcome = Exclude<Awaited<ReturnType<OpenDirectory['explain']>>['outcome'], { kind: 'found' }>;

async function lookUp(t: TestContext, outcomes: readonly Outcome[]) {
  const file = join(filesOf(t, { 'postern.yaml': smallest() }), 'postern.yaml');
  let isClosed = false;
  const left = [...outcomes];
  const buildDirectory = async (): Promise<OpenDirectory> => ({
    explain: async (asked) => {
      const outcome = left.shift() ?? { kind: 'unknown-user' };
      return { steps: [{ source: '1 ldap', asked, outcome, tookMs: 1 }], outcome };
    },
    lookup: () => Promise.reject(new Error('nobody asks this')),
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
    },
  });
  const users = outcomes.map((_, index) => `user${index}@mail.test`);
  const ended = await run(['lookup', '-c', file, ...users], { loadGateway: gatewayWith({ buildDirectory }) });
  assert.ok(isClosed, 'the directory was left open');
  return ended;
}

test('a source that cannot be asked is never a no: the command ends with 3 and says why', async (t) => {
  const { code, out } = await lookUp(t, [
    { kind: 'unknown-user' },
    { kind: 'tempfail', why: 'ldap.test refused the connection' },
  ]);
  assert.equal(code, 3);
  assert.match(
    out,
    /user1@mail\.test +- +1 ldap +user1@mail\.test +could-not-ask: ldap\.test refused the connection\n/,
  );
});

test('a user who may not sign in is a no, with the reason', async (t) => {
  const { code, out } = await lookUp(t, [{ kind: 'refused', reason: 'This account is suspended.' }]);
  assert.equal(code, 1);
  assert.match(out, /refused: This account is suspended\.\n/);
});

test('who watches long work sees how far it is, until it is done; who does not sees nothing', async (t) => {
  const file = join(filesOf(t, { 'postern.yaml': smallest() }), 'postern.yaml');
  const loadGateway = gatewayWith({ buildDirectory });
  const shown: string[] = [];
  async function* untilShown() {
    while (shown.length < 2) yield 'alice';
  }
  const watched = await run(['lookup', '-c', file, '-'], {
    loadGateway,
    lines: untilShown,
    progress: (text) => void shown.push(text),
  });
  assert.equal(watched.code, 0, watched.err);
  assert.match(shown[0] ?? '', /^[\d,]+ users, [\d,]+ a second$/);
  assert.equal(shown.at(-2), '');
  assert.match(shown.at(-1) ?? '', /^[\d,]+ users, [\d,]+ found(?:, in \d+ s)?\.\n$/);
  const unwatched = await run(['lookup', '-c', file, '-'], {
    loadGateway,
    lines: () => Readable.from(['alice', 'bob']),
  });
  assert.deepEqual([unwatched.out.split('\n').length, unwatched.err], [3, '']);
});

test('a name as long as a page is cut in the table, and a long reason is not', () => {
  const rows = table(
    ['USER', 'ANSWER'],
    [
      ['a'.repeat(400), 'b'.repeat(400)],
      ['carol', 'found'],
    ],
  ).split('\n');
  assert.equal(rows[0], `${'USER'.padEnd(60)}  ANSWER`);
  assert.equal(rows[1], `${'a'.repeat(59)}…  ${'b'.repeat(400)}`);
});

test('a list of names steers no terminal, in whatever format it is answered', async (t) => {
  const file = join(filesOf(t, { 'postern.yaml': smallest() }), 'postern.yaml');
  // oxlint-disable-next-line no-control-regex
  const steers = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
  for (const format of ['table', 'json']) {
    const { out } = await run(['lookup', '-c', file, '--format', format, '-'], {
      loadGateway: gatewayWith({ buildDirectory }),
      lines: () => Readable.from(['bob\u001b[2J\u009b2J']),
    });
    assert.match(out, /bob/);
    assert.doesNotMatch(out, steers, format);
  }
});

test('nothing that others named steers the terminal of an operator', () => {
  const hostile = 'a\u001b]0;x\u0007b\u009b2Jc\u202ed\ne';
  // oxlint-disable-next-line no-control-regex
  const steers = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/;
  const rows = table(['BROWSER', 'USER'], [[hostile, hostile]]);
  assert.doesNotMatch(rows, steers);
  assert.equal(rows.trim().split('\n').length, 2);
  assert.doesNotMatch(cell(hostile), steers);
  const text = json({ user: '\u009b2J\u007f' });
  assert.doesNotMatch(text, steers);
  assert.deepEqual(JSON.parse(text), { user: '\u009b2J\u007f' });
});
