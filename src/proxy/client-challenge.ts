import type { Answer } from '../core/http.ts';
import type { Fields } from './passage.ts';
import { textAnswer } from './reply.ts';

/** 401, with which a client asks its user for name and password, or sends those that it has (RFC 7617). */
export function challengeAnswer(realm: string): Answer {
  const answer = textAnswer(401, 'Sign in with your name and password.');
  return { ...answer, headers: [...answer.headers, ...challengeFields(realm)] };
}

/** The realm is what clients keep passwords under: it must not change with the backend. */
export function challengeFields(realm: string): Fields {
  const plain = realm.replaceAll(/[^\x20-\x7e]/g, '').replaceAll(/["\\]/g, '\\$&');
  return [['WWW-Authenticate', `Basic realm="${plain}", charset="UTF-8"`]];
}

/**
 * The challenge of a refusal that only the sign-in page can lift: RFC 9110, 15.5.2 demands one, and browsers ask nobody
 * for a password under a scheme that they don't know.
 */
export const signInChallenge = ['WWW-Authenticate', 'Cookie realm="sign-in", form-action="/-/login"'] as const;
