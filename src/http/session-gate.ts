import type { Request, RequestHandler, Response } from 'express';
import type { CookieJar } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { Secret } from '../core/secret.ts';
import type { Assist, EndReason, LiveSessions, RecordKey, SessionLookup, SessionRecord } from '../core/session.ts';
import { ingressOf } from './request-context.ts';

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
  readonly assist?: Assist;
  /** In the place of the absolute timeout. */
  readonly lifetimeMs?: number;
}

/** How the pages create, find and end the session of a browser; the data plane has a reader of its own. */
export interface SessionGate {
  /**
   * Loads the session that the cookie names, and lets the request go on where the store cannot be asked. `secure`:
   * whether the browser came over HTTPS. Without a cookie the store is not asked.
   */
  middleware(secure: boolean): RequestHandler;
  /**
   * Puts a session with a new id in the place of any that this browser had; resolves with its name once the store has
   * it.
   */
  open(request: Request, response: Response, session: NewSession): Promise<RecordKey>;
  /** The living session of this browser. Throws ERR_STORE_UNAVAILABLE when it could not be loaded. */
  current(request: Request): SessionRecord | undefined;
  /** Ends the session and clears its cookie, also while the store cannot be asked. */
  close(request: Request, response: Response, reason: EndReason): Promise<void>;
}

/** Loads the session of the browser, over HTTPS and over HTTP under the cookie of either. */
export function createLoadSession(gate: SessionGate): RequestHandler {
  const overHttps = gate.middleware(true);
  const overHttp = gate.middleware(false);
  return (request, response, next) =>
    ingressOf(request).publicUrl.secure ? overHttps(request, response, next) : overHttp(request, response, next);
}

/**
 * The session of this browser, or nothing; `unreadable` while the store cannot be asked. That is no reason to show no
 * page: signing in asks the store before it tries a password, and signing out must always be possible.
 */
export function sessionOf(gate: SessionGate, request: Request): SessionRecord | 'unreadable' | undefined {
  try {
    return gate.current(request);
  } catch (error) {
    if (error instanceof PosternError) return 'unreadable';
    throw error;
  }
}

/** Where a browser without a session is led; the page there says why it ended, where there was one. */
export function signInPathOf(found: SessionLookup): string {
  return found.kind === 'ended' ? `/-/login?ended=${found.reason}` : '/-/login';
}

/** A mailbox that staff opened is no session under the users' host name. */
export function onlyOwnSessions<T extends { readonly live: LiveSessions; readonly gate: SessionGate }>(deps: T): T {
  const { live, gate } = deps;
  return {
    ...deps,
    live: {
      find(cookieField, secure) {
        const found = live.find(cookieField, secure);
        return found instanceof Promise ? found.then(ownOrNone) : ownOrNone(found);
      },
    },
    gate: {
      ...gate,
      current(request) {
        const record = gate.current(request);
        return record?.assist === undefined ? record : undefined;
      },
    },
  };
}

function ownOrNone(found: SessionLookup): SessionLookup {
  return found.kind === 'found' && found.session.record.assist !== undefined
    ? { kind: 'none', rest: found.rest }
    : found;
}
