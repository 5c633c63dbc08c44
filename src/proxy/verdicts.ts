import type { Ingress, RequestHead } from '../core/http.ts';
import type { LiveSession } from '../core/session.ts';
import type { LostAnswer, SilentSignIn, Verdict } from '../core/webmail.ts';
import { destinationOf, isPageRequest } from './request-head.ts';

/**
 * What follows from a lost session that is signed in to again in silence. `redirect`: the tab goes to the same page.
 * `replay`: the request is asked again in the browser's place. `say-again`: the webmail's script is told to do so.
 * `hand-on-healed`: the script gets the webmail's own answer, and what it sends next finds a session.
 */
export type HealingStep = 'redirect' | 'replay' | 'say-again' | 'hand-on-healed';

/**
 * `hand-on-lost`: a fresh session was lost at once, and the webmail's own script knows what to do with the answer.
 * `tell`: an outdated page is told what it is.
 */
export type Step = 'hand-on' | 'hand-on-lost' | 'signed-out' | 'tell' | HealingStep;

/** What was sent, and how often. */
export interface Sent {
  readonly hasBody: boolean;
  readonly replayed: boolean;
  /** Whether the driver lets a read be asked again without its page knowing. */
  readonly mayReplay: boolean;
  /** Whether the driver has an answer that makes the webmail's script repeat this request. */
  readonly scriptRepeats: boolean;
  /** Whether the webmail keeps a form that was posted to no session, and shows it again on the page of that form. */
  readonly keepsForms: boolean;
}

/** Nothing with a body is ever sent twice by the gateway, and nothing at all more than twice. */
export function stepAfter(verdict: Verdict, head: RequestHead, sent: Sent): Step {
  if (verdict === 'alive') return 'hand-on';
  if (verdict === 'signed-out') return 'signed-out';
  if (verdict === 'outdated') return 'tell';
  if (isPageRequest(head)) return 'redirect';
  const isForm = head.method === 'POST' && destinationOf(head).destination !== 'other';
  if (isForm && sent.keepsForms) return 'redirect';
  const reads = head.method === 'GET' || head.method === 'HEAD';
  if (sent.replayed) return 'hand-on-lost';
  if (reads && !sent.hasBody && sent.mayReplay) return 'replay';
  return sent.scriptRepeats ? 'say-again' : 'hand-on-healed';
}

export type Healed =
  | { readonly kind: 'healed'; readonly landing: string; readonly browserCookies: readonly string[] }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'too-often' };

/** A session whose webmail answered "lost" to a request that left under `generation` of its jar. */
export interface LostSession {
  readonly session: LiveSession;
  readonly generation: number;
  readonly ingress: Ingress;
  /** Where the users of this backend land. */
  readonly landing: string;
  readonly answer: LostAnswer;
}

/**
 * Signs in to the webmail again, unless another request has done so since this one left.
 * Rejects with source `webmail` when the webmail could not be asked.
 */
export async function heal(lost: LostSession, silentSignIn: SilentSignIn): Promise<Healed> {
  const { session, generation, ingress, landing, answer } = lost;
  if (session.jar.generation !== generation) return { kind: 'healed', landing, browserCookies: [] };
  const outcome = await silentSignIn(session, ingress.client, ingress.publicUrl.origin, answer);
  return outcome.kind === 'signed-in' ? { ...outcome, kind: 'healed' } : outcome;
}
