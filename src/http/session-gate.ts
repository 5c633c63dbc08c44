import type { Request, RequestHandler, Response } from 'express';
import type { CookieJar } from '../core/cookie-jar.ts';
import type { Client } from '../core/identity.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { Secret } from '../core/secret.ts';
import type { Assist, EndReason, RecordKey, SessionRecord } from '../core/session.ts';

/** What a new session is made of. */
export interface NewSession {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  /** The host of the backend, by name. */
  readonly host: string;
  /** Nothing where the session has none. */
  readonly password: Secret | undefined;
  readonly jar: CookieJar;
  readonly client: Client;
  readonly publicOrigin: string;
  readonly timeZone: string | undefined;
  /** Of a mailbox that staff opened. */
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
