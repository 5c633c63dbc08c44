import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { RecordKey, UserKey } from '../../src/core/names.ts';
import type { LiveSession, SessionRecord } from '../../src/core/session.ts';
import { backendName, canonicalUser } from './named.fixture.ts';

/** A session of alice's that hangs on no store. */
export function liveSession(changes: Partial<SessionRecord> = {}, jar = new CookieJar(() => false)): LiveSession {
  return {
    key: recordKey('record'),
    record: {
      user: canonicalUser('alice@example.test'),
      backend: backendName('a'),
      host: 'a',
      createdAtMs: 1_000,
      absoluteEndMs: 2_000,
      clientAddress: '192.0.2.7',
      userAgent: 'Browser/1',
      publicOrigin: 'https://mail.example.org',
      userKey: userKey('index'),
      sealed: '',
      ...changes,
    },
    jar,
    password: undefined,
    touch() {},
    count() {},
    attach: () => () => {},
    saveJar() {},
    async end() {},
  };
}

function userKey(text: string): UserKey {
  if (!isUserKey(text)) throw new TypeError('a key is never empty');
  return text;
}

function isUserKey(text: string): text is UserKey {
  return text !== '';
}

function recordKey(text: string): RecordKey {
  if (!isRecordKey(text)) throw new TypeError('a key is never empty');
  return text;
}

function isRecordKey(text: string): text is RecordKey {
  return text !== '';
}
