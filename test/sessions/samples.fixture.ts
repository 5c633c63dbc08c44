import type { Clock } from '../../src/core/clock.ts';
import type { BackendName, CanonicalUser, RecordKey } from '../../src/core/names.ts';
import type { SessionRecord, SessionStore } from '../../src/core/session.ts';
import { createServerKey, type ServerKey } from '../../src/sessions/key-derivation.ts';

/** A clock that stands still until it is told to go on. */
export interface HandClock extends Clock {
  advance(ms: number): void;
}

/** Creates a clock that starts at the real time, since Redis counts its own. */
export function handClock(): HandClock {
  let nowMs = Date.now();
  return {
    nowMs: () => nowMs,
    advance(ms) {
      nowMs += ms;
    },
  };
}

function isUser(text: string): text is CanonicalUser {
  return text.includes('@');
}

function isBackend(text: string): text is BackendName {
  return text !== '';
}

export function userNamed(text: string): CanonicalUser {
  if (!isUser(text)) throw new TypeError('a user has a domain');
  return text;
}

export function backendNamed(text: string): BackendName {
  if (!isBackend(text)) throw new TypeError('a backend has a name');
  return text;
}

export const alice = userNamed('alice@example.test');
export const bob = userNamed('bob@example.test');

/** The same key in each test. */
export const sampleKey: ServerKey = createServerKey('00000001', Buffer.alloc(32, 1));

/** A name of a record that no other test uses. */
export function recordKeyOf(id: string): RecordKey {
  return sampleKey.recordKeyOf(id);
}

export function sampleRecord(differing: Partial<SessionRecord> = {}): SessionRecord {
  const createdAtMs = differing.createdAtMs ?? Date.now();
  const user = differing.user ?? alice;
  return {
    user,
    backend: backendNamed('a'),
    host: 'a',
    createdAtMs,
    absoluteEndMs: createdAtMs + 12 * 3_600_000,
    clientAddress: '192.0.2.1',
    userAgent: 'Sample/1.0',
    publicOrigin: 'https://mail.example.test',
    userKey: sampleKey.userKeyOf(user),
    sealed: '',
    ...differing,
  };
}

/** Milliseconds that something due within a second may take on a machine that has other things to do. */
export const aSecondMs = 2_500;

/** A store that does what `store` does, but for the functions in `changes`. */
export function storeWith(store: SessionStore, changes: Partial<SessionStore>): SessionStore {
  return {
    create: (...args) => store.create(...args),
    rewrite: (...args) => store.rewrite(...args),
    reroute: (...args) => store.reroute(...args),
    read: (...args) => store.read(...args),
    destroy: (...args) => store.destroy(...args),
    writeJar: (...args) => store.writeJar(...args),
    noteUse: (...args) => store.noteUse(...args),
    ofUser: (...args) => store.ofUser(...args),
    all: (after) => store.all(after),
    registerKeys: (...args) => store.registerKeys(...args),
    retireKey: (...args) => store.retireKey(...args),
    watch: (...args) => store.watch(...args),
    ping: () => store.ping(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    ...changes,
  };
}
