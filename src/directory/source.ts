import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { ReferralServer } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, LoginName, LoginNameParser } from '../core/names.ts';
import type { Secret } from '../core/secrets.ts';

/**
 * A source's answer about a name, unchecked.
 *
 * `found` with a `home` (a backend's name or one of its hosts) says where the user lives; with a `user` it also says
 * under which name. With a `user` alone it is an alias. With neither the user exists, and another source says where.
 * `referred`: only this server says where, to a user who signs in there. `later`: the user exists, and is to try again
 * later. `refused` and `later` may have `home` and `user` with the same meaning as `found`. `byDefault` marks an answer
 * for names that the source does not know one by one. `role` is that user's role as staff. `stays`: the home is where
 * the user has sessions.
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
 * One place that knows where users live. A source only asks: cache, deadline and checks are the chain's.
 *
 * `ask` rejects with {@link couldNotAsk} or {@link badAnswer}, and soon after `signal` is aborted.
 */
export interface Source extends AsyncDisposable {
  /** Asking is so cheap, and a change must be seen so soon, that answers are not cached. */
  readonly isLocal?: true;
  ask(name: LoginName, signal: AbortSignal): Promise<SourceAnswer>;
}

/** Finds the configured backend that a source means; undefined if there is none, or more than one. */
export type FindHome = (home: string) => BackendName | undefined;

/** Asks a source of the node's first process; `source` is the source's name between the processes. */
export type AskLeader = (source: string, name: LoginName, signal: AbortSignal) => Promise<SourceAnswer>;

/** The collaborators that every source driver receives. */
export interface SourceDeps {
  /** The source's name in logs: its place in the chain and its type, for example `2 ldap`. */
  readonly label: string;
  readonly backends: ReadonlyMap<BackendName, Backend>;
  readonly defaultDomain: string | undefined;
  readonly findHome: FindHome;
  /** The site's rules for login names, except that a name without a domain stays so: for keys of tables. */
  readonly parseBareName: LoginNameParser;
  readonly clock: Clock;
  readonly log: Log;
  /** The time that one question has in all. */
  readonly timeoutMs: number;
  /** How often a file is checked for changes. */
  readonly pollMs: number;
  readonly parseLoginName: LoginNameParser;
  readonly connectRedis: ConnectRedis | undefined;
  /** States of the backends; if undefined, all count as available. */
  readonly states: SharedStorageStates | undefined;
  /**
   * The same source in the node's first process, for work that a node does only once; undefined in that process itself.
   * Keeps to the time limit of one question.
   */
  readonly leading: Source['ask'] | undefined;
}

/** The answer of a source that does not know the user. */
export const unknownUser: SourceAnswer = { kind: 'unknown-user' };

/** The source did not answer. `message` names server and fault, never a name or value that a client sent. */
export function couldNotAsk(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true, cause });
}

/** The source gave an answer that cannot be used: an alarm for operators, "later" for the user. */
export function badAnswer(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_DIRECTORY_ANSWER', message, { source: 'directory', retryable: false, cause });
}

/** States and loads of backends at this moment, for a source that computes homes on shared storage. */
export interface SharedStorageStates {
  /** Whether a backend serves: it is neither DOWN nor in MAINT. */
  isServing(backend: BackendName): boolean;
  /** Whether a backend takes new sessions of this user, too: it is READY, or drains only others. */
  takesNew(backend: BackendName, user: LoginName): boolean;
  /** How many sessions a backend has; only the shares count. */
  sessions(backend: BackendName): number;
  /** The backend where a user has sessions now; undefined if there are none. */
  currentHome(user: LoginName, signal: AbortSignal): Promise<BackendName | undefined>;
}

/** The commands that a Redis source needs. Each settles within the connection's own command timeout. */
interface RedisReader {
  get(key: string): Promise<string | null>;
  hGet(key: string, field: string): Promise<string | null>;
  close(): void;
}

/** Address and credentials of a Redis source. */
interface SourceRedis {
  readonly url: string;
  readonly password?: Secret;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

/** Makes a connection that reconnects by itself; resolves even if the server is away. */
export type ConnectRedis = (server: SourceRedis, log: Log) => Promise<RedisReader>;
