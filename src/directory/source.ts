import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { ReferralServer } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, LoginName, LoginNameParser } from '../core/names.ts';
import type { Secret } from '../core/secret.ts';
import type { FindHome } from './backend-names.ts';

/**
 * A source's answer about a name, unchecked.
 *
 * `found` with a `home` (a backend's name or one of its hosts) says where the user lives; with a `user` it also says
 * under which name. With a `user` alone it is an alias. With neither the user exists, and another source says where.
 * `referred`: this server says so, to who signs in there. `later`: the user exists, and is to try again later. These
 * two may have `home` and `user` as `found` has them. `byDefault` marks an answer for names that the source does not
 * know one by one. `role` is that user's role as staff. `stays`: the home is where the user has sessions.
 */
export type SourceAnswer =
  | {
      readonly kind: 'found';
      readonly home?: string;
      readonly user?: string;
      readonly role?: string;
      readonly byDefault?: boolean;
      readonly stays?: true;
    }
  | { readonly kind: 'referred'; readonly server: ReferralServer }
  | { readonly kind: 'refused'; readonly reason: string; readonly home?: string; readonly user?: string }
  | { readonly kind: 'later'; readonly home?: string; readonly user?: string }
  | { readonly kind: 'unknown-user'; readonly why?: string };

/**
 * One place that knows where users live. It only asks: cache, deadline and checks are the chain's.
 *
 * `ask` rejects with {@link couldNotAsk} or {@link badAnswer}, and soon after `signal` is aborted.
 */
export interface Source extends AsyncDisposable {
  /** Asking is so cheap, and a change is to be seen so soon, that answers are not cached. */
  readonly isLocal?: true;
  ask(name: LoginName, signal: AbortSignal): Promise<SourceAnswer>;
}

/** Asks a source of the process that leads this one: `source` is what the source is called between them. */
export type AskLeader = (source: string, name: LoginName, signal: AbortSignal) => Promise<SourceAnswer>;

/** The collaborators that every source driver receives. */
export interface SourceDeps {
  /** How the source is called in logs: its place in the chain and its type, for example `2 ldap`. */
  readonly label: string;
  readonly backends: ReadonlyMap<BackendName, Backend>;
  readonly defaultDomain: string | undefined;
  readonly findHome: FindHome;
  /** The site's rules for login names, but a name without a domain stays so: for keys of tables. */
  readonly parseBareName: LoginNameParser;
  readonly clock: Clock;
  readonly log: Log;
  /** The time that one question has in all. */
  readonly timeoutMs: number;
  /** How often a file is looked at for changes. */
  readonly pollMs: number;
  readonly parseLoginName: LoginNameParser;
  readonly connectRedis: ConnectRedis | undefined;
  /** States of the backends; if undefined, all count as available. */
  readonly states: RingStates | undefined;
  /**
   * The same source in the process that leads this one, for what a node does once only; undefined if nobody leads.
   * Minds the time that the question has.
   */
  readonly leading: Source['ask'] | undefined;
}

/** The answer of a source that does not know the user. */
export const unknownUser: SourceAnswer = { kind: 'unknown-user' };

/** The source did not answer. `message` names server and fault, never a name or value that a client sent. */
export function couldNotAsk(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true, cause });
}

/** The source answered with something that cannot be used: an alarm, and for the user a "later". */
export function badAnswer(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_DIRECTORY_ANSWER', message, { source: 'directory', retryable: false, cause });
}

/** What the gateway knows of its backends at this moment. */
export interface RingStates {
  /** Whether a backend serves: neither DOWN nor MAINT. When it comes back is decided there. */
  isInRing(backend: BackendName): boolean;
  /** Whether it takes new sessions of this user, too: it is READY, or drains only others. */
  takesNew(backend: BackendName, user: LoginName): boolean;
  /** How many sessions a backend has; only the shares count. */
  sessions(backend: BackendName): number;
  /** The backend where a user has sessions now. */
  currentHome(user: LoginName, signal: AbortSignal): Promise<BackendName | undefined>;
}

/** The commands that this source needs. Each settles within the connection's own command timeout. */
interface RedisReader {
  get(key: string): Promise<string | null>;
  hGet(key: string, field: string): Promise<string | null>;
  close(): void;
}

interface RedisServer {
  readonly url: string;
  readonly password?: Secret;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

/** Makes a connection that heals itself; resolves also while the server is away. */
export type ConnectRedis = (server: RedisServer, log: Log) => Promise<RedisReader>;
