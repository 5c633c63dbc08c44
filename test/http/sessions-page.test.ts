import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { isRecordKey, type RecordKey } from '../../src/core/names.ts';
import type { SessionRecord } from '../../src/core/session.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { sampleRecord } from '../sessions/samples.fixture.ts';
import { startPages } from './http.fixture.ts';

function someKey(): RecordKey {
  const key = randomBytes(32).toString('base64url');
  assert.ok(isRecordKey(key));
  return key;
}

/** The page of a user with these sessions. */
async function shown(records: readonly SessionRecord[], tellsOfOpened: boolean, language = 'en'): Promise<string> {
  const listed = records.map((record) => ({ key: someKey(), record, lastUseMs: 0 }));
  const ownSessions = {
    sessionsOfUser: async () => listed,
    end: async () => {},
    endSessionsOfUser: async () => 0,
  };
  await using pages = await startPages({ ownSessions, tellsOfOpened });
  const form = await fetch(`${pages.origin}/-/login`);
  const cookie = form.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
  const token = /name="token" value="([^"]+)"/.exec(await form.text())?.[1] ?? '';
  const signedIn = await fetch(`${pages.origin}/-/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: cookie.join('; ') },
    body: new URLSearchParams({ user: 'alice', password: 'right', token }),
  });
  assert.equal(signedIn.status, 303);
  const own = signedIn.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
  const headers = { cookie: own.join('; '), 'accept-language': language };
  return (await fetch(`${pages.origin}/-/sessions`, { headers })).text();
}

const opened = sampleRecord({
  absoluteEndMs: Date.UTC(2026, 10, 22, 15, 4),
  timeZone: 'UTC',
  impersonation: {
    actor: canonicalUser('sam@example.test'),
    staffSession: someKey(),
    reason: 'a question',
    ticket: '4711',
  },
});
const atConsole = sampleRecord({ staff: { step: 'second-factor', provenAtMs: 0 } });

test('a user sees of each session what it is: a device, the console, or the own mailbox in the hands of support', async () => {
  const page = await shown([sampleRecord(), opened, atConsole], true);
  assert.match(page, /Your mailbox, opened by sam@example\.test from support until [^<]*(?:15:04|3:04)/);
  assert.match(page, /, at the support console/);
  const german = await shown([opened], true, 'de');
  assert.match(german, /Ihr Postfach, vom Support \(sam@example\.test\) geöffnet bis [^<]*15:04/);
});

test('where users are never told that staff opened their mailbox, the page does not tell it either', async () => {
  assert.doesNotMatch(await shown([sampleRecord(), opened], false), /sam@example|opened/);
});
