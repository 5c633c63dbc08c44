import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { StaffGrant } from '../../src/core/identity.ts';
import { createLoginNameParser } from '../../src/core/names.ts';
import type { MasterEntry } from '../../src/core/webmail.ts';
import { createPermission } from '../../src/support/permission.ts';
import { directoryOf, staffChecksForTests, livesOn, user } from './staff.fixture.ts';

const support: StaffGrant = { roles: ['support'] };
const entries: Readonly<Record<string, MasterEntry>> = {
  a: { kind: 'own-account' },
  old: { kind: 'other-account', why: 'settings are not theirs' },
  d: { kind: 'impossible', why: 'Horde knows no master' },
};
const staffChecks = staffChecksForTests({ 'sam@example.test': support, 'olga@example.test': { roles: ['operator'] } });
const permission = createPermission({
  parseName: createLoginNameParser({ defaultDomain: 'example.test' }),
  directory: directoryOf({
    'alice@example.test': livesOn('alice@example.test', 'a'),
    'al@example.test': livesOn('alice@example.test', 'a'),
    'bob@other.test': livesOn('bob@other.test', 'a'),
    'bobby@example.test': livesOn('bob@other.test', 'a'),
    'carl@example.test': livesOn('carl@example.test', 'old'),
    'dave@example.test': livesOn('dave@example.test', 'd'),
    'eve@example.test': { kind: 'refused', reason: 'suspended for spam' },
    'head@example.test': livesOn('head@example.test', 'a'),
    'olga@example.test': livesOn('olga@example.test', 'a'),
    'sam@example.test': livesOn('sam@example.test', 'a'),
    'lost@example.test': livesOn('lost@example.test', 'nowhere'),
  }),
  staffChecks,
  neverOpened: new Set(['head@example.test']),
  masterEntryOf: (name) => entries[name],
});
const ask = (typed: string, grant: StaffGrant = support) =>
  permission({ ...grant, user: user('sam@example.test') }, typed, new AbortController().signal);

suite('a mailbox may be opened', () => {
  test('of a user of any domain, where the role has no limit', async () => {
    assert.deepEqual(await ask('alice@example.test'), { kind: 'allowed', subject: 'alice@example.test', backend: 'a' });
    assert.deepEqual(await ask('bob@other.test'), { kind: 'allowed', subject: 'bob@other.test', backend: 'a' });
  });

  test('under whatever name: what counts is the canonical user', async () => {
    const answer = await ask(' AL ');
    assert.equal(answer.kind === 'allowed' && answer.subject, 'alice@example.test');
  });

  test('as the second best, and staff are told what that means', async () => {
    const answer = await ask('carl@example.test');
    assert.equal(answer.kind === 'allowed' && answer.note, 'settings are not theirs');
  });
});

suite('a mailbox is not opened', () => {
  for (const [why, typed, grant] of [
    ['not-support', 'alice@example.test', { roles: ['operator', 'auditor'] }],
    ['not-support', 'alice@example.test', { roles: [] }],
    ['domain', 'bob@other.test', { roles: ['support'], domains: ['example.test'] }],
    // An alias in a domain that the role covers opens no mailbox of another domain.
    ['domain', 'bobby@example.test', { roles: ['support'], domains: ['example.test'] }],
    ['domain', 'nobody@other.test', { roles: ['support'], domains: ['example.test'] }],
    ['oneself', 'sam@example.test', support],
    ['staff', 'olga@example.test', support],
    ['never-opened', 'head@example.test', support],
    ['unknown-user', 'nobody@example.test', support],
    ['unknown-user', 'alice@example.test\r\nX: y', support],
    ['unknown-user', 'lost@example.test', support],
  ] satisfies [string, string, StaffGrant][]) {
    test(`${why}: ${JSON.stringify(typed)} by ${JSON.stringify(grant)}`, async () => {
      assert.deepEqual(await ask(typed, grant), { kind: 'refused', why });
    });
  }

  test('of a user whom the directory refuses, and its reason is told', async () => {
    assert.deepEqual(await ask('eve@example.test'), {
      kind: 'refused',
      why: 'suspended',
      detail: 'suspended for spam',
    });
  });

  test('where the webmail cannot be entered, and the driver says what is in the way', async () => {
    const answer = await ask('dave@example.test');
    assert.deepEqual(answer, { kind: 'refused', why: 'no-entry', detail: 'Horde knows no master' });
  });

  test('while nobody can say whether the user is staff', async () => {
    staffChecks.away = true;
    await assert.rejects(ask('alice@example.test'), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
    staffChecks.away = false;
  });
});
