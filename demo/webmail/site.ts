import type { IncomingMessage } from 'node:http';
import type { Request, RequestHandler, Response } from 'express';
import type { Html } from './html.ts';
import { type ImapAddress, keyOf, type MailboxKey, MailboxRefused } from './mail-client.ts';
import { pageWith, sentence } from './pages.ts';
import { cookieOf, isTokenOf, type MailSession, type SessionTable } from './sessions.ts';

/**
 * Puts a message into the INBOX of each recipient, or, if some are unknown, into none. Resolves with the unknown ones.
 */
export type Deliver = (recipients: readonly string[], message: Buffer) => Promise<readonly string[]>;

/** Dependencies of the webmail's routes. */
export interface Site {
  /** The name of the backend, which every page shows. */
  readonly name: string;
  /** The host within the backend; undefined if it is the only one. */
  readonly host: string | undefined;
  readonly imap: ImapAddress;
  readonly deliver: Deliver;
  readonly sessions: SessionTable;
}

/** The signed-in user: the session of the request, and the key to the user's mailbox. */
export interface Visitor {
  readonly session: MailSession;
  readonly key: MailboxKey;
}

type Handle = (request: Request, response: Response, visitor: Visitor) => Promise<void> | void;

/**
 * Lets only requests with a session through. Without one, `/api/` answers 401 with JSON and everything else 302 to
 * `/login`; so does a request whose password the mail server no longer takes.
 */
export function forVisitors(site: Site, handle: Handle): RequestHandler {
  return async (request, response) => {
    const session = site.sessions.find(request.headers.cookie);
    if (session?.user === undefined) return answerLost(request, response);
    const fresh = site.sessions.rotate(session);
    if (fresh !== undefined) response.append('Set-Cookie', fresh);
    const key = { ...keyOf(session.user, session.password), clientAddress: clientAddressOf(request) };
    try {
      await handle(request, response, { session, key });
    } catch (error) {
      if (!(error instanceof MailboxRefused)) throw error;
      site.sessions.end(session);
      answerLost(request, response);
    }
  };
}

/** Like {@link forVisitors}, for forms: a form without the session's token is refused with 403. */
export function forForms(site: Site, handle: Handle): RequestHandler {
  return forVisitors(site, async (request, response, visitor) => {
    if (isTokenOf(visitor.session, fieldOf(request, 'token'))) await handle(request, response, visitor);
    else refuseForm(site, request, response, visitor.session);
  });
}

function refuseForm(site: Site, request: Request, response: Response, session: MailSession): void {
  response.status(403);
  show(
    site,
    request,
    response,
    session,
    sentence('Not done', 'This form did not come from this session. Open it again.'),
  );
}

export function answerNotFound(site: Site, request: Request, response: Response): void {
  response.status(404);
  const session = site.sessions.find(request.headers.cookie);
  show(site, request, response, session, sentence('Not here', 'There is nothing under this address.'));
}

/** Sends a page with its frame around the content. */
export function show(
  site: Site,
  request: Request,
  response: Response,
  session: MailSession | undefined,
  content: Html,
): void {
  const around = {
    backend: site.name,
    host: site.host,
    user: session?.user === undefined ? undefined : keyOf(session.user, '').user,
    formToken: session?.formToken ?? '',
    density: cookieOf(request.headers.cookie, 'demo_density') === 'compact' ? 'compact' : 'roomy',
    fields: request.rawHeaders.length / 2,
  } as const;
  response.send(pageWith(around, content));
}

/** One field of a form; undefined if it is absent or repeated. */
export function fieldOf(request: Request, name: string): string {
  const body: unknown = request.body;
  return textIn(body, name);
}

/** One parameter of the query; undefined if it is absent or repeated. */
export function queryOf(request: Request, name: string): string {
  return textIn(request.query, name);
}

function textIn(values: unknown, name: string): string {
  if (typeof values !== 'object' || values === null) return '';
  const value: unknown = Object.hasOwn(values, name) ? Reflect.get(values, name) : undefined;
  return typeof value === 'string' ? value : '';
}

/** The browser's address, by the last entry of X-Forwarded-For, which the gateway wrote itself. */
export function clientAddressOf(request: IncomingMessage): string {
  const told = request.headers['x-forwarded-for'];
  const last = (Array.isArray(told) ? told.join(',') : (told ?? '')).split(',').at(-1)?.trim() ?? '';
  return last === '' ? (request.socket.remoteAddress ?? '') : last;
}

function answerLost(request: Request, response: Response): void {
  if (request.path.startsWith('/api/')) response.status(401).json({ error: 'The session is lost' });
  else response.redirect(302, '/login');
}
