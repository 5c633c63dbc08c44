import type { Request, RequestHandler, Response } from 'express';
import { PosternError } from '../core/error.ts';
import type { LiveSessions, SessionGate, SessionLookup, SessionRecord } from '../core/session.ts';
import { ingressOf } from './request-context.ts';

/** The sessions of browsers, for pages that Express serves. */
export type PageSessions = SessionGate<Request, Response, RequestHandler>;

/** Loads the session of the browser, over HTTPS and over HTTP under the cookie of either. */
export function createLoadSession(gate: PageSessions): RequestHandler {
  const overHttps = gate.middleware(true);
  const overHttp = gate.middleware(false);
  return (request, response, next) =>
    ingressOf(request).publicUrl.secure ? overHttps(request, response, next) : overHttp(request, response, next);
}

/**
 * The session of this browser, or nothing; `unreadable` while the store cannot be asked. That is no reason to show no
 * page: signing in asks the store before it tries a password, and signing out must always be possible.
 */
export function sessionOf(gate: PageSessions, request: Request): SessionRecord | 'unreadable' | undefined {
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
export function onlyOwnSessions<T extends { readonly live: LiveSessions; readonly gate: PageSessions }>(deps: T): T {
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
      middleware: (secure) => gate.middleware(secure),
      open: (request, response, session) => gate.open(request, response, session),
      close: (request, response, reason) => gate.close(request, response, reason),
      current(request) {
        const record = gate.current(request);
        return record?.impersonation === undefined ? record : undefined;
      },
    },
  };
}

function ownOrNone(found: SessionLookup): SessionLookup {
  return found.kind === 'found' && found.session.record.impersonation !== undefined
    ? { kind: 'none', rest: found.rest }
    : found;
}
