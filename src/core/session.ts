import type { CookieJar } from './cookie-jar.ts';
import type { Client } from './identity.ts';
import { type BackendName, type CanonicalUser, type RecordKey, shortSessionIdChars, type UserKey } from './names.ts';
import type { Secret } from './secrets.ts';

/**
 * Why a session ended; the sign-in page has a text for each reason that a user may see. `signed-out`: in this browser.
 * `ended-elsewhere`: by the same user, on another device. `kicked`: by operators or staff. `locked`: by a lock of the
 * user, the domain or the client's network.
 */
export const endReasons = [
  'signed-out',
  'ended-elsewhere',
  'idle',
  'absolute',
  'kicked',
  'locked',
  'replaced',
  'too-many',
  'backend-removed',
  'password-changed',
] as const;

/** Why a session ended. */
export type EndReason = (typeof endReasons)[number];

/** The kinds of sessions: a user's own, staff at the console, or a mailbox that staff opened. */
export const sessionKinds = ['user', 'console', 'opened'] as const;

/** The kind of a session. */
export type SessionKind = (typeof sessionKinds)[number];

/** The kind of the session that a record describes. */
export function sessionKind({ staff, impersonation }: SessionRecord): SessionKind {
  if (impersonation !== undefined) return 'opened';
  return staff === undefined ? 'user' : 'console';
}

/**
 * Whether ending all sessions that a filter selects may end this one. A session at the console has no webmail on a
 * backend: a filter by backend or host ends it only if it names the kind.
 */
export function mayFilterEnd(
  { backend, host, kind }: Readonly<Record<'backend' | 'host' | 'kind', string | undefined>>,
  record: SessionRecord,
): boolean {
  return record.staff === undefined || kind !== undefined || (backend ?? host) === undefined;
}

/** The short names of sessions in a list: as `shortSessionId`, and longer where two would be the same. */
export function shortSessionIds(keys: readonly RecordKey[]): ReadonlyMap<RecordKey, string> {
  const sorted = [...new Set(keys)].map((key) => ({ key, text: key.replace(/^-+/, '') }));
  sorted.sort((a, b) => (a.text < b.text ? -1 : 1));
  const shared = sorted.map(({ text }, index) => commonLength(text, sorted[index + 1]?.text ?? ''));
  return new Map(
    sorted.map(({ key, text }, index) => {
      const needed = Math.max(shared[index] ?? 0, shared[index - 1] ?? 0) + 1;
      return [key, text.slice(0, Math.max(shortSessionIdChars, needed))];
    }),
  );
}

/** Whether an operator may mean this session by this text: its whole name, or a beginning as lists show it. */
export function isSessionMeant(key: RecordKey, text: string): boolean {
  return key === text || (text.length >= shortSessionIdChars && key.replace(/^-+/, '').startsWith(text));
}

function commonLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}

/** A mailbox that staff opened: who, why, and on whose session it hangs. The session's user is the subject. */
export interface ImpersonationRecord {
  readonly actor: CanonicalUser;
  /** The staff member's own session: when it ends, this one does. */
  readonly staffSession: RecordKey;
  readonly reason: string;
  readonly ticket: string;
}

/** Proof that the owner of a console session has given. Such a session has no webmail and no credentials. */
export interface StaffProof {
  readonly step: 'password' | 'second-factor';
  /** When a code was last accepted, in milliseconds since the epoch; 0 before the first. */
  readonly provenAtMs: number;
  /** Set if a link of an operator opened the session: who made it, such as `root (socket)`. */
  readonly linkBy?: string;
}

/** The stored record of a session. It opens nothing by itself: half of the key of its credentials is in the cookie. */
export interface SessionRecord {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  /** The host of the backend, by name. */
  readonly host: string;
  /** When the change of home was found that the session followed last; undefined if it followed none. */
  readonly homeSinceMs?: number;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  readonly absoluteEndMs: number;
  readonly clientAddress: string;
  readonly userAgent: string;
  readonly publicOrigin: string;
  readonly timeZone?: string;
  /** The user's index, under which the store lists this session. */
  readonly userKey: UserKey;
  /** Only of a mailbox that staff opened. */
  readonly impersonation?: ImpersonationRecord;
  /** Set for a session at the console; `sealed` then vouches for the record alone. */
  readonly staff?: StaffProof;
  /** The password, sealed; an empty text, sealed, where there is none. Vouches for user, backend and `impersonation`. */
  readonly sealed: string;
  /** Vouches for the times; undefined if 0.1.0 opened the session. */
  readonly sealedTimes?: string;
}

/** The webmail's cookies of a session, sealed, as a store keeps them. */
export interface StoredJar {
  /** Grows with each write; a reader ignores a jar that is older than its own. */
  readonly version: number;
  readonly sealed: string;
}

/** A living session as a store keeps it. */
export interface StoredSession {
  readonly record: SessionRecord;
  /** When the session was last used, as far as the store knows; 0 if it does not know. */
  readonly lastUseMs: number;
  readonly jar: StoredJar | undefined;
}

/** Backend and host of a session. */
export type SessionRoute = Pick<SessionRecord, 'backend' | 'host' | 'homeSinceMs'>;

/** The use made of a session: requests, and the bytes of their bodies and of the answers' bodies. */
export interface SessionUse {
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** A note that a session was used: when last, and how much since the node's note before. */
export interface UseNote extends Partial<SessionUse> {
  readonly key: RecordKey;
  readonly atMs: number;
}

/** A session that was just destroyed: its record, and its use as far as nodes had noted it. */
export interface DestroyedSession extends SessionUse {
  readonly record: SessionRecord;
}

/** A living session with its name, as in lists of sessions. */
export interface StoredEntry {
  readonly key: RecordKey;
  readonly session: StoredSession;
}

/** A place in the list of all sessions, from which a later call can go on. */
export interface SessionPlace {
  /** What the store sorts by, in milliseconds; it falls from the newest session to the oldest. */
  readonly at: number;
  readonly key: RecordKey;
  /** About how many sessions are newer. */
  readonly rank: number;
}

/** A living session and its place in the list of all. */
export interface PlacedEntry extends StoredEntry {
  readonly place: SessionPlace;
}

/** The store's answer for a key: a living session, how one ended (while its tombstone stands), or none. */
export type StoredLookup =
  | { readonly kind: 'found'; readonly session: StoredSession }
  | { readonly kind: 'ended'; readonly reason: EndReason }
  | { readonly kind: 'none' };

/** A change by others: a record or jar was written or removed. `gap`: some events may have been missed. */
export type StoreEvent =
  | { readonly kind: 'changed'; readonly key: RecordKey }
  | { readonly kind: 'gap' }
  | { readonly kind: 'restored' };

/**
 * The store of sessions. Every call rejects with a PosternError of source `store` (ERR_STORE_UNAVAILABLE) within its
 * command timeout if the store cannot be asked. A destroyed key leaves a tombstone for `tombstoneMs`, so that a late
 * write cannot revive it. Redis and the embedded store pass one contract suite.
 */
export interface SessionStore extends AsyncDisposable {
  /** `refused`: a record of this key exists or was destroyed. */
  create(key: RecordKey, record: SessionRecord, ttlMs: number): Promise<'created' | 'refused'>;
  /** Writes only over an existing record, and keeps its remaining time. */
  rewrite(key: RecordKey, record: SessionRecord): Promise<'written' | 'gone'>;
  /**
   * Writes record and jar together, only while the record has this route: if several nodes relocate a session, one
   * wins. Keeps the remaining time.
   */
  reroute(
    key: RecordKey,
    from: SessionRoute,
    record: SessionRecord,
    jar: StoredJar,
  ): Promise<'written' | 'elsewhere' | 'gone'>;
  read(key: RecordKey): Promise<StoredLookup>;
  /**
   * Ends a session. Resolves with what it was for one caller alone; undefined if there was none, or another node was
   * first. It always leaves a tombstone, which keeps the first reason.
   */
  destroy(key: RecordKey, reason: EndReason): Promise<DestroyedSession | undefined>;
  writeJar(key: RecordKey, jar: StoredJar): Promise<'written' | 'gone'>;
  /** Writes when sessions were last used, and adds up how much; never revives one. */
  noteUse(uses: readonly UseNote[]): Promise<void>;
  /** The living sessions under these indexes, oldest first. */
  ofUser(userKeys: readonly UserKey[]): Promise<readonly StoredEntry[]>;
  /** Yields all living sessions in pages, the newest first; with `after`, those behind that place. */
  all(after?: SessionPlace): AsyncIterable<readonly PlacedEntry[]>;
  /**
   * Registers id and fingerprint of server keys for all nodes, and returns all that are then registered. Registers
   * nothing when `keys` lacks a promoted key that is registered, or has it with another fingerprint.
   */
  registerKeys(keys: readonly RegisteredKey[]): Promise<readonly RegisteredKey[]>;
  retireKey(id: string): Promise<void>;
  /** Calls `listener` for each change until the returned function is called. */
  watch(listener: (event: StoreEvent) => void): () => void;
  /** Resolves if the store answers; rejects like every other call. */
  ping(): Promise<void>;
}

/** A server key as nodes register it in the store. */
export interface RegisteredKey {
  readonly id: string;
  readonly fingerprint: string;
  /** Whether a node seals, or ever sealed, with it. Stays until the key is retired. */
  readonly promoted: boolean;
  /** Node and file that registered it last, for the operator who must copy it. */
  readonly from: string;
}

/** Something that ends with its session: a request in flight, a WebSocket, a stream. */
export interface Attachment {
  end(reason: EndReason): void;
}

/** A session as a node holds it in memory, opened. One object per session and node: requests in flight share it. */
export interface LiveSession {
  readonly key: RecordKey;
  readonly record: SessionRecord;
  readonly jar: CookieJar;
  /** The password; undefined if the operator chose not to keep it. */
  readonly password: Secret | undefined;
  /** Notes use in memory; a timer writes it to the store. */
  touch(): void;
  /** Counts a request with the bytes of its body and of its answer's. */
  count(bytesIn: number, bytesOut: number): void;
  /** Ties an attachment to the session. Call the returned function when the attachment ends by itself. */
  attach(attachment: Attachment): () => void;
  /** Writes the jar, soon and once for many changes; only if the session still exists. */
  saveJar(): void;
  /**
   * Ends the session on all nodes: at once on this one, and retried until the store has taken it. `requestId`: of the
   * request that ended it, for the log.
   */
  end(reason: EndReason, requestId?: string): Promise<void>;
}

/** The session that a Cookie field names. `rest` is the field without the gateway's own cookies, perhaps empty. */
export type SessionLookup =
  | { readonly kind: 'none'; readonly rest: string }
  | { readonly kind: 'found'; readonly session: LiveSession; readonly rest: string }
  /** The session has ended; the sign-in page says why. */
  | { readonly kind: 'ended'; readonly reason: EndReason; readonly rest: string }
  /** The store could not be asked, or the session is sealed under a key that this node lacks: 503, never a sign-out. */
  | { readonly kind: 'unavailable'; readonly why: 'store' | 'unknown-key' };

/**
 * Finds the session of a request. Answers at once, without a promise, when it is in the node's cache. `secure`: whether
 * the browser came by https, where only the cookie counts that nobody else can have planted.
 */
export interface SessionFinder {
  find(cookieField: string | undefined, secure: boolean): SessionLookup | Promise<SessionLookup>;
}

/** A session as lists show it. */
export interface ListedSession {
  readonly key: RecordKey;
  readonly record: SessionRecord;
  readonly lastUseMs: number;
}

/** A session as lists show it, and its place in the list of all. */
export interface PlacedSession extends ListedSession {
  readonly place: SessionPlace;
}

/** The parts of a new session. */
export interface NewSession {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  /** The host of the backend, by name. */
  readonly host: string;
  /** Undefined if the session has none. */
  readonly password: Secret | undefined;
  readonly jar: CookieJar;
  readonly client: Client;
  readonly publicOrigin: string;
  readonly timeZone: string | undefined;
  /** Set if staff opened the mailbox. */
  readonly impersonation?: ImpersonationRecord;
  /** Lifetime of the session; the absolute timeout if undefined. */
  readonly lifetimeMs?: number;
}

/**
 * How the pages create, find and end the session of a browser; the data plane has a reader of its own. The types are
 * those of the library that serves the pages.
 */
export interface SessionGate<Request, Response, Handler> {
  /**
   * Loads the session that the cookie names, and lets the request go on where the store cannot be asked. `secure`:
   * whether the browser came over HTTPS. Without a cookie the store is not asked.
   */
  middleware(secure: boolean): Handler;
  /**
   * Opens a session under a fresh id and ends the one that this browser had. If the user has too many, the oldest end.
   * Resolves with its name once the store has all of it; if it rejects there is no session and no cookie.
   */
  open(request: Request, response: Response, session: NewSession): Promise<RecordKey>;
  /** The living session of this browser; undefined if none. Throws ERR_STORE_UNAVAILABLE if it could not be loaded. */
  current(request: Request): SessionRecord | undefined;
  /**
   * Ends the session and clears its cookie, even while the store cannot be asked. `requestId`: of this request, for the
   * log.
   */
  close(request: Request, response: Response, reason: EndReason, requestId: string): Promise<void>;
}
