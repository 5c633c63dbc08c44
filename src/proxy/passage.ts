import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Backend, BackendHost } from '../core/backend.ts';
import type { Ingress } from '../core/ingress.ts';
import type { LiveSession } from '../core/session.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { IncomingHead } from './request-head.ts';

/** A request whose session was found. */
export interface SessionRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
}

/** One request of a session on its way to the session's webmail. */
export interface Passage extends SessionRequest {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

/** Further fields of an answer, in order. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** The fields that a session's driver adds to a request on its way to the webmail. */
export function driverFieldsOf(
  driver: WebmailDriver,
  { head, session, ingress }: Pick<SessionRequest, 'head' | 'session' | 'ingress'>,
): Fields {
  if (driver.requestHeaders === undefined) return [];
  return driver.requestHeaders(head, {
    user: session.record.user,
    password: session.password,
    client: ingress.client,
    timeZone: session.record.timeZone,
    publicOrigin: ingress.publicUrl.origin,
    session: session.key,
  });
}
