import type { Secret } from '../core/secret.ts';

/** Fields of a request, as a driver adds them. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** HTTP Basic (RFC 7617, charset UTF-8). The user must not hold a colon; a canonical user has none. */
export function basicAuthorization(user: string, password: Secret): readonly [name: string, value: string] {
  return ['Authorization', `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`];
}

/** A text as a field carries it: its UTF-8 bytes, one character each. */
export function fieldValue(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
