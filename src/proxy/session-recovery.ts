import { expiredCookieLines } from '../core/cookie-jar.ts';
import type { Answer, FailureKind, RequestHead } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import type { EndReason, LiveSession } from '../core/session.ts';
import type { SilentSignIn, Verdict } from '../core/webmail.ts';
import { type FailureAnswer, type NoSession, reasonOf } from './failure.ts';
import type { Relay } from './relay.ts';
import { redirectAnswer, reply } from './reply.ts';
import { destinationOf, type Fields, isPageRequest, loggedPath } from './request-head.ts';
import { publicUrlOf, type UpstreamHead } from './response-headers.ts';
import type { SessionPassage } from './upstream-request.ts';
import { heal, type Healed, type HealingStep, stepAfter } from './webmail-verdict.ts';

/** Dependencies of createSessionAnswers. */
export interface SessionAnswersDeps {
  readonly silentSignIn: SilentSignIn;
  readonly noSession: NoSession;
  readonly failureAnswer: FailureAnswer;
  /** For a tab whose webmail loses its session again and again; says what is wrong. */
  readonly tooOftenAnswer: (head: RequestHead, reference: string) => Answer;
  /** Set-Cookie lines that clear the gateway's own cookies. */
  readonly clearedCookies: (secure: boolean) => readonly string[];
  readonly newReference: () => string;
  readonly log: Log;
}

type SessionRelay = Relay<SessionPassage>;

/** Answers for lost sessions, sign-out and failures, where a backend's answer is not passed on. */
interface SessionAnswers {
  /** Does what follows from the verdict on the relay's answer. */
  follow(relay: SessionRelay, verdict: Verdict, upstream: UpstreamHead): void;
  fail(relay: SessionRelay, kind: FailureKind, error: unknown): void;
  /** Sends these fields, too, with the answer to this request. */
  alsoSend(relay: SessionRelay, more: Fields): void;
  ended(relay: SessionRelay, reason: EndReason): void;
}

/** Makes the answers of sessions: heals a lost webmail session, ends one that was signed out. */
export function createSessionAnswers(deps: SessionAnswersDeps): SessionAnswers {
  /** Cookies of a silent sign-in that the browser must hold; they go out with the answer that follows it. */
  const later = new WeakMap<SessionRelay, Fields>();

  function fail(relay: SessionRelay, kind: FailureKind, error: unknown): void {
    if (!relay.waits) return;
    const { head, host, backend } = relay.passage;
    const reference = deps.newReference();
    const { method } = head;
    deps.log.warn('webmail-request-failed', {
      reference,
      backend: backend.name,
      host: host.name,
      kind,
      method,
      path: loggedPath(head),
      ...reasonOf(error),
    });
    send(relay, deps.failureAnswer(head, { kind, reference }));
  }

  async function healAndGoOn(relay: SessionRelay, step: HealingStep, upstream: UpstreamHead): Promise<void> {
    const { head, host, session, ingress } = relay.passage;
    try {
      const { generation } = relay;
      const answer = { host: host.name, target: head.target, setCookies: upstream.setCookies };
      const lost = { session, generation, ingress, landing: host.webmail.landing, answer };
      const healed = await heal(lost, deps.silentSignIn);
      if (!relay.waits) return;
      if (healed.kind === 'healed') {
        goOn(relay, step, healed);
      } else if (healed.kind === 'rejected') {
        relay.drop();
        relay.detach();
        endSession(session, 'password-changed', deps.log);
        send(relay, deps.noSession(head, ingress.publicUrl.origin, 'password-changed'));
      } else if (step === 'hand-on-healed') {
        relay.handOn(false, []);
      } else {
        tooOften(relay);
      }
    } catch (error) {
      if (step === 'hand-on-healed') handOnUnhealed(relay, error);
      else fail(relay, 'unavailable', error);
    }
  }

  /** The webmail has answered this request, though it cannot be signed in to: its answer is as good as one of ours. */
  function handOnUnhealed(relay: SessionRelay, error: unknown): void {
    const { backend, host } = relay.passage;
    deps.log.warn('webmail-session-not-renewed', { backend: backend.name, host: host.name, err: error });
    relay.handOn(false, []);
  }

  function goOn(relay: SessionRelay, step: HealingStep, healed: Healed & { kind: 'healed' }): void {
    const { head, driver, host, ingress } = relay.passage;
    const cookies = asSetCookies(healed.browserCookies);
    const again = step === 'say-again' ? driver.retryAnswer?.(head) : undefined;
    if (again !== undefined) {
      send(relay, again, cookies);
    } else if (step === 'hand-on-healed') {
      relay.handOn(false, cookies);
    } else if (step === 'redirect') {
      const isSignInPage = driver.isSignInPage?.(head, host.webmail.landing) === true;
      const target = isSignInPage ? healed.landing : (driver.resumeTarget?.(head.target) ?? head.target);
      send(relay, redirectAnswer(303, ingress.publicUrl.origin + target), cookies);
    } else {
      const interlude = driver.interlude?.answer(head, relay.passage.session.jar);
      if (interlude !== undefined) return send(relay, interlude, cookies);
      later.set(relay, cookies);
      relay.replay();
    }
  }

  /** Says in the driver's words that nothing was done, in the place of a refusal that the page would not understand. */
  function tell(relay: SessionRelay): void {
    const answer = relay.passage.driver.retryAnswer?.(relay.passage.head);
    if (answer === undefined) return relay.handOn(true, []);
    relay.drop();
    send(relay, answer);
  }

  function tooOften(relay: SessionRelay): void {
    const { head, host, session, driver } = relay.passage;
    const reference = deps.newReference();
    deps.log.warn('webmail-session-lost', { reference, user: session.record.user, host: host.name });
    const forScript = isPageRequest(head) ? undefined : driver.lostAnswer?.(head, '/-/login');
    send(relay, forScript ?? deps.tooOftenAnswer(head, reference));
  }

  /** The user signed out of the webmail: the session ends, and nothing of it stays in the browser. */
  function signOut(relay: SessionRelay, upstream: UpstreamHead): void {
    const { head, session, ingress } = relay.passage;
    const expired = [
      ...deps.clearedCookies(ingress.publicUrl.secure),
      ...expiredCookieLines(session.jar, ingress.publicUrl.secure),
    ];
    // A large cache takes a browser seconds to clear: the user's own may stay, another's mailbox may not.
    const isOpened = session.record.impersonation !== undefined;
    const more: Fields = [...(isOpened ? [['Clear-Site-Data', '"cache"'] as const] : []), ...asSetCookies(expired)];
    relay.detach();
    endSession(session, 'signed-out', deps.log);
    if (destinationOf(head).destination === 'page' && staysHere(upstream, relay.passage)) {
      // What the webmail shows now is its own sign-in form, which would not work here, or it leads to a page that needs
      // the session.
      relay.drop();
      send(relay, redirectAnswer(303, `${ingress.publicUrl.origin}/-/login?ended=signed-out`), more);
    } else {
      relay.handOn(true, more);
    }
  }

  return {
    fail,
    alsoSend: (relay, more) => void later.set(relay, more),
    follow(relay, verdict, upstream) {
      const { head, driver, session } = relay.passage;
      const lost = verdict === 'lost' && driver.interlude?.isForm(head, session.jar) !== true;
      const step = stepAfter(verdict === 'lost' && !lost ? 'alive' : verdict, head, {
        hasBody: head.hasBody,
        replayed: relay.replays > 0,
        mayReplay: lost && driver.mayReplay?.(head) !== false,
        scriptRepeats: lost && driver.retryAnswer?.(head) !== undefined,
        keepsForms: driver.carriesCookie !== undefined,
      });
      switch (step) {
        case 'hand-on':
          relay.handOn(true, later.get(relay) ?? []);
          break;
        case 'hand-on-lost':
          relay.handOn(false, []);
          break;
        case 'signed-out':
          signOut(relay, upstream);
          break;
        case 'tell':
          tell(relay);
          break;
        case 'redirect':
        case 'replay':
        case 'say-again':
          relay.drop();
          void healAndGoOn(relay, step, upstream);
          break;
        case 'hand-on-healed':
          // Its answer waits, so that the next request of the script finds the session.
          relay.hold();
          void healAndGoOn(relay, step, upstream);
      }
    },
    ended(relay, reason) {
      const { head, ingress } = relay.passage;
      send(relay, deps.noSession(head, ingress.publicUrl.origin, reason));
    },
  };
}

/** Whether an answer shows a page of its own or leads to one of our own origin, and not to a farewell elsewhere. */
function staysHere(upstream: UpstreamHead, to: Pick<SessionPassage, 'ingress' | 'host'>): boolean {
  if (upstream.status < 300) return true;
  const location = upstream.header('location');
  if (upstream.status >= 400 || location === undefined) return false;
  const { origin } = to.ingress.publicUrl;
  return URL.parse(publicUrlOf(location, { to }), origin)?.origin === origin;
}

/** Ends a session on all nodes without waiting for the store, which is asked again until it took it. */
export function endSession(session: LiveSession, reason: EndReason, log: Log): void {
  session.end(reason).catch((error: unknown) => {
    log.error('session-end-unconfirmed', { err: error, user: session.record.user });
  });
}

function send(relay: SessionRelay, answer: Answer, more: Fields = []): void {
  relay.detach();
  reply(relay.passage.request, relay.passage.response, answer, more);
}

function asSetCookies(lines: readonly string[]): Fields {
  return lines.map((line) => ['Set-Cookie', line] as const);
}
