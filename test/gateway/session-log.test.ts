import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import request from 'supertest';
import { alice, sam } from '../../demo/people.ts';
import { openApi } from '../../src/cli/api-client.ts';
import { run } from '../cli/cli.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import type { StaffBrowser } from '../http/console.fixture.ts';
import { type StaffSite, startStaffSite } from './staff-site.fixture.ts';

suite('the log of a running gateway about sessions of each kind', { concurrency: false }, () => {
  let site: StaffSite;
  let console: StaffBrowser;
  before(async () => {
    site = await startStaffSite();
    console = await site.signIn();
  });
  after(() => site[Symbol.asyncDispose]());

  /** The lines about the beginning or the end of sessions of a kind. */
  function lines(event: 'session-start' | 'session-end', kind: string): readonly Record<string, unknown>[] {
    return site.gateway.logged
      .filter((line) => line.event === event && line.fields['kind'] === kind)
      .map(({ fields }) => fields);
  }

  /** The latest end of a session of a kind, as far as it says who ended it. */
  async function lastEnd(kind: string, count: number): Promise<readonly unknown[]> {
    await eventually(() => lines('session-end', kind).length === count);
    const { user, actor, reason, by } = lines('session-end', kind).at(-1) ?? {};
    return [user, actor, reason, by];
  }

  /** The audit's lines of an event, the newest first. */
  async function audited(event: string) {
    const ask = await openApi(site.gateway.configFile, { env: process.env });
    const { body } = await ask('GET', `/audit?event=${event}&limit=20`);
    const { lines: found }: { lines?: readonly Record<string, unknown>[] } = body;
    return (found ?? []).map(({ actor, subject, facts }) => ({ actor, subject, facts }));
  }

  /** Opens alice's mailbox as sam. */
  async function openMailbox(): Promise<void> {
    await console.get('/-/users?user=alice');
    // A code is good once: the session is as fresh as a new one.
    const form = { user: alice.address, do: 'open', reason: 'cannot find a letter', ticket: 'T-1', minutes: '15' };
    const ready = await console.post('/-/users', { ...form, code: site.code() });
    const [, target = ''] = /href="http:\/\/assist[^/]+(\/[^"]+)"/.exec(ready.text) ?? [];
    assert.notEqual(target, '', ready.text);
    const { host } = new URL(site.hosts.assist);
    const headers = {
      Host: host,
      'Sec-Fetch-Site': 'none',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
    };
    await request(site.gateway.origin).get(target.replaceAll('&amp;', '&')).set(headers);
  }

  test('the console: sam’s session begins after both factors only, as one of the kind console', async () => {
    const [enrolment, ...others] = lines('session-start', 'console');
    assert.equal(enrolment?.['user'], sam.address);
    assert.deepEqual(
      others.map(({ user, client, actor }) => ({ user, client, actor })),
      [{ user: sam.address, client: '127.0.0.1', actor: undefined }],
    );
    assert.deepEqual(
      await lastEnd('console', 1),
      [sam.address, undefined, 'signed-out', undefined],
      'of the enrolment',
    );
    for (const [event, count] of [
      ['staff-sign-in', 2],
      ['staff-sign-out', 1],
    ] as const) {
      const actors = (await audited(event)).map(({ actor }) => actor);
      assert.deepEqual(
        actors,
        Array.from({ length: count }, () => sam.address),
        event,
      );
    }
  });

  test('an opened mailbox: begins with whose it is and who opened it, and ends with who closed it where', async () => {
    await openMailbox();
    await eventually(() => lines('session-start', 'opened').length === 1);
    const [opened] = lines('session-start', 'opened');
    assert.deepEqual([opened?.['user'], opened?.['actor'], opened?.['backend']], [alice.address, sam.address, 'a']);
    const page = await console.get('/-/opened');
    const stop = /name="stop" value="([\w-]{43})"/.exec(page.text)?.[1] ?? '';
    await console.post('/-/opened', { stop });
    const end = [alice.address, sam.address, 'signed-out', 'sam@example.test (console)'];
    assert.deepEqual(await lastEnd('opened', 1), end);
    for (const event of ['impersonation-start', 'impersonation-opened', 'impersonation-stop']) {
      const found = (await audited(event)).map(({ actor, subject }) => [actor, subject]);
      assert.deepEqual(found, [[sam.address, alice.address]], event);
    }
  });

  test('a user’s session that is ended at the console: names who did it there, in the log and in the audit', async () => {
    await site.gateway.signIn('alice', alice.password);
    const list = await console.get('/-/sessions?kind=user');
    const end = /name="end" value="([\w-]{43})"/.exec(list.text)?.[1] ?? '';
    await console.post('/-/sessions', { end, reason: 'a lost laptop' });
    assert.deepEqual(await lastEnd('user', 1), [alice.address, undefined, 'kicked', 'sam@example.test (console)']);
    const facts = { ended: 1, reason: 'a lost laptop' };
    assert.deepEqual(await audited('session-end'), [{ actor: sam.address, subject: alice.address, facts }]);
  });

  test('a session at the console that is ended by command: names who did it over the socket', async () => {
    await run(['session', 'end', '--kind', 'console', '--reason', 'a shared desk', '-c', site.gateway.configFile]);
    const [user, , reason, by] = await lastEnd('console', 2);
    assert.deepEqual([user, reason], [sam.address, 'kicked']);
    assert.match(String(by), /^\S+ \(socket\)$/);
    assert.equal((await console.get('/-/users')).headers['location'], '/-/login');
    const [line] = await audited('session-end');
    assert.deepEqual(
      [line?.actor, line?.subject, line?.facts],
      [by, sam.address, { kind: 'console', ended: 1, reason: 'a shared desk' }],
    );
  });
});
