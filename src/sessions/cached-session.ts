import type { KeyObject } from 'node:crypto';
import { CookieJar } from '../core/cookie-jar.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import { openSealedText, sealText } from '../core/sealing.ts';
import { Secret } from '../core/secret.ts';
import type {
  ImpersonationRecord,
  Attachment,
  EndReason,
  LiveSession,
  RecordKey,
  SessionRecord,
  SessionRoute,
  StoredJar,
  StoredSession,
} from '../core/session.ts';
import type { SessionCookie } from './cookie.ts';
import type { SealPurpose } from './key-derivation.ts';
import { parseSavedJar } from './record-format.ts';

/** The node's bookkeeping, as a session sees it. */
export interface SessionKeeper {
  readonly nowMs: () => number;
  /** An equal text, which others keep, too. */
  share(text: string): string;
  /** Which cookies of a backend stay in the gateway although they are not HttpOnly. */
  ownsCookie(backend: SessionRecord['backend']): (name: string) => boolean;
  readonly used: (session: CachedSession) => void;
  jarChanged(session: CachedSession): void;
  /** Called when the first attachment came and when the last one went. */
  attachmentsChanged(session: CachedSession, hasAny: boolean): void;
  end(key: RecordKey, reason: EndReason): Promise<void>;
}

/** V8 copies a part that short; a longer one would keep the whole text. */
const markChars = 12;

interface Opened {
  readonly password: Secret | undefined;
  readonly jar: CookieJar;
}

/** A session in a node's memory, with what the node knows of its truth: other parts see no more than LiveSession. */
export class CachedSession implements LiveSession {
  readonly key: RecordKey;
  /** Replaced when the store holds another one, see `renew`. So are the next two. */
  record: SessionRecord;
  jar: CookieJar;
  password: Secret | undefined;
  readonly #cookie: SessionCookie;
  readonly #keeper: SessionKeeper;
  /** Made when something hangs on the session: an empty set is not small. */
  #attachments: Set<Attachment> | undefined;
  #jarVersion: number;
  #jarMark: string | undefined;
  #ended: EndReason | undefined;

  /** Last use in milliseconds, as far as this node knows. */
  lastUseMs: number;
  /** The last use that the store was told. */
  writtenUseMs: number;
  /** When a change may first have been missed; 0 while the store pushes every change. */
  doubtSinceMs = 0;
  /** Whether the store pushed a change that has not been read yet. */
  changed = false;
  /** Whether the jar holds something that the store has not taken yet. */
  jarUnsaved = false;
  /** Whether the node would still find it. */
  cached = true;
  /** The Cookie field that last led to it, and what of it is for the backend. */
  field: string | undefined;
  rest = '';

  private constructor(keeper: SessionKeeper, cookie: SessionCookie, stored: StoredSession, opened: Opened) {
    this.#cookie = cookie;
    this.#keeper = keeper;
    this.key = cookie.key;
    this.record = lightened(stored.record, keeper);
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
    this.#keeper.used(this);
  }

  attach(attachment: Attachment): () => void {
    if (this.#ended !== undefined) {
      attachment.end(this.#ended);
      return () => {};
    }
    const attachments = (this.#attachments ??= new Set());
    attachments.add(attachment);
    if (attachments.size === 1) this.#keeper.attachmentsChanged(this, true);
    return () => {
      if (!attachments.delete(attachment) || attachments.size > 0 || attachments !== this.#attachments) return;
      this.#attachments = undefined;
      this.#keeper.attachmentsChanged(this, false);
    };
  }

  saveJar(): void {
    if (this.#ended !== undefined) return;
    this.jarUnsaved = true;
    this.#keeper.jarChanged(this);
  }

  end(reason: EndReason): Promise<void> {
    return this.#keeper.end(this.key, reason);
  }

  /** Ends what hangs on the session, here and now, and lets nothing new hang on it. */
  close(reason: EndReason): void {
    this.#ended = reason;
    this.endAttachments(reason);
  }

  /** Ends what hangs on the session; the session itself may go on. */
  endAttachments(reason: EndReason): void {
    const attachments = this.#attachments;
    if (attachments === undefined) return;
    this.#attachments = undefined;
    this.#keeper.attachmentsChanged(this, false);
    for (const attachment of attachments) attachment.end(reason);
  }

  /** Takes what the store holds now. False when it cannot be opened any more: then it is another session's. */
  renew(stored: StoredSession): boolean {
    const before = this.record;
    const { record, jar } = stored;
    const newerJar = jar !== undefined && jar.version >= this.#jarVersion && markOf(jar) !== this.#jarMark;
    const ownerIn = (one: SessionRecord) => sealedFor(this.key, one, 'credentials');
    const sameOwner = isSameOwner(ownerIn(before), ownerIn(record));
    const elsewhere = record.backend !== before.backend || record.host !== before.host;
    if (newerJar || !sameOwner || record.sealed !== before.sealed) {
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
    this.record = lightened(record, this.#keeper);
    this.lastUseMs = Math.max(this.lastUseMs, stored.lastUseMs);
    this.writtenUseMs = Math.max(this.writtenUseMs, stored.lastUseMs);
    return true;
  }

  /**
   * The session on another host, signed in there with the cookies of `fresh`: what the store must take before `renew`
   * makes it true here. Names that the browser was given stay known; answers of the old host no longer count.
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

/** What the parts of a session's stored form belong to. */
export function sealedFor(
  key: RecordKey,
  record: Pick<SessionRecord, 'user' | 'backend' | 'createdAtMs' | 'absoluteEndMs' | 'impersonation'>,
  purpose: SealedFor['purpose'],
): SealedFor {
  const { user, backend, createdAtMs, absoluteEndMs, impersonation } = record;
  const owner = { key, user, backend, purpose, createdAtMs, absoluteEndMs };
  return impersonation === undefined ? owner : { ...owner, impersonation };
}

/**
 * Seals a password, or an empty text where there is none: without a seal nothing would say whose session it is, and
 * whoever can write to the store could make it another user's.
 */
export function sealPassword(
  sealKey: KeyObject,
  password: Secret | undefined,
  belongsTo: SealedFor,
  randomBytes?: (size: number) => Buffer,
): string {
  return seal(sealKey, password?.reveal() ?? '', belongsTo, randomBytes);
}

/** Derived at each use, which is rare: kept, the two keys would be a quarter of what a session weighs. */
function sealKeyOf({ serverKey, secret }: SessionCookie, purpose: SealedFor['purpose']): KeyObject {
  return serverKey.sealKeyOf(secret, purpose);
}

/** Tells two seals of a jar apart by a few characters of their tags: enough to see whether it is one's own write. */
function markOf(jar: StoredJar | undefined): string | undefined {
  return jar?.sealed.slice(-markChars);
}

/** The record with the texts that many have in common. */
function lightened(record: SessionRecord, keeper: SessionKeeper): SessionRecord {
  const { userAgent, publicOrigin, timeZone } = record;
  return {
    ...record,
    userAgent: keeper.share(userAgent),
    publicOrigin: keeper.share(publicOrigin),
    ...(timeZone === undefined ? {} : { timeZone: keeper.share(timeZone) }),
  };
}

function openStored(keeper: SessionKeeper, cookie: SessionCookie, { record, jar }: StoredSession): Opened | undefined {
  const { key } = cookie;
  const password = openSealed(sealKeyOf(cookie, 'credentials'), record.sealed, sealedFor(key, record, 'credentials'));
  if (password === undefined) return undefined;
  const cookies =
    jar === undefined ? undefined : openSealed(sealKeyOf(cookie, 'jar'), jar.sealed, sealedFor(key, record, 'jar'));
  // A jar that was sealed for another backend is a late write of before the session was led elsewhere: no cookies are
  // then known, and the webmail is signed in to again.
  const saved = cookies === undefined ? undefined : parseSavedJar(cookies);
  return {
    password: password === '' ? undefined : new Secret(password),
    jar: new CookieJar(keeper.ownsCookie(record.backend), saved),
  };
}

/** The owner of sealed text. Text that was moved to another session, user, backend, purpose or time does not open. */
export interface SealedFor {
  readonly key: RecordKey;
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  readonly purpose: SealPurpose;
  /** When the session began and when it ends at the latest: nobody who can write to the store makes it last longer. */
  readonly createdAtMs: number;
  readonly absoluteEndMs: number;
  /** Only of a mailbox that staff opened. */
  readonly impersonation?: ImpersonationRecord;
}

function ownerOf(belongsTo: SealedFor): readonly (string | number)[] {
  const { key, user, backend, purpose, createdAtMs, absoluteEndMs, impersonation } = belongsTo;
  const owner = [key, user, backend, purpose, createdAtMs, absoluteEndMs];
  if (impersonation === undefined) return owner;
  const { actor, staffSession, reason, ticket } = impersonation;
  return [...owner, actor, staffSession, reason, ticket];
}

/** Whether what was sealed for the one opens for the other. */
function isSameOwner(one: SealedFor, other: SealedFor): boolean {
  return JSON.stringify(ownerOf(one)) === JSON.stringify(ownerOf(other));
}

/** Seals a text of a session. */
export function seal(
  sealKey: KeyObject,
  plain: string,
  belongsTo: SealedFor,
  randomBytes?: (size: number) => Buffer,
): string {
  return sealText(sealKey, plain, ownerOf(belongsTo), randomBytes);
}

/** The text that was sealed, or undefined if it was altered, is of another version, or belongs to something else. */
export function openSealed(sealKey: KeyObject, sealed: string, belongsTo: SealedFor): string | undefined {
  return openSealedText(sealKey, sealed, ownerOf(belongsTo));
}
