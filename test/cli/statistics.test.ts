import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { run } from './cli.fixture.ts';

const today = new Date().toISOString().slice(0, 10);

describe('postern stats', () => {
  let site: StandbySite;
  let routes: number;
  const postern = (...args: readonly string[]) => run(['stats', ...args, '-c', site.configFile]);

  before(async () => {
    routes = await freePort();
    site = await startStandbySite('', `directory_service: { listen: "127.0.0.1:${routes}", allow: [127.0.0.1] }`);
    await site.signIn('alice');
    await site.signIn('Alice@Example.Test');
    await site.signIn('bob');
    await site.signIn('nobody-here');
    const found = await fetch(`http://127.0.0.1:${routes}/lookup?user=bob`);
    assert.equal(found.status, 200);
  });
  after(() => site[Symbol.asyncDispose]());

  it('counts sign-ins by day and by hour', async () => {
    const { code, out } = await postern('logins', '--by', 'day');
    assert.equal(code, 0);
    assert.match(out, /^DAY \(UTC\) +SIGNED IN +REFUSED +FAILED +PROGRAMS/);
    assert.match(out, new RegExp(`^${today} +3 +1 +0 +0 +0 +0$`, 'm'));
    const { out: hours } = await postern('logins', '--by', 'hour', '--format', 'csv', '--since', today);
    assert.match(hours, new RegExp(`^hour,signed_in,refused.*\r\n${today} \\d\\d:00,3,1,0,0,0,0\r\n$`));
  });

  it('counts them by backend, domain, webmail, result and client', async () => {
    for (const [by, rows] of [
      ['backend', ['a +2 +0', 'b +1 +0', '\\(none\\) +0 +1']],
      ['domain', ['example\\.test +3 +0', '\\(unknown user\\) +0 +1']],
      ['webmail', ['form +3 +0', '\\(none\\) +0 +1']],
      ['result', ['signed-in +3 +0', 'rejected +0 +1']],
      ['client', ['\\(none\\) +3 +1']],
    ] as const) {
      const { out } = await postern('logins', '--by', by);
      for (const row of rows) assert.match(out, new RegExp(`^${row} `, 'm'), `${by}: ${out}`);
    }
  });

  it('estimates how many users there were, and says how well', async () => {
    const { out } = await postern('users');
    assert.match(out, new RegExp(`^${today} +2 +2 +0$`, 'm'));
    assert.match(out, new RegExp(`^${today.slice(0, 7)} +2 +2 +0$`, 'm'));
    assert.match(out, /two of three are off by at most 0\.81 %/);
  });

  it('lists last sign-ins, and those before a time', async () => {
    const { code, out, err } = await postern('last');
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^${today} \\d\\d:\\d\\d +- +- +alice@example\\.test$`, 'm'));
    assert.match(out, new RegExp(`^${today} \\d\\d:\\d\\d +- +${today} \\d\\d:\\d\\d  bob@example\\.test$`, 'm'));
    assert.match(err, /^2 users; sign-ins are known since \d{4}-/);
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    const future = await postern('last', '--before', tomorrow, '--format', 'csv');
    assert.match(future.out, /^user,web,program,mail\r\n(?:\S+\r\n){2}$/);
    assert.match(future.err, new RegExp(`^${tomorrow} is in the future: the list has users who are active$`, 'm'));
    assert.deepEqual(JSON.parse((await postern('last', '--before', today, '--format', 'json')).out), []);
    for (const wrong of ['long ago', '2026-02-30', '2026-13-01', '1h', '1', '', '2026-11-01T25:00']) {
      const refused = await postern('last', '--before', wrong);
      assert.deepEqual([refused.code, refused.out], [2, ''], wrong);
      assert.match(
        refused.err,
        /^before "[^"]*" is not a time: write one such as 2030-01-31 or 2030-01-31T06:00:00Z$/m,
      );
    }
  });

  it('shows one user, and says no of one who has never signed in', async () => {
    assert.match((await postern('last', '--user', 'ALICE')).out, / alice@example\.test\n$/);
    const anna = await postern('last', '--user', 'anna');
    assert.deepEqual([anna.code, anna.out], [1, '']);
    assert.match(anna.err, /^anna: has never signed in, as far as is known\n$/);
  });

  it('finds who of a list has never signed in, and tells lines that are nobody', async () => {
    const file = join(dirname(site.configFile), 'users.txt');
    writeFileSync(file, 'Bob\n# a comment\n\nanna\nnobody@example.test\nbob@@x\nbob\x1b[2J\n');
    const { code, out, err } = await postern('last', '--never', file, '--format', 'csv');
    assert.deepEqual([code, out], [0, 'user,web,program,mail\r\nanna@example.test,,,\r\n']);
    assert.match(err, /^line 5: nobody@example\.test: no such user in the directory$/m);
    assert.match(err, /^line 6: bob@@x: cannot be a user name$/m);
    assert.match(err, /^line 7: bob\ufffd\[2J: cannot be a user name$/m, 'it must not steer the terminal');
    writeFileSync(file, '\uFEFFANNA\r\n\r\n  Alice@EXAMPLE.Test \r\n');
    assert.deepEqual((await postern('last', '--never', file, '--format', 'csv')).out, out, 'as Windows writes it');
    const given = { lines: () => Readable.from(['anna', 'alice']) };
    const piped = await run(['stats', 'last', '--never', '-', '-c', site.configFile], given);
    assert.match(piped.out, /^- +- +- +anna@example\.test$/m);
    assert.doesNotMatch(piped.out, /alice/);
    assert.equal((await postern('last', '--never', '/nowhere')).code, 2);
  });

  it('erases a user, and says what else holds data of one', async () => {
    const erased = await postern('erase', 'bob', '--reason', 'asked to be forgotten');
    assert.match(erased.out, /^Last sign-ins of bob@example\.test: erased\./);
    assert.match(erased.out, /^- audit: /m);
    assert.doesNotMatch((await postern('last')).out, /bob@/);
    assert.match((await postern('erase', 'bob', '--reason', 'again')).out, /there were none/);
    const { out } = await run(['audit', 'list', '--event', 'statistics-erased', '-c', site.configFile]);
    assert.match(out, /statistics-erased .* bob@example\.test .*erased: true; reason: asked to be forgotten/);
  });

  it('gives hours and weekdays over the API', async () => {
    const { status, body } = await site.api('GET', '/statistics/week?zone=Europe/Berlin');
    assert.equal(status, 200);
    assert.equal(body.counts.length, 7);
    assert.deepEqual([...new Set(body.counts.map((hours: number[]) => hours.length))], [24]);
    assert.equal(
      body.counts.flat().reduce((sum: number, count: number) => sum + count, 0),
      3,
    );
    assert.equal((await site.api('GET', '/statistics/week?zone=Mars')).status, 400);
  });
});
