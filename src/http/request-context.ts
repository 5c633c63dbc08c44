import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, RequestHandler, Response } from 'express';
import { PosternError } from '../core/error.ts';
import type { Ingress } from '../core/http.ts';
import type { SessionFinder, SessionGate, SessionLookup, SessionRecord } from '../core/session.ts';

const known = new WeakMap<IncomingMessage, Ingress>();

/** Tells the pages the ingress of a request. Express would derive one from headers that a client can send. */
export function setIngress(request: IncomingMessage, ingress: Ingress): void {
  known.set(request, ingress);
}

/** Throws a TypeError for a request that {@link setIngress} never saw: a fault of the caller. */
export function ingressOf(request: IncomingMessage): Ingress {
  const ingress = known.get(request);
  if (ingress === undefined) throw new TypeError('a request reached the pages without its ingress');
  return ingress;
}

/** Aborted when the client leaves before it has its answer. */
export function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

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
 * The session of this browser; undefined if there is none, `unreadable` while the store cannot be asked. Pages are
 * shown all the same: a login asks the store before it tries a password, and signing out must always be possible.
 */
export function sessionOf(gate: PageSessions, request: Request): SessionRecord | 'unreadable' | undefined {
  try {
    return gate.current(request);
  } catch (error) {
    if (error instanceof PosternError) return 'unreadable';
    throw error;
  }
}

/** The sign-in path for a browser without a session. Its page says why the session ended, if it did. */
export function signInPathOf(found: SessionLookup): string {
  return found.kind === 'ended' ? `/-/login?ended=${found.reason}` : '/-/login';
}

/** The same dependencies, blind to opened mailboxes: those are no sessions under the users' host name. */
export function onlyOwnSessions<T extends { readonly live: SessionFinder; readonly gate: PageSessions }>(deps: T): T {
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
      close: (request, response, reason, requestId) => gate.close(request, response, reason, requestId),
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
