import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type Clock, isRecent } from '../core/clock.ts';
import type { Client } from '../core/identity.ts';
import type { Log } from '../core/log.ts';
import {
  type BackendName,
  type CanonicalUser,
  canonicalUser,
  type RecordKey,
  sessionFacts,
  type UserKey,
} from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { EndReason, SessionRecord, SessionStore, StaffProof } from '../core/session.ts';

interface StaffSessionsDeps {
  readonly store: Pick<SessionStore, 'create' | 'rewrite' | 'read' | 'noteUse'>;
  /** Ends a session on all nodes, and retries until the store has taken it. */
  readonly end: (key: RecordKey, reason: EndReason, requestId?: string) => Promise<void>;
  readonly keys: () => StaffKeys & { readonly promoted: { userKeyOf(user: CanonicalUser): UserKey } };
  /** The current timeouts; undefined if there is no console. */
  readonly times: () => { readonly idleTimeoutMs: number; readonly absoluteTimeoutMs: number } | undefined;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
  readonly log: Log;
}

/** The console session of a member of staff. */
export interface StaffSession extends StaffProof {
  readonly key: RecordKey;
  readonly user: CanonicalUser;
  readonly record: SessionRecord;
}

/** The sign-in of a member of staff whose password was right. */
interface StaffSignIn {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  readonly host: string;
  readonly client: Client;
  readonly publicOrigin: string;
}

/** The use of a link that an operator made. */
interface LinkSignIn extends Omit<StaffSignIn, 'user' | 'host'> {
  /** Who made it, such as `root (socket)`. */
  readonly by: string;
}

/** A session with its cookie. */
interface IssuedStaffSession {
  readonly cookie: string;
  readonly session: StaffSession;
}

/**
 * The sessions of the console. They are kept in the store of all sessions, so that a kick reaches them, under names of
 * their own and without credentials. Each request reads them from the store. A webmail cookie opens no staff session,
 * and a staff cookie no webmail session. Each call rejects if the store cannot be asked.
 */
export interface StaffSessions {
  /** Opens a session after the password; it may only show the second factor. */
  open(arrival: StaffSignIn): Promise<IssuedStaffSession>;
  /** Opens a session of an operator for a link that was good; it has no mailbox, and ends an hour later at the latest. */
  openByLink(arrival: LinkSignIn): Promise<IssuedStaffSession>;
  /** The live session of a browser; undefined if there is none. `secure`: whether the request came over HTTPS. */
  find(cookieField: string | undefined, secure: boolean): Promise<StaffSession | undefined>;
  /** Replaces a session after its second factor: it gets a new id, and the old one is invalid. */
  stepUp(session: StaffSession, requestId?: string): Promise<IssuedStaffSession>;
  /** Notes a fresh code for the same session; undefined if it has ended. */
  proveAnew(session: StaffSession): Promise<StaffSession | undefined>;
  /** The name of a cookie's session, whether it lives or not; undefined for a forged cookie. It asks no store. */
  named(cookieField: string | undefined, secure: boolean): RecordKey | undefined;
  end(session: Pick<StaffSession, 'key'>, reason: EndReason, requestId?: string): Promise<void>;
  /** Whether this session lives and has shown its second factor. */
  isSignedIn(session: RecordKey): Promise<boolean>;
  /** Notes use of a session by something else than a request of the console. */
  keepAlive(session: RecordKey): void;
}

/** The shortest interval between two writes of a session's use. */
const noteEveryMs = 10_000;
/** The longest session that a link opens. */
const linkSessionMs = 60 * 60_000;

/** Creates the console sessions of staff. */
export function createStaffSessions(deps: StaffSessionsDeps): StaffSessions {
  return new StoredStaffSessions(deps);
}

class StoredStaffSessions implements StaffSessions {
  readonly #deps: StaffSessionsDeps;
  readonly #noted = new Map<RecordKey, number>();

  constructor(deps: StaffSessionsDeps) {
    this.#deps = deps;
  }

  async open(arrival: StaffSignIn): Promise<IssuedStaffSession> {
    const lifetimeMs = this.#deps.times()?.absoluteTimeoutMs ?? 0;
    return this.#issue(this.#recordOf(arrival, lifetimeMs), { step: 'password', provenAtMs: 0 });
  }

  async openByLink({ by, ...arrival }: LinkSignIn): Promise<IssuedStaffSession> {
    // Lists of sessions show a name; no user has one with such an end, and the proof alone decides.
    const user = canonicalUser(by.replace(/\s/g, ''));
    const lifetimeMs = Math.min(this.#deps.times()?.absoluteTimeoutMs ?? 0, linkSessionMs);
    const proof: StaffProof = { step: 'second-factor', provenAtMs: this.#deps.clock.nowMs(), linkBy: by };
    const record = this.#recordOf({ ...arrival, user, host: '' }, lifetimeMs);
    return this.#issue(record, proof, arrival.client.trace?.requestId);
  }

  #recordOf({ user, backend, host, client, publicOrigin }: StaffSignIn, lifetimeMs: number): SessionRecord {
    const nowMs = this.#deps.clock.nowMs();
    return {
      user,
      backend,
      host,
      createdAtMs: nowMs,
      absoluteEndMs: nowMs + lifetimeMs,
      clientAddress: client.address,
      userAgent: client.userAgent ?? '',
      publicOrigin,
      userKey: this.#deps.keys().promoted.userKeyOf(user),
      sealed: '',
    };
  }

  named(cookieField: string | undefined, secure: boolean): RecordKey | undefined {
    return readStaffCookie(this.#deps.keys(), cookieField, secure);
  }

  async find(cookieField: string | undefined, secure: boolean): Promise<StaffSession | undefined> {
    const key = readStaffCookie(this.#deps.keys(), cookieField, secure);
    const session = key && (await this.#read(key));
    if (session !== undefined) await this.#noteUse(session.key);
    return session;
  }

  async stepUp({ key, record }: StaffSession, requestId?: string): Promise<IssuedStaffSession> {
    await this.#deps.end(key, 'replaced', requestId);
    return this.#issue(record, { step: 'second-factor', provenAtMs: this.#deps.clock.nowMs() }, requestId);
  }

  async proveAnew({ key, record, user }: StaffSession): Promise<StaffSession | undefined> {
    const proof: StaffProof = { step: 'second-factor', provenAtMs: this.#deps.clock.nowMs() };
    const fresh = signed(key, this.#deps.keys().promoted, { ...record, staff: proof });
    if ((await this.#deps.store.rewrite(key, fresh)) === 'gone') return undefined;
    return { key, user, record: fresh, ...proof };
  }

  end({ key }: Pick<StaffSession, 'key'>, reason: EndReason, requestId?: string): Promise<void> {
    return this.#deps.end(key, reason, requestId);
  }

  async isSignedIn(key: RecordKey): Promise<boolean> {
    return (await this.#read(key))?.step === 'second-factor';
  }

  keepAlive(key: RecordKey): void {
    this.#noteUse(key).catch((error: unknown) => this.#deps.log.debug('staff-session-use-not-stored', { err: error }));
  }

  /** Whether the gateway wrote this record under this name: others may be able to write to the store. */
  #isGenuine(key: RecordKey, record: SessionRecord): boolean {
    const [id = '', mac = ''] = record.sealed.split('.');
    const serverKey = this.#deps.keys().find(id);
    if (serverKey === undefined) return false;
    const [left, right] = [Buffer.from(mac), Buffer.from(recordMac(serverKey, key, record))];
    return left.length === right.length && timingSafeEqual(left, right);
  }

  async #read(key: RecordKey): Promise<StaffSession | undefined> {
    const found = await this.#deps.store.read(key);
    const limits = this.#deps.times();
    if (found.kind !== 'found' || limits === undefined) return undefined;
    const { record, lastUseMs } = found.session;
    const { staff: proof, user } = record;
    if (proof === undefined || !this.#isGenuine(key, record)) return undefined;
    const session = { key, user, record, ...proof };
    const usedAtMs = Math.max(lastUseMs, record.createdAtMs, this.#noted.get(key) ?? 0);
    const nowMs = this.#deps.clock.nowMs();
    const isOld = nowMs >= record.absoluteEndMs || nowMs >= record.createdAtMs + limits.absoluteTimeoutMs;
    if (!isOld && nowMs - usedAtMs < limits.idleTimeoutMs) return session;
    await this.#deps.end(key, isOld ? 'absolute' : 'idle');
    return undefined;
  }

  async #noteUse(key: RecordKey): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    if (isRecent(this.#noted.get(key) ?? 0, noteEveryMs, nowMs)) return;
    for (const [old, atMs] of this.#noted) if (!isRecent(atMs, noteEveryMs, nowMs)) this.#noted.delete(old);
    this.#noted.set(key, nowMs);
    await this.#deps.store.noteUse([{ key, atMs: nowMs }]);
  }

  async #issue(record: SessionRecord, proof: StaffProof, requestId?: string): Promise<IssuedStaffSession> {
    const ring = this.#deps.keys();
    const { value, key } = makeStaffCookie(ring, this.#deps.randomBytes);
    const fresh = signed(key, ring.promoted, { ...record, staff: proof });
    if ((await this.#deps.store.create(key, fresh, record.absoluteEndMs - this.#deps.clock.nowMs())) === 'refused') {
      throw new TypeError('a fresh random id names no record');
    }
    const facts = sessionFacts(key, fresh);
    if (facts !== undefined) this.#deps.log.info('session-start', { ...defined({ requestId }), ...facts });
    return { cookie: value, session: { key, user: record.user, record: fresh, ...proof } };
  }
}

function signed(key: RecordKey, serverKey: StaffKey, record: SessionRecord): SessionRecord {
  return { ...record, sealed: `${serverKey.id}.${recordMac(serverKey, key, record)}` };
}

function recordMac(serverKey: StaffKey, key: RecordKey, record: SessionRecord): string {
  const { user, createdAtMs, absoluteEndMs, publicOrigin, staff } = record;
  const parts = [key, user, createdAtMs, absoluteEndMs, publicOrigin, staff?.step, staff?.provenAtMs];
  return createHmac('sha256', serverKey.subkey('staff session'))
    .update(JSON.stringify(staff?.linkBy === undefined ? parts : [...parts, staff.linkBy]))
    .digest('base64url');
}

/** The part of a server key that staff sessions use. */
interface StaffKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
  recordKeyOf(id: string): RecordKey;
}

/** The current server keys: the promoted key signs, and all verify. */
interface StaffKeys {
  readonly promoted: StaffKey;
  find(id: string): StaffKey | undefined;
}

const secureStaffCookie = '__Host-postern-staff';
const plainStaffCookie = 'postern-staff';

/** The name of a staff session's cookie. With its prefix browsers accept it from this host only. */
function staffCookieName(secure: boolean): string {
  return secure ? secureStaffCookie : plainStaffCookie;
}

/** A Set-Cookie line; without a value it removes the cookie. No page of another site can make a browser send it. */
export function staffCookieLine(value: string | undefined, secure: boolean): string {
  const expires = value === undefined ? '; Expires=Thu, 01 Jan 1970 00:00:00 GMT' : '';
  return `${staffCookieName(secure)}=${value ?? ''}; Path=/; HttpOnly${secure ? '; Secure' : ''}; SameSite=Strict${expires}`;
}

/** A fresh cookie value, and the name of its record. */
function makeStaffCookie(
  { promoted }: StaffKeys,
  randomBytes: (size: number) => Buffer,
): { readonly value: string; readonly key: RecordKey } {
  const id = randomBytes(32).toString('base64url');
  return { value: `${promoted.id}.${id}.${signatureOf(promoted, id)}`, key: recordKeyOf(promoted, id) };
}

/** The name of the record of a Cookie field; undefined for none, a forged one, or two. */
function readStaffCookie(keys: StaffKeys, field: string | undefined, secure: boolean): RecordKey | undefined {
  const prefix = `${staffCookieName(secure)}=`;
  const values = (field ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(prefix));
  const [only = ''] = values;
  const [, keyId = '', id = '', signature = ''] =
    /^([0-9a-f]{8})\.([\w-]{43})\.([\w-]{43})$/.exec(only.slice(prefix.length)) ?? [];
  const key = keys.find(keyId);
  if (values.length !== 1 || key === undefined) return undefined;
  const isGenuine = timingSafeEqual(Buffer.from(signature), Buffer.from(signatureOf(key, id)));
  return isGenuine ? recordKeyOf(key, id) : undefined;
}

/** The name of a staff session's record. No id of a webmail session contains a space, so the names never collide. */
function recordKeyOf(key: StaffKey, id: string): RecordKey {
  return key.recordKeyOf(`staff ${id}`);
}

function signatureOf(key: StaffKey, id: string): string {
  return createHmac('sha256', key.subkey('staff cookie')).update(id).digest('base64url');
}
