import type { Answer, RequestHead } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { requestIdsOf } from '../core/names.ts';
import type { Closure, Place, Relocate, Relocated } from '../core/placement.ts';
import type { SessionRecord } from '../core/session.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { errorCodeOf, type FailureAnswer, type NoSessionAnswer } from './failure.ts';
import { redirectAnswer, sendAnswer } from './reply.ts';
import type { HeaderFields } from './request-head.ts';
import { endSession } from './session-recovery.ts';
import type { SessionRequest } from './upstream-request.ts';
import { stepAfter } from './webmail-verdict.ts';

/** Dependencies of createSessionRelocation. */
export interface SessionRelocationDeps {
  readonly relocate: Relocate;
  /** Resolves with a session's place once a standby had time to take over, and the directory to name another home. */
  readonly reconsider: (record: SessionRecord) => Promise<Place>;
  /** 503 while the backend serves nobody, for a person or for a script. */
  readonly closedAnswer: (
    head: RequestHead,
    closure: Closure,
    reference: string,
    timeZone: string | undefined,
  ) => Answer;
  readonly noSession: NoSessionAnswer;
  readonly failureAnswer: FailureAnswer;
  readonly log: Log;
}

/** A request whose session must move to another place. */
export interface RelocatedRequest {
  readonly task: SessionRequest;
  /** The driver of the session's backend, asked once the session has moved. */
  readonly driverNow: () => WebmailDriver | undefined;
  /** Passes the request on to the session's new place. `more`: further fields of its answer. */
  readonly proceed: (more: HeaderFields) => void;
}

/** Answers requests while their session moves to another host or backend. */
export interface SessionRelocation {
  /** Moves the session, then repeats the request, if it may be sent again in a fresh webmail session. */
  relocate(relocated: RelocatedRequest): Promise<void>;
  /** Answers why nobody is served, unless the session has just got another place. */
  refuse(relocated: RelocatedRequest, closure: Closure): Promise<void>;
}

/** Creates the relocation of sessions. */
export function createSessionRelocation(deps: SessionRelocationDeps): SessionRelocation {
  async function relocate(relocated: RelocatedRequest): Promise<void> {
    const { task } = relocated;
    const { request, response, head, session, ingress } = task;
    const from = session.record.backend;
    try {
      const outcome = await deps.relocate(session, ingress.client, ingress.publicUrl.origin);
      if (response.destroyed) return;
      if (outcome.kind === 'relocated') return continueAt(relocated, outcome, session.record.backend !== from);
      if (outcome.kind === 'closed') return sayClosed(task, outcome.closure);
      const reason = outcome.kind === 'rejected' ? 'password-changed' : 'signed-out';
      if (outcome.kind === 'rejected') endSession(session, reason, deps.log, ingress.requestId);
      sendAnswer(request, response, deps.noSession(head, ingress.publicUrl.origin, reason));
    } catch (error) {
      const ids = requestIdsOf(ingress);
      const code = error instanceof Error ? errorCodeOf(error) : undefined;
      const { user, backend, host } = session.record;
      deps.log.warn('session-not-relocated', { ...ids, user, backend, host, code, err: error });
      sendAnswer(request, response, deps.failureAnswer(head, { kind: 'unavailable', reference: ids.reference }));
    }
  }

  function sayClosed({ request, response, head, ingress, session }: SessionRequest, closure: Closure): void {
    const ids = requestIdsOf(ingress);
    const { user, backend, host, timeZone } = session.record;
    deps.log.info('request-not-served', { ...ids, user, backend, host, because: closure.kind });
    sendAnswer(request, response, deps.closedAnswer(head, closure, ids.reference, timeZone));
  }

  return {
    relocate,
    async refuse(relocated, closure) {
      const { task } = relocated;
      if (closure.kind !== 'down' && closure.kind !== 'maintenance') return sayClosed(task, closure);
      const place = await deps.reconsider(task.session.record);
      if (task.response.destroyed) return undefined;
      // `here`: another request has already relocated the session.
      return place.kind === 'closed' ? sayClosed(task, closure) : relocate(relocated);
    },
  };
}

/**
 * Answers or passes on a request whose session was relocated. The new webmail session knows nothing of the old one, as
 * if it had been lost and healed at once.
 */
function continueAt(
  { task, driverNow, proceed }: RelocatedRequest,
  { landing, browserCookies }: Relocated & { kind: 'relocated' },
  moved: boolean,
): void {
  const { request, response, head, ingress } = task;
  const driver = driverNow();
  const more: HeaderFields = browserCookies.map((line) => ['Set-Cookie', line] as const);
  const again = driver?.retryAnswer?.(head);
  const step = stepAfter('lost', head, {
    hasBody: head.hasBody,
    replayed: false,
    mayReplay: driver?.mayReplay?.(head) !== false,
    scriptRepeats: again !== undefined,
    // The webmail received nothing, so it keeps no form.
    keepsForms: false,
  });
  if (step === 'redirect') {
    // Another backend may run another webmail, which does not know this page.
    const target = moved ? landing : (driver?.resumeTarget?.(head.target) ?? head.target);
    sendAnswer(request, response, redirectAnswer(303, ingress.publicUrl.origin + target), more);
  } else if (step === 'say-again' && again !== undefined) sendAnswer(request, response, again, more);
  else proceed(more);
}
