import type { KeyObject } from 'node:crypto';
import { CookieJar } from '../core/cookie-jar.ts';
import type { RecordKey } from '../core/names.ts';
import { Secret } from '../core/secrets.ts';
import type {
  Attachment,
  EndReason,
  LiveSession,
  SessionRecord,
  SessionRoute,
  SessionUse,
  StoredJar,
  StoredSession,
} from '../core/session.ts';
import type { SessionCookie } from './cookie.ts';
import type { SealPurpose } from './key-derivation.ts';
import {
  areTimesSealed,
  isSameOwner,
  openSealed,
  parseSavedJar,
  seal,
  sealedFor,
  sealPassword,
} from './record-format.ts';

/** The bookkeeping of the session cache, as a session sees it. */
export interface SessionKeeper {
  readonly nowMs: () => number;
  /** Sessions whose last use the store has not been told. */
  readonly used: Set<CachedSession>;
  /** Sessions with attachments. */
  readonly attached: Set<CachedSession>;
  /** An equal text that other sessions keep, too. */
  share(text: string): string;
  /** Which cookies of a backend stay in the gateway although they are not HttpOnly. */
  ownsCookie(backend: SessionRecord['backend']): (name: string) => boolean;
  jarChanged(session: CachedSession): void;
  /** Until when a session goes on that 0.1.0 opened, and for whose times nobody vouches; 0 for not at all. */
  unsignedUntilMs(): number;
  end(key: RecordKey, reason: EndReason, requestId: string | undefined): Promise<void>;
}

/** V8 copies a part of this length; a longer part would keep the whole text in memory. */
const markChars = 12;

interface OpenedParts {
  readonly password: Secret | undefined;
  readonly jar: CookieJar;
}

/** A session in the memory of a node, and how far the node may trust it. Other parts see a LiveSession. */
export class CachedSession implements LiveSession {
  readonly key: RecordKey;
  /** `renew` replaces record, jar and password by what the store holds. */
  record: SessionRecord;
  jar: CookieJar;
  password: Secret | undefined;
  readonly #cookie: SessionCookie;
  readonly #keeper: SessionKeeper;
  /** Made for the first attachment: an empty set is not small. */
  #attachments: Set<Attachment> | undefined;
  #jarVersion: number;
  #jarMark: string | undefined;
  #ended: EndReason | undefined;

  /** Last use in milliseconds, as far as this node knows. */
  lastUseMs: number;
  /** The last use that the store was told. */
  writtenUseMs: number;
  #requests = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  /** When a change may first have been missed; 0 while the store pushes every change. */
  doubtSinceMs = 0;
  /** Whether the store pushed a change that has not been read yet. */
  changed = false;
  /** Whether the jar holds something that the store has not taken yet. */
  jarUnsaved = false;
  /** Whether the cache still has it. */
  cached = true;
  /** The Cookie field that last led to the session, and its other cookies, which the backend gets. */
  field: string | undefined;
  rest = '';

  private constructor(keeper: SessionKeeper, cookie: SessionCookie, stored: StoredSession, opened: OpenedParts) {
    this.#cookie = cookie;
    this.#keeper = keeper;
    this.key = cookie.key;
    this.record = withSharedTexts(stored.record, keeper);
    this.jar = opened.jar;
    this.password = opened.password;
    this.#jarVersion = stored.jar?.version ?? 0;
    this.#jarMark = markOf(stored.jar);
    this.lastUseMs = Math.max(stored.lastUseMs, stored.record.createdAtMs);
    this.writtenUseMs = stored.lastUseMs;
  }

  /** Opens what the store holds with what the cookie carries; undefined if they do not belong together. */
  static open(keeper: SessionKeeper, cookie: SessionCookie, stored: StoredSession): CachedSession | undefined {
    const opened = openStored(keeper, cookie, stored);
    return opened === undefined ? undefined : new CachedSession(keeper, cookie, stored, opened);
  }

  get attachments(): number {
    return this.#attachments?.size ?? 0;
  }

  touch(): void {
    this.lastUseMs = this.#keeper.nowMs();
    this.#keeper.used.add(this);
  }

  count(bytesIn: number, bytesOut: number): void {
    this.#requests += 1;
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
  }

  /** The use that the store has not been told; it counts as told from now on. */
  takeUse(): SessionUse {
    const use = { requests: this.#requests, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut };
    this.#requests = 0;
    this.#bytesIn = 0;
    this.#bytesOut = 0;
    return use;
  }

  /** Takes back a use that the store did not take. */
  giveBackUse(use: SessionUse): void {
    this.#requests += use.requests;
    this.#bytesIn += use.bytesIn;
    this.#bytesOut += use.bytesOut;
  }

  attach(attachment: Attachment): () => void {
    if (this.#ended !== undefined) {
      attachment.end(this.#ended);
      return () => {};
    }
    const attachments = (this.#attachments ??= new Set());
    attachments.add(attachment);
    this.#keeper.attached.add(this);
    return () => {
      if (!attachments.delete(attachment) || attachments.size > 0 || attachments !== this.#attachments) return;
      this.#attachments = undefined;
      this.#keeper.attached.delete(this);
    };
  }

  saveJar(): void {
    if (this.#ended !== undefined) return;
    this.jarUnsaved = true;
    this.#keeper.jarChanged(this);
  }

  end(reason: EndReason, requestId?: string): Promise<void> {
    return this.#keeper.end(this.key, reason, requestId);
  }

  /** Ends the attachments at once, and refuses new ones. */
  close(reason: EndReason): void {
    this.#ended = reason;
    this.endAttachments(reason);
  }

  /** Ends the attachments; the session itself may go on. */
  endAttachments(reason: EndReason): void {
    const attachments = this.#attachments;
    if (attachments === undefined) return;
    this.#attachments = undefined;
    this.#keeper.attached.delete(this);
    for (const attachment of attachments) attachment.end(reason);
  }

  /** Takes what the store holds now. False if it cannot be opened any more: then it is another session's. */
  renew(stored: StoredSession): boolean {
    const before = this.record;
    const { record, jar } = stored;
    // 0.1.0 keeps the proof when it writes a record. Who took it away wants the session to last longer.
    if (before.sealedTimes !== undefined && record.sealedTimes === undefined) return false;
    const newerJar = jar !== undefined && jar.version >= this.#jarVersion && markOf(jar) !== this.#jarMark;
    const ownerIn = (one: SessionRecord) => sealedFor(this.key, one, 'credentials');
    const sameOwner = isSameOwner(ownerIn(before), ownerIn(record));
    const elsewhere = record.backend !== before.backend || record.host !== before.host;
    if (newerJar || !sameOwner || record.sealed !== before.sealed || record.sealedTimes !== before.sealedTimes) {
      const opened = openStored(this.#keeper, this.#cookie, stored);
      if (opened === undefined) return false;
      // Our own unsaved changes win, and are written over the newer jar in a moment; but not on another host.
      this.password = opened.password;
      if (newerJar && (elsewhere || !this.jarUnsaved)) this.jar = opened.jar;
    }
    if (elsewhere) this.jarUnsaved = false;
    if (newerJar) {
      this.#jarVersion = jar.version;
      this.#jarMark = markOf(jar);
    }
    this.record = withSharedTexts(record, this.#keeper);
    this.lastUseMs = Math.max(this.lastUseMs, stored.lastUseMs);
    this.writtenUseMs = Math.max(this.writtenUseMs, stored.lastUseMs);
    return true;
  }

  /**
   * The session on another host, with the cookies that `fresh` got there: the store must take it before `renew` makes it
   * true here. Cookie names that the browser was given stay known; late answers of the old host no longer count.
   */
  rerouted(to: SessionRoute, fresh: CookieJar): StoredSession & { readonly jar: StoredJar } {
    const moved = { ...this.record, ...to };
    const { password } = this;
    const record = {
      ...moved,
      sealed: sealPassword(sealKeyOf(this.#cookie, 'credentials'), password, sealedFor(this.key, moved, 'credentials')),
    };
    const saved = fresh.save();
    const browserNames = new Map([...this.jar.browserCookies, ...fresh.browserCookies]);
    const text = JSON.stringify({ ...saved, g: this.jar.generation + 1, b: [...browserNames] });
    const sealed = seal(sealKeyOf(this.#cookie, 'jar'), text, sealedFor(this.key, moved, 'jar'));
    return { record, lastUseMs: this.lastUseMs, jar: { version: this.#jarVersion + 1, sealed } };
  }

  /** The jar as the store is to hold it, with the next version. */
  sealJar(): StoredJar {
    this.#jarVersion += 1;
    const text = JSON.stringify(this.jar.save());
    const sealed = seal(sealKeyOf(this.#cookie, 'jar'), text, sealedFor(this.key, this.record, 'jar'));
    const jar = { version: this.#jarVersion, sealed };
    this.#jarMark = markOf(jar);
    return jar;
  }
}

/** Derived at each use, which is rare: the two keys would be a quarter of the memory of a session. */
function sealKeyOf({ serverKey, secret }: SessionCookie, purpose: SealPurpose): KeyObject {
  return serverKey.sealKeyOf(secret, purpose);
}

/** A few characters of a jar's tag: enough to recognise a write of one's own. */
function markOf(jar: StoredJar | undefined): string | undefined {
  return jar?.sealed.slice(-markChars);
}

/** The record, with one copy of the texts that many sessions have in common, and no end that nobody vouches for. */
function withSharedTexts(record: SessionRecord, keeper: SessionKeeper): SessionRecord {
  const { userAgent, publicOrigin, timeZone, absoluteEndMs, sealedTimes, impersonation } = record;
  // The seal of an opened mailbox has always covered its end.
  const isEndProven = sealedTimes !== undefined || impersonation !== undefined;
  return {
    ...record,
    absoluteEndMs: isEndProven ? absoluteEndMs : Math.min(absoluteEndMs, keeper.unsignedUntilMs()),
    userAgent: keeper.share(userAgent),
    publicOrigin: keeper.share(publicOrigin),
    ...(timeZone === undefined ? {} : { timeZone: keeper.share(timeZone) }),
  };
}

function areTimesGenuine(keeper: SessionKeeper, cookie: SessionCookie, record: SessionRecord): boolean {
  if (record.sealedTimes === undefined) return keeper.nowMs() < keeper.unsignedUntilMs();
  const owner = sealedFor(cookie.key, record, 'credentials');
  return areTimesSealed(sealKeyOf(cookie, 'credentials'), record.sealedTimes, owner);
}

function openStored(
  keeper: SessionKeeper,
  cookie: SessionCookie,
  { record, jar }: StoredSession,
): OpenedParts | undefined {
  const { key } = cookie;
  const password = openSealed(sealKeyOf(cookie, 'credentials'), record.sealed, sealedFor(key, record, 'credentials'));
  if (password === undefined || !areTimesGenuine(keeper, cookie, record)) return undefined;
  const cookies =
    jar === undefined ? undefined : openSealed(sealKeyOf(cookie, 'jar'), jar.sealed, sealedFor(key, record, 'jar'));
  // A jar that was sealed for another backend was written late, after the session had moved: then no cookies are known,
  // and the webmail is signed in to again.
  const saved = cookies === undefined ? undefined : parseSavedJar(cookies);
  return {
    password: password === '' ? undefined : new Secret(password),
    jar: new CookieJar(keeper.ownsCookie(record.backend), saved),
  };
}

/** A longer field is parsed each time: a client that sends a huge one must not fill the memory. */
const rememberedFieldChars = 2_048;
const evictionCandidates = 64;

/**
 * The sessions in the memory of a node, least recently used first, and a short cut to each: the whole Cookie field that
 * last led to it. Only sessions of genuine cookies enter the map, and a dropped session leaves no entry behind.
 */
export class CachedSessions {
  readonly #limit: number;
  readonly #byKey = new Map<RecordKey, CachedSession>();
  readonly #byField = new Map<string, CachedSession>();
  readonly byKey: ReadonlyMap<RecordKey, CachedSession> = this.#byKey;
  readonly byField: ReadonlyMap<string, CachedSession> = this.#byField;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Makes the session the most recently used. */
  refresh(session: CachedSession): void {
    this.#byKey.delete(session.key);
    this.#byKey.set(session.key, session);
  }

  put(session: CachedSession): void {
    this.#byKey.set(session.key, session);
    if (this.#byKey.size > this.#limit) this.#makeRoom();
  }

  /** Remembers the field that led to the session, as its short cut; `rest` is the field without the session cookie. */
  remember(session: CachedSession, field: string, rest: string): void {
    if (!session.cached || field.length > rememberedFieldChars) return;
    this.#forgetField(session);
    session.field = field;
    session.rest = rest;
    this.#byField.set(field, session);
  }

  drop(session: CachedSession): void {
    session.cached = false;
    this.#forgetField(session);
    if (this.#byKey.get(session.key) === session) this.#byKey.delete(session.key);
  }

  #forgetField(session: CachedSession): void {
    if (session.field !== undefined) this.#byField.delete(session.field);
    session.field = undefined;
  }

  #makeRoom(): void {
    let candidates = 0;
    for (const session of this.#byKey.values()) {
      candidates += 1;
      if (candidates > evictionCandidates) return;
      // Attachments must learn of the end through their session, and an unsaved jar is nowhere else.
      if (session.attachments > 0 || session.jarUnsaved) continue;
      this.drop(session);
      return;
    }
  }
}
