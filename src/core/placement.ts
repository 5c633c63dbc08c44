import type { Backend, BackendHost } from './backend.ts';
import type { Client } from './identity.ts';
import type { BackendName, CanonicalUser } from './names.ts';
import type { LiveSession, SessionRecord } from './session.ts';

/** The effective state of a host, from operators and checks. */
export type HostState = 'READY' | 'DRAIN' | 'MAINT' | 'DOWN';

/** Says where users belong. What nodes must agree on is in the state, not decided here. */
export interface Placement {
  /** Where the requests of a session go. Asked for each request: it answers from memory. */
  ofSession(record: SessionRecord): Place;
  /**
   * Where a user of this backend is signed in now. Never `elsewhere`. `stays`: the user has sessions there, and a
   * backend that drains finishes them.
   */
  forSignIn(backend: Backend, user: CanonicalUser, stays?: boolean): Exclude<Place, { kind: 'elsewhere' }>;
  hostState(backend: Backend, host: BackendHost): HostState;
  /** Whether a host takes new sessions of this user: it is READY, or drains only others. */
  takesNew(backend: Backend, host: BackendHost, user: string): boolean;
  /** The host that serves, where a primary has standbys. */
  activeHost(backend: Backend): BackendHost;
  /** The hosts whose mail servers can be asked about passwords, whatever else is closed: of a pool each, else one. */
  passwordHosts(backend: Backend): readonly BackendHost[];
}

/** Why a backend, or one user of it, is not served now. */
const closureKinds = ['maintenance', 'drain', 'down', 'moving'] as const;

/** Why a backend takes nobody. */
export type ClosureKind = (typeof closureKinds)[number];

/** A closed backend as users may hear of it. A closure signs nobody out. */
export interface Closure {
  readonly kind: ClosureKind;
  readonly backend: BackendName;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** When it is expected to end, as far as somebody said. */
  readonly untilMs?: number;
  /** The operator's own words for users, by language tag. */
  readonly texts: Readonly<Record<string, string>>;
}

/**
 * Where the requests of a session go. `elsewhere`: first the session must be led there, see {@link Relocate}; `closed`:
 * nowhere for now.
 */
export type Place =
  | { readonly kind: 'here'; readonly host: BackendHost }
  | {
      readonly kind: 'elsewhere';
      readonly backend: BackendName;
      readonly host: BackendHost;
      /** When the directory was found to say so, where it is for that. */
      readonly homeSinceMs?: number;
    }
  | { readonly kind: 'closed'; readonly closure: Closure };

/**
 * The result of relocating a session. `relocated`: it is signed in there, by this node or by another;
 * `browserCookies` are Set-Cookie lines that the browser must get. `rejected`: the webmail refused the password that
 * the session holds. `ended`: the session ended meanwhile.
 */
export type Relocated =
  | { readonly kind: 'relocated'; readonly landing: string; readonly browserCookies: readonly string[] }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'closed'; readonly closure: Closure };

/**
 * Leads a session to the place where it belongs now: signed in there in silence, its record rewritten. Requests that
 * find this out at the same time share one sign-in. Rejects with source `webmail` or `store` when it cannot be done.
 */
export type Relocate = (session: LiveSession, client: Client, publicOrigin: string) => Promise<Relocated>;

/**
 * The result of a request, for the health of its host: `refused`: nothing listens there; `failed`: it did not answer
 * well.
 */
export type HostEvidence = 'good' | 'refused' | 'failed';

/** Whose request it was and what it asked for: what one answer is like tells little of a host. */
export interface AskedFor {
  readonly user: string;
  readonly target: string;
}
