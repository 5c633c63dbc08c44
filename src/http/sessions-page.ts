import type { Request, RequestHandler, Response } from 'express';
import type { CanonicalUser, RecordKey } from '../core/names.ts';
import {
  type EndReason,
  type LiveSession,
  type SessionFinder,
  sessionKind,
  type SessionRecord,
} from '../core/session.ts';
import { deviceName } from '../core/text.ts';
import { formField, type FormTokens, queryParameter, requestInitiator, seeOther } from './forms.ts';
import { type Locale, timeTextOf } from './locales.ts';
import { ingressOf, signInPathOf } from './request-context.ts';
import type { Views } from './views.ts';

/** The sessions of a user, on all nodes. Each call rejects when the store cannot be asked. */
export interface OwnSessions {
  sessionsOfUser(
    user: CanonicalUser,
  ): Promise<readonly { readonly key: RecordKey; readonly record: SessionRecord; readonly lastUseMs: number }[]>;
  end(key: RecordKey, reason: EndReason, by: string, requestId: string): Promise<void>;
  endSessionsOfUser(
    user: CanonicalUser,
    reason: EndReason,
    options: { readonly except?: RecordKey | undefined; readonly by: string; readonly requestId: string },
  ): Promise<number>;
}

/** Dependencies of the page of a user's sessions. */
interface SessionsPageDeps {
  readonly ownSessions: OwnSessions;
  /** Whether users hear of mailboxes that staff opened; no if left out. */
  readonly tellsOfOpened?: boolean;
  readonly live: SessionFinder;
  readonly tokens: FormTokens;
  readonly views: Views;
}

/** `/-/sessions`: where a user is signed in, with a button to end each other session, or all of them. */
export function createSessionsPage({ ownSessions, tellsOfOpened = false, live, tokens, views }: SessionsPageDeps): {
  show: RequestHandler;
  submit: RequestHandler;
} {
  /** The session of this browser; otherwise answers with the sign-in page or a 503. */
  async function current(request: Request, response: Response): Promise<LiveSession | undefined> {
    const found = await live.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    if (found.kind === 'found') return found.session;
    if (found.kind !== 'unavailable') {
      seeOther(response, signInPathOf(found));
      return undefined;
    }
    const locale = views.locales.choose(undefined, request.headers['accept-language']);
    response.status(503).type('html').setHeader('Retry-After', '5');
    const frame = { locale, title: locale.text('failure.store.title') };
    response.end(views.render('message', frame, { text: locale.text('failure.store.text') }));
    return undefined;
  }

  async function show(request: Request, response: Response): Promise<void> {
    const session = await current(request, response);
    if (session === undefined) return;
    const locale = views.locales.choose(queryParameter(request.url, 'lang'), request.headers['accept-language']);
    const all = await ownSessions.sessionsOfUser(session.record.user);
    // Where users get no notice of opened mailboxes, this page tells of none either.
    const listed = all.filter(({ record }) => tellsOfOpened || record.impersonation === undefined);
    const time = timeTextOf(locale, 'medium', session.record.timeZone);
    const rows = listed.toReversed().map(({ key, record, lastUseMs }) => ({
      key,
      isThis: key === session.key,
      device: sessionName(record, locale, time),
      place: record.clientAddress,
      since: time(record.createdAtMs),
      lastUse: time(Math.max(lastUseMs, record.createdAtMs)),
    }));
    response.type('html').setHeader('Content-Language', locale.tag);
    response.vary('Accept-Language');
    const values = {
      rows,
      others: rows.length > 1,
      user: session.record.user,
      token: tokens.issue(sessionsFormBinding(session)),
    };
    response.end(views.render('sessions', { locale, title: locale.text('sessions.title') }, values));
  }

  async function submit(request: Request, response: Response): Promise<void> {
    const session = await current(request, response);
    if (session === undefined) return;
    const isBound = tokens.check(formField(request.body, 'token'), sessionsFormBinding(session));
    const { publicUrl, requestId } = ingressOf(request);
    const initiator = requestInitiator(request.headers, publicUrl.origin);
    if (isBound && initiator !== 'foreign') await end(session, formField(request.body, 'end'), requestId);
    seeOther(response, '/-/sessions');
  }

  /** Only the user's own sessions: the key of another user's session counts as unknown. */
  async function end({ key: own, record }: LiveSession, wanted: string | undefined, requestId: string): Promise<void> {
    if (wanted === 'others') {
      await ownSessions.endSessionsOfUser(record.user, 'ended-elsewhere', { except: own, by: record.user, requestId });
      return;
    }
    const listed = await ownSessions.sessionsOfUser(record.user);
    const found = listed.find(({ key }) => key === wanted && key !== own);
    if (found !== undefined) await ownSessions.end(found.key, 'ended-elsewhere', record.user, requestId);
  }

  return { show, submit };
}

/** What a session is to its user: a device, the support console, or the mailbox in the hands of support. */
function sessionName(record: SessionRecord, locale: Locale, time: (ms: number) => string): string {
  const { impersonation, absoluteEndMs, userAgent } = record;
  if (impersonation !== undefined) {
    return locale.text('sessions.opened', { actor: impersonation.actor, until: time(absoluteEndMs) });
  }
  const device = deviceName(userAgent) ?? locale.text('sessions.unknownDevice');
  return sessionKind(record) === 'console' ? locale.text('sessions.console', { device }) : device;
}

function sessionsFormBinding({ record }: LiveSession): string {
  return `sessions ${record.userKey} ${record.createdAtMs}`;
}
