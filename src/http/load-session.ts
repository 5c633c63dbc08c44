import type { Request, RequestHandler } from 'express';
import { PosternError } from '../core/error.ts';
import type { SessionLookup, SessionRecord } from '../core/session.ts';
import { ingressOf } from './ingress-of.ts';
import type { SessionGate } from './session-gate.ts';

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
