import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { Answer, FailureKind, Ingress } from '../core/http.ts';
import { createWarnings, type Log } from '../core/log.ts';
import type { LiveSession, LiveSessions, SessionLookup } from '../core/session.ts';
import type { ClientRequests } from './basic-requests.ts';
import { signInChallenge } from './basic-upstream-request.ts';
import type { FailureAnswer, NoSession } from './failure.ts';
import type { IngressReader, IngressRefusal } from './ingress.ts';
import { rawReply, redirectAnswer, reply, textAnswer } from './reply.ts';
import { IncomingHead } from './request-head.ts';
import { type Refusal, screen } from './request-validation.ts';
import type { Requests } from './session-requests.ts';
import type { Upgrades } from './upgrades.ts';

const reservedPrefix = '/-/';
/** What the gateway's own forms hold at most. */
const maxOwnBody = 8 * 1024;

/** Dependencies of createAdmission. */
export interface AdmissionDeps {
  /** `/-/live` and `/-/ready`, by GET, HEAD or OPTIONS, for any Host or none. */
  readonly probes: { readonly live: () => Answer; readonly ready: () => Answer };
  readonly ingress: IngressReader;
  /** The gateway's own pages. */
  readonly pages: (request: IncomingMessage, response: ServerResponse, ingress: Ingress) => void;
  readonly sessions: LiveSessions;
  readonly requests: Requests;
  readonly clients: ClientRequests;
  readonly upgrades: Upgrades;
  readonly noSession: NoSession;
  readonly failureAnswer: FailureAnswer;
  /** For a Host that is not ours, and for plain HTTP where HTTPS is asked. */
  readonly refusedAnswer: (head: IncomingHead, why: IngressRefusal) => Answer;
  readonly newReference: () => string;
  /** How many fields a head may have. */
  readonly maxFields: () => number;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: {
    /** For the body of one of our own forms to arrive, too. */
    readonly headMs: number;
  };
}

/** Leads each request to the probes, the gateway's own pages or the webmail of its session, or refuses it early. */
interface Admission {
  request(request: IncomingMessage, response: ServerResponse): void;
  /** `early`: what the client sent after the head already. */
  upgrade(request: IncomingMessage, socket: Duplex, early: Buffer): Promise<void>;
}

interface Arrival {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
}

/** Makes the routing: validates a request's head, reads its ingress, and picks who answers. */
export function createAdmission(deps: AdmissionDeps): Admission {
  const warn = createWarnings(deps.log, deps.clock);

  /** Logs the refusal, because operators of clients and balancers read the log before the answer. */
  function noteRefused({ status, why, remedy }: Refusal, { method }: IncomingHead, { socket }: IncomingMessage): void {
    warn('request-refused', why, { status, method, peer: socket.remoteAddress, why, remedy });
  }

  function failed({ request, response, head }: Arrival, kind: FailureKind, error: unknown): void {
    const reference = deps.newReference();
    deps.log.error('request-failed', { reference, kind, err: error });
    reply(request, response, deps.failureAnswer(head, { kind, reference }));
  }

  /** A bug, perhaps a driver's, may cost its request, never the gateway. */
  function guarded(arrival: Arrival, step: () => void): void {
    try {
      step();
    } catch (error) {
      failed(arrival, 'bad-answer', error);
    }
  }

  function admit(arrival: Arrival): void {
    const { request, response, head } = arrival;
    const mayBeClient = deps.clients.covers(head.target);
    const refusal = screen(head, deps.maxFields(), mayBeClient);
    if (refusal !== undefined) {
      noteRefused(refusal, head, request);
      // What follows on this connection may be read in more than one way.
      response.shouldKeepAlive = false;
      return reply(request, response, textAnswer(refusal.status, refusal.why), refusal.fields);
    }
    const probe = probeOf(head);
    if (probe !== undefined) return reply(request, response, deps.probes[probe](), probeFields);
    const decision = deps.ingress(request, head);
    if (decision.kind === 'redirect') return reply(request, response, redirectAnswer(308, decision.location));
    if (decision.kind === 'refused') return reply(request, response, deps.refusedAnswer(head, decision.why));
    const { ingress } = decision;
    if (ingress.hostKind === 'console' || head.target.startsWith(reservedPrefix)) return ownPage(arrival, ingress);
    if (ingress.hostKind === 'assist' && isFromElsewhere(head, ingress.publicUrl.origin)) {
      return reply(request, response, textAnswer(403, 'Only the pages of this mailbox may ask for that.'));
    }
    if (mayBeClient && ingress.hostKind === 'public' && head.header('authorization') !== undefined)
      return deps.clients.pass({ ...arrival, ingress });
    const lookup = deps.sessions.find(head.cookieField, ingress.publicUrl.secure);
    if (!(lookup instanceof Promise)) return serve(arrival, ingress, lookup);
    lookup.then(
      (found) => guarded(arrival, () => serve(arrival, ingress, found)),
      (error: unknown) => failed(arrival, 'store', error),
    );
  }

  function ownPage({ request, response, head }: Arrival, ingress: Ingress): void {
    // Express would read the whole body before it answers an error.
    if (head.header('transfer-encoding') !== undefined) {
      return reply(request, response, textAnswer(411, 'Give the length of the body.'));
    }
    if (Number(head.header('content-length') ?? 0) > maxOwnBody) {
      return reply(request, response, textAnswer(413, 'The body is too large.'));
    }
    if (head.header('expect') !== undefined) response.writeContinue();
    if (head.hasBody) endWithout(request, deps.limits.headMs);
    // Express knows no absolute form.
    request.url = head.target;
    deps.pages(request, response, ingress);
  }

  function serve(arrival: Arrival, ingress: Ingress, lookup: SessionLookup): void {
    const { request, response, head } = arrival;
    if (request.socket.destroyed) return;
    const origin = ingress.publicUrl.origin;
    switch (lookup.kind) {
      case 'found':
        if (!isOf(lookup.session, ingress)) return reply(request, response, deps.noSession(head, origin));
        deps.requests.pass({ ...arrival, ingress, session: lookup.session, cookieRest: lookup.rest });
        break;
      case 'none':
        reply(request, response, deps.noSession(head, origin));
        break;
      case 'ended':
        reply(request, response, deps.noSession(head, origin, lookup.reason));
        break;
      case 'unavailable':
        failed(arrival, lookup.why, undefined);
    }
  }

  return {
    request(request, response) {
      const arrival = { request, response, head: new IncomingHead(request) };
      try {
        admit(arrival);
      } catch (error) {
        failed(arrival, 'bad-answer', error);
      }
    },

    async upgrade(request, socket, early) {
      const head = new IncomingHead(request);
      try {
        const refusal = screen(head, deps.maxFields());
        if (refusal !== undefined) noteRefused(refusal, head, request);
        if (refusal !== undefined) return rawReply(socket, refusal.status, refusal.why);
        const decision = deps.ingress(request, head);
        if (decision.kind !== 'accepted' || decision.ingress.hostKind === 'console') {
          return rawReply(socket, 400, 'Not at this address.');
        }
        if (head.target.startsWith(reservedPrefix)) return rawReply(socket, 404, 'There is nothing here.');
        const lookup = await deps.sessions.find(head.cookieField, decision.ingress.publicUrl.secure);
        if (socket.destroyed) return;
        if (lookup.kind === 'unavailable')
          return rawReply(socket, 503, 'Sessions cannot be read now.', ['Retry-After', '5']);
        if (lookup.kind !== 'found' || !isOf(lookup.session, decision.ingress)) {
          return rawReply(socket, 401, 'Sign in first.', signInChallenge);
        }
        const { session, rest } = lookup;
        deps.upgrades.open({ request, socket, early, head, ingress: decision.ingress, session, cookieRest: rest });
      } catch (error) {
        const reference = deps.newReference();
        deps.log.error('upgrade-failed', { reference, err: error });
        rawReply(socket, 503, `The connection could not be opened (${reference}).`);
      }
    },
  };
}

const probeFields = [['Allow', 'GET, HEAD, OPTIONS']] as const;

/** The probe that a balancer asks for, by whatever Host, with or without a query. */
function probeOf({ method, target }: IncomingHead): 'live' | 'ready' | undefined {
  if (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS') return undefined;
  const [path] = target.split('?', 1);
  return path === '/-/live' ? 'live' : path === '/-/ready' ? 'ready' : undefined;
}

/** A mailbox that staff opened is seen under its own host name only, and a user's own session never there. */
function isOf({ record }: LiveSession, { hostKind }: Ingress): boolean {
  return (record.impersonation !== undefined) === (hostKind === 'assist');
}

/** Cuts a client whose body does not arrive in time: nobody needs to sign in to send one slowly. */
function endWithout(request: IncomingMessage, ms: number): void {
  const timer = setTimeout(() => request.socket.destroy(), ms);
  const arrived = (): void => clearTimeout(timer);
  request.once('end', arrived).once('close', arrived);
}

/**
 * Whether a page of another host made the browser send this, a link that was followed apart. Users' mail and the
 * mailboxes that staff opened are shown under names of one site, which browsers let do much to one another: they send
 * its cookies along, SameSite or not.
 */
function isFromElsewhere(head: IncomingHead, origin: string): boolean {
  const site = head.header('sec-fetch-site');
  if (site === undefined) return (head.header('origin') ?? origin) !== origin;
  if (site === 'same-origin' || site === 'none') return false;
  const reads = head.method === 'GET' || head.method === 'HEAD';
  const isFollowed = head.header('sec-fetch-mode') === 'navigate' && head.header('sec-fetch-dest') === 'document';
  return !(reads && isFollowed);
}
