import type { Backend, BackendHost } from './backend.ts';
import type { Client } from './identity.ts';
import type { BackendName, CanonicalUser } from './names.ts';
import type { LiveSession, SessionRecord } from './session.ts';

/** The effective state of a host, by operators and checks. */
export type HostState = 'READY' | 'DRAIN' | 'MAINT' | 'DOWN';

/** Says which host serves a user. Decisions on which nodes must agree are in the state store. */
export interface Placement {
  /** Returns where the requests of a session go. Called for each request: it answers from memory. */
  ofSession(record: SessionRecord): Place;
  /**
   * Returns the host on which a user of this backend signs in now. `stays`: the user has sessions there, which a
   * backend in DRAIN serves to their end.
   */
  forSignIn(backend: Backend, user: CanonicalUser, stays?: boolean): Exclude<Place, { kind: 'elsewhere' }>;
  hostState(backend: Backend, host: BackendHost): HostState;
  /** Whether a host takes new sessions of this user: it is READY, or drains only others. */
  takesNew(backend: Backend, host: BackendHost, user: string): boolean;
  /** Returns the host that serves, if a primary has standbys. */
  activeHost(backend: Backend): BackendHost;
  /** Returns the hosts whose mail servers can check passwords, whatever else is closed: all of a pool, else one. */
  passwordHosts(backend: Backend): readonly BackendHost[];
}

const closureKinds = ['maintenance', 'drain', 'down', 'moving'] as const;

/** Why a backend, or one user of it, is not served now. */
export type ClosureKind = (typeof closureKinds)[number];

/** A closed backend, as far as users may know. A closure signs nobody out. */
export interface Closure {
  readonly kind: ClosureKind;
  readonly backend: BackendName;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Milliseconds since the epoch at which it is expected to end; undefined if nobody said. */
  readonly untilMs?: number;
  /** The operator's own words for users, by language tag. */
  readonly texts: Readonly<Record<string, string>>;
}

/**
 * Where the requests of a session go. `elsewhere`: the session must be relocated first, see {@link Relocate}. `closed`:
 * it is not served for now.
 */
export type Place =
  | { readonly kind: 'here'; readonly host: BackendHost }
  | {
      readonly kind: 'elsewhere';
      readonly backend: BackendName;
      readonly host: BackendHost;
      /** When the new home was found in the directory; undefined if the session goes there for another reason. */
      readonly homeSinceMs?: number;
    }
  | { readonly kind: 'closed'; readonly closure: Closure };

/**
 * The result of relocating a session. `relocated`: it is signed in there, by this node or by another; `browserCookies`
 * are Set-Cookie lines for the browser. `rejected`: the webmail refused the password of the session. `ended`: the
 * session ended meanwhile.
 */
export type Relocated =
  | { readonly kind: 'relocated'; readonly landing: string; readonly browserCookies: readonly string[] }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'closed'; readonly closure: Closure };

/**
 * Relocates a session to the host where it belongs now: a silent login there, and a new record. Requests that need it
 * at the same time share one login. Rejects with source `webmail` or `store` if it cannot be done.
 */
export type Relocate = (session: LiveSession, client: Client, publicOrigin: string) => Promise<Relocated>;

/**
 * The result of a request as evidence of its host's health. `refused`: the connection was refused; `failed`: there was
 * no good answer.
 */
export type HostEvidence = 'good' | 'refused' | 'failed';

/** User and target of a request. One failed answer says little about a host; several of different users do. */
export interface AskedFor {
  readonly user: string;
  readonly target: string;
}
