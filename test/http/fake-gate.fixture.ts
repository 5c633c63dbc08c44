import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Request } from 'express';
import { PosternError } from '../../src/core/error.ts';
import type { RecordKey } from '../../src/core/names.ts';
import type { EndReason, LiveSession, NewSession, SessionFinder } from '../../src/core/session.ts';
import { ingressOf, type PageSessions } from '../../src/http/request-context.ts';
import { liveSession } from '../login/live-session.fixture.ts';

/** Sessions in a map behind the two ports that the pages use; `stored` shows what they did. */
export interface FakeGate {
  readonly gate: PageSessions;
  readonly live: SessionFinder;
  readonly stored: Map<string, LiveSession>;
  /** The sessions that the pages opened, in order. */
  readonly opened: NewSession[];
  readonly ended: { id: string; reason: EndReason }[];
  /** Every call rejects as if the store were away. */
  away: boolean;
}

/** Stands for src/sessions, so that the pages are tried without a store. */
export function createFakeGate(nowMs: () => number): FakeGate {
  const stored: FakeGate['stored'] = new Map();
  const ended: FakeGate['ended'] = [];
  const opened: NewSession[] = [];

  const fake: FakeGate = {
    stored,
    ended,
    opened,
    away: false,
    gate: {
      middleware: (secure) => (request, _response, next) => {
        assert.equal(secure, ingressOf(request).publicUrl.secure);
        next();
      },
      async open(request, response, session) {
        if (fake.away) throw storeAway();
        const before = idOf(request.headers.cookie);
        if (before !== undefined) stored.delete(before);
        const id = randomBytes(9).toString('base64url');
        opened.push(session);
        stored.set(id, liveSessionOf(session, nowMs()));
        const { secure } = ingressOf(request).publicUrl;
        response.cookie(nameFor(request), id, { path: '/', httpOnly: true, sameSite: 'lax', secure });
        return id as RecordKey;
      },
      current(request) {
        if (fake.away && idOf(request.headers.cookie) !== undefined) throw storeAway();
        return stored.get(idOf(request.headers.cookie) ?? '')?.record;
      },
      async close(request, response, reason) {
        const id = idOf(request.headers.cookie);
        if (id !== undefined && stored.delete(id)) ended.push({ id, reason });
        const { secure } = ingressOf(request).publicUrl;
        response.clearCookie(nameFor(request), { path: '/', httpOnly: true, sameSite: 'lax', secure });
      },
    },
    live: {
      find(cookieField) {
        const found = stored.get(idOf(cookieField) ?? '');
        return found === undefined ? { kind: 'none', rest: '' } : { kind: 'found', session: found, rest: '' };
      },
    },
  };
  return fake;
}

function idOf(cookieField: string | undefined): string | undefined {
  return /(?:^|; )(?:__Host-)?postern=([\w-]+)/.exec(cookieField ?? '')?.[1];
}

function nameFor(request: Request): string {
  return ingressOf(request).publicUrl.secure ? '__Host-postern' : 'postern';
}

function storeAway(): PosternError {
  return new PosternError('ERR_STORE_UNAVAILABLE', 'the store is away', { source: 'store', retryable: true });
}

function liveSessionOf(session: NewSession, nowMs: number): LiveSession {
  const { user, backend, host, jar } = session;
  return liveSession({ user, backend, host, createdAtMs: nowMs }, jar);
}
