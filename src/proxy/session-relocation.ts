import type { Answer, RequestHead } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import type { Closure, Place, Relocate, Relocated } from '../core/placement.ts';
import type { SessionRecord } from '../core/session.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { codeOf, type FailureAnswer, type NoSession } from './failure.ts';
import { redirectAnswer, reply } from './reply.ts';
import type { Fields } from './request-head.ts';
import { endSession } from './session-recovery.ts';
import type { SessionRequest } from './upstream-request.ts';
import { stepAfter } from './webmail-verdict.ts';

/** Dependencies of createRelocations. */
export interface RelocationsDeps {
  readonly relocate: Relocate;
  /** The place of a session once a standby had the time to take over, and the directory to say another home. */
  readonly reconsider: (record: SessionRecord) => Promise<Place>;
  /** 503 while nobody is served, for a person or for a script. */
  readonly closedAnswer: (
    head: RequestHead,
    closure: Closure,
    reference: string,
    timeZone: string | undefined,
  ) => Answer;
  readonly noSession: NoSession;
  readonly failureAnswer: FailureAnswer;
  readonly newReference: () => string;
  readonly log: Log;
}

/** A request on its way elsewhere. */
interface Leading {
  readonly task: SessionRequest;
  /** The driver of the backend that the session is on, once it is led there. */
  readonly driverNow: () => WebmailDriver | undefined;
  /** Carries the request to where the session then is, with further fields for its answer. */
  readonly goOn: (more: Fields) => void;
}

/** Answers while a session moves to another place. */
interface Relocations {
  /** Leads the session elsewhere, then the request, as far as it may be sent again in a fresh webmail session. */
  lead(leading: Leading): Promise<void>;
  /** Says why nobody is served, unless another place for this session is found just now. */
  refuse(leading: Leading, closure: Closure): Promise<void>;
}

/** Makes the relocation of sessions to another host or backend. */
export function createRelocations(deps: RelocationsDeps): Relocations {
  async function lead(leading: Leading): Promise<void> {
    const { task } = leading;
    const { request, response, head, session, ingress } = task;
    const from = session.record.backend;
    try {
      const outcome = await deps.relocate(session, ingress.client, ingress.publicUrl.origin);
      if (response.destroyed) return;
      if (outcome.kind === 'relocated') return follow(leading, outcome, session.record.backend !== from);
      if (outcome.kind === 'closed') return close(task, outcome.closure);
      const reason = outcome.kind === 'rejected' ? 'password-changed' : 'signed-out';
      if (outcome.kind === 'rejected') endSession(session, reason, deps.log);
      reply(request, response, deps.noSession(head, ingress.publicUrl.origin, reason));
    } catch (error) {
      const reference = deps.newReference();
      const code = error instanceof Error ? codeOf(error) : undefined;
      const { backend, host } = session.record;
      deps.log.warn('session-not-relocated', { reference, backend, host, code, err: error });
      reply(request, response, deps.failureAnswer(head, { kind: 'unavailable', reference }));
    }
  }

  function close({ request, response, head, session }: SessionRequest, closure: Closure): void {
    const reference = deps.newReference();
    const { backend, host, timeZone } = session.record;
    deps.log.info('request-not-served', { reference, backend, host, because: closure.kind });
    reply(request, response, deps.closedAnswer(head, closure, reference, timeZone));
  }

  return {
    lead,
    async refuse(leading, closure) {
      const { task } = leading;
      if (closure.kind !== 'down' && closure.kind !== 'maintenance') return close(task, closure);
      const place = await deps.reconsider(task.session.record);
      if (task.response.destroyed) return undefined;
      // `here`: another request of the session has led it away meanwhile.
      return place.kind === 'closed' ? close(task, closure) : lead(leading);
    },
  };
}

/** The webmail knows nothing of what the old session held: as if it had lost its session, which was mended at once. */
function follow(
  { task, driverNow, goOn }: Leading,
  { landing, browserCookies }: Relocated & { kind: 'relocated' },
  moved: boolean,
): void {
  const { request, response, head, ingress } = task;
  const driver = driverNow();
  const more: Fields = browserCookies.map((line) => ['Set-Cookie', line] as const);
  const again = driver?.retryAnswer?.(head);
  const step = stepAfter('lost', head, {
    hasBody: head.hasBody,
    replayed: false,
    mayReplay: driver?.mayReplay?.(head) !== false,
    scriptRepeats: again !== undefined,
    // Here nothing was sent to the webmail: it keeps nothing.
    keepsForms: false,
  });
  if (step === 'redirect') {
    // Another backend may run another webmail, which does not know this page.
    const target = moved ? landing : (driver?.resumeTarget?.(head.target) ?? head.target);
    reply(request, response, redirectAnswer(303, ingress.publicUrl.origin + target), more);
  } else if (step === 'say-again' && again !== undefined) reply(request, response, again, more);
  else goOn(more);
}
