import { expiredCookieLines } from '../core/cookie-jar.ts';
import type { Answer, FailureKind, RequestHead } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { requestIdsOf } from '../core/names.ts';
import type { EndReason, LiveSession } from '../core/session.ts';
import type { SilentLogin, Verdict } from '../core/webmail.ts';
import { type FailureAnswer, loggedReason, type NoSessionAnswer } from './failure.ts';
import type { Relay } from './relay.ts';
import { redirectAnswer, sendAnswer } from './reply.ts';
import { destinationOf, type HeaderFields, isPageRequest, loggedPath } from './request-head.ts';
import { publicUrlOf, type UpstreamHead } from './response-headers.ts';
import type { SessionUpstreamRequest } from './upstream-request.ts';
import { heal, type Healed, type HealingStep, type RecoveryStep, stepAfter } from './webmail-verdict.ts';

/** Dependencies of SessionRecovery. */
export interface SessionRecoveryDeps {
  readonly silentLogin: SilentLogin;
  readonly noSession: NoSessionAnswer;
  readonly failureAnswer: FailureAnswer;
  /** The answer for a tab whose webmail loses its session again and again; says what is wrong. */
  readonly tooOftenAnswer: (head: RequestHead, reference: string) => Answer;
  /** Set-Cookie lines that clear the gateway's own cookies. */
  readonly clearedCookies: (secure: boolean) => readonly string[];
  readonly log: Log;
}

/** The relay of a request of a session. */
export type SessionRelay = Relay<SessionUpstreamRequest>;

/**
 * Does what follows from a verdict on an answer: hands it on, recovers a lost webmail session, or ends a session that
 * was signed out.
 */
export class SessionRecovery {
  readonly #deps: SessionRecoveryDeps;
  /** Further fields for the answer to a request, such as the cookies of a silent login. */
  readonly #laterFields = new WeakMap<SessionRelay, HeaderFields>();

  constructor(deps: SessionRecoveryDeps) {
    this.#deps = deps;
  }

  /** Does what follows from the verdict on the relay's answer. */
  follow(relay: SessionRelay, verdict: Verdict, upstream: UpstreamHead): void {
    const step = recoveryStepFor(relay, verdict);
    switch (step) {
      case 'hand-on':
        relay.handOn(true, this.#laterFields.get(relay) ?? []);
        break;
      case 'hand-on-lost':
        relay.handOn(false, []);
        break;
      case 'signed-out':
        this.#signOut(relay, upstream);
        break;
      case 'say-outdated':
        sayOutdated(relay);
        break;
      case 'redirect':
      case 'replay':
      case 'say-again':
        relay.drop();
        void this.#heal(relay, step, upstream);
        break;
      case 'hand-on-healed':
        // The answer waits until the webmail session is there: the script's next request needs it.
        relay.hold();
        void this.#heal(relay, step, upstream);
    }
  }

  /** Answers that the request failed, if it has no answer yet. */
  fail(relay: SessionRelay, kind: FailureKind, error: unknown): void {
    if (!relay.waits) return;
    const { head, host, backend, ingress, session } = relay.upstreamRequest;
    const ids = requestIdsOf(ingress);
    this.#deps.log.warn('webmail-request-failed', {
      ...ids,
      user: session.record.user,
      client: ingress.client.address,
      backend: backend.name,
      host: host.name,
      kind,
      method: head.method,
      path: loggedPath(head),
      ...loggedReason(error),
    });
    answerRelay(relay, this.#deps.failureAnswer(head, { kind, reference: ids.reference }));
  }

  /** Adds fields to the answer that this request will get. */
  alsoSend(relay: SessionRelay, more: HeaderFields): void {
    this.#laterFields.set(relay, more);
  }

  /** Answers a request whose session has ended. */
  sessionEnded(relay: SessionRelay, reason: EndReason): void {
    const { head, ingress } = relay.upstreamRequest;
    answerRelay(relay, this.#deps.noSession(head, ingress.publicUrl.origin, reason));
  }

  async #heal(relay: SessionRelay, step: HealingStep, upstream: UpstreamHead): Promise<void> {
    const { head, host, session, ingress } = relay.upstreamRequest;
    try {
      const { generation } = relay;
      const answer = { host: host.name, target: head.target, setCookies: upstream.setCookies };
      const lost = { session, generation, ingress, landing: host.webmail.landing, answer };
      const healed = await heal(lost, this.#deps.silentLogin);
      if (!relay.waits) return;
      if (healed.kind === 'healed') {
        this.#proceed(relay, step, healed);
      } else if (healed.kind === 'rejected') {
        relay.drop();
        relay.detach();
        endSession(session, 'password-changed', this.#deps.log, ingress.requestId);
        answerRelay(relay, this.#deps.noSession(head, ingress.publicUrl.origin, 'password-changed'));
      } else if (step === 'hand-on-healed') {
        relay.handOn(false, []);
      } else {
        this.#answerTooOften(relay);
      }
    } catch (error) {
      if (step === 'hand-on-healed') this.#handOnUnhealed(relay, error);
      else this.fail(relay, 'unavailable', error);
    }
  }

  /** The webmail did answer this request, though the login failed: its answer is as good as one of ours. */
  #handOnUnhealed(relay: SessionRelay, error: unknown): void {
    const { backend, host, ingress } = relay.upstreamRequest;
    const { requestId } = ingress;
    this.#deps.log.warn('webmail-session-not-renewed', {
      requestId,
      backend: backend.name,
      host: host.name,
      err: error,
    });
    relay.handOn(false, []);
  }

  #proceed(relay: SessionRelay, step: HealingStep, healed: Healed & { kind: 'healed' }): void {
    const { head, driver, host, ingress, session } = relay.upstreamRequest;
    const cookies = setCookieFields(healed.browserCookies);
    const again = step === 'say-again' ? driver.retryAnswer?.(head) : undefined;
    if (again !== undefined) {
      answerRelay(relay, again, cookies);
    } else if (step === 'hand-on-healed') {
      relay.handOn(false, cookies);
    } else if (step === 'redirect') {
      const isSignInPage = driver.isSignInPage?.(head, host.webmail.landing) === true;
      const target = isSignInPage ? healed.landing : (driver.resumeTarget?.(head.target) ?? head.target);
      answerRelay(relay, redirectAnswer(303, ingress.publicUrl.origin + target), cookies);
    } else {
      const interlude = driver.interlude?.answer(head, session.jar);
      if (interlude !== undefined) return answerRelay(relay, interlude, cookies);
      this.#laterFields.set(relay, cookies);
      relay.replay();
    }
  }

  #answerTooOften(relay: SessionRelay): void {
    const { head, host, session, driver, ingress } = relay.upstreamRequest;
    const ids = requestIdsOf(ingress);
    this.#deps.log.warn('webmail-session-lost', { ...ids, user: session.record.user, host: host.name });
    const forScript = isPageRequest(head) ? undefined : driver.lostAnswer?.(head, '/-/login');
    answerRelay(relay, forScript ?? this.#deps.tooOftenAnswer(head, ids.reference));
  }

  /** The user signed out of the webmail: the session ends, and nothing of it stays in the browser. */
  #signOut(relay: SessionRelay, upstream: UpstreamHead): void {
    const { head, session, ingress } = relay.upstreamRequest;
    const { secure, origin } = ingress.publicUrl;
    const expired = [...this.#deps.clearedCookies(secure), ...expiredCookieLines(session.jar, secure)];
    // A large cache takes a browser seconds to clear: that of the user's own mailbox may stay, an opened one's may not.
    const isOpened = session.record.impersonation !== undefined;
    const clearing: HeaderFields = isOpened ? [['Clear-Site-Data', '"cache"']] : [];
    const more: HeaderFields = [...clearing, ...setCookieFields(expired)];
    relay.detach();
    endSession(session, 'signed-out', this.#deps.log, ingress.requestId);
    if (destinationOf(head).destination === 'page' && staysHere(upstream, relay.upstreamRequest)) {
      // The webmail now shows its own sign-in form, which does not work here, or redirects to a page that needs the
      // session.
      relay.drop();
      answerRelay(relay, redirectAnswer(303, `${origin}/-/login?ended=signed-out`), more);
    } else {
      relay.handOn(true, more);
    }
  }
}

function recoveryStepFor({ upstreamRequest, replays }: SessionRelay, verdict: Verdict): RecoveryStep {
  if (verdict === 'alive') return 'hand-on';
  const { head, driver, session } = upstreamRequest;
  const isLost = verdict === 'lost';
  // The answer to the form of an interlude is that form's, whatever it looks like.
  if (isLost && driver.interlude?.isForm(head, session.jar) === true) return 'hand-on';
  return stepAfter(verdict, head, {
    hasBody: head.hasBody,
    replayed: replays > 0,
    mayReplay: isLost && driver.mayReplay?.(head) !== false,
    scriptRepeats: isLost && driver.retryAnswer?.(head) !== undefined,
    keepsForms: driver.carriesCookie !== undefined,
  });
}

/** Tells an outdated page, in the driver's words, that nothing was done: it would not understand the refusal itself. */
function sayOutdated(relay: SessionRelay): void {
  const { driver, head } = relay.upstreamRequest;
  const answer = driver.retryAnswer?.(head);
  if (answer === undefined) return relay.handOn(true, []);
  relay.drop();
  answerRelay(relay, answer);
}

/** Whether an answer shows a page, or redirects to one of our own origin and not to a farewell page elsewhere. */
function staysHere(upstream: UpstreamHead, to: Pick<SessionUpstreamRequest, 'ingress' | 'host'>): boolean {
  if (upstream.status < 300) return true;
  const location = upstream.header('location');
  if (upstream.status >= 400 || location === undefined) return false;
  const { origin } = to.ingress.publicUrl;
  return URL.parse(publicUrlOf(location, { to }), origin)?.origin === origin;
}

/** Ends a session on all nodes without waiting for the store. The session retries until the store has taken it. */
export function endSession(session: LiveSession, reason: EndReason, log: Log, requestId: string): void {
  session.end(reason, requestId).catch((error: unknown) => {
    log.error('session-end-unconfirmed', { err: error, user: session.record.user });
  });
}

function answerRelay(relay: SessionRelay, answer: Answer, more: HeaderFields = []): void {
  relay.detach();
  sendAnswer(relay.upstreamRequest.request, relay.upstreamRequest.response, answer, more);
}

function setCookieFields(lines: readonly string[]): HeaderFields {
  return lines.map((line) => ['Set-Cookie', line] as const);
}
