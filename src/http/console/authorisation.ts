import type { Request, RequestHandler, Response } from 'express';
import type { Audit } from '../../core/audit.ts';
import { PosternError } from '../../core/error.ts';
import { includesRole, type StaffGrant } from '../../core/identity.ts';
import type { Log } from '../../core/log.ts';
import { requestIdsOf } from '../../core/names.ts';
import type { StaffMember } from '../../support/roles.ts';
import { staffCookieLine, type StaffSession, type StaffSessions } from '../../support/staff-sessions.ts';
import { formField, type FormTokens, requestInitiator, seeOther } from '../forms.ts';
import { goneSignal, ingressOf } from '../request-context.ts';
import type { Views } from '../views.ts';
import { type ConsoleFrame, showMessage, sourceKeyOf } from './layout.ts';

/** A request of a member of staff whose session and role were looked up for it. */
export interface StaffExchange {
  readonly request: Request;
  readonly response: Response;
  readonly session: StaffSession;
  readonly staff: StaffMember;
  /** Who acts, as the audit names them. */
  readonly actor: string;
  /** The values of the frame around the page. */
  readonly frame: ConsoleFrame;
  /** Aborted when the browser is gone. */
  readonly gone: AbortSignal;
}

/** Handles an authorised exchange; it always answers. */
export type StaffHandler = (exchange: StaffExchange) => Promise<void> | void;

/**
 * The present grant of the owner of a session; undefined without a role. Rejects if the directory could not be asked.
 */
export type GrantOf = (session: StaffSession, signal: AbortSignal) => Promise<StaffGrant | undefined>;

/** A page's requirements. Without `role`, any role will do. */
interface Needs {
  readonly step: StaffSession['step'];
  readonly role?: StaffGrant['roles'][number];
}

/** Dependencies of the console's guard. */
export interface ConsoleGuardDeps {
  readonly sessions: StaffSessions;
  readonly grantOf: GrantOf;
  readonly audit: Pick<Audit, 'record'>;
  readonly tokens: FormTokens;
  readonly views: Views;
  /** Reads what other nodes wrote. Rejects when the state store cannot be asked. */
  readonly refresh: () => Promise<void>;
  readonly log: Log;
  readonly randomBytes: (size: number) => Buffer;
}

/**
 * Admits staff to a page of the console by session and role; the role is looked up for each request. A form counts only
 * from our own page in the same session. Staff who have lost every role lose the session too.
 */
type ConsoleGuard = (needs: Needs, work: StaffHandler) => RequestHandler;

/** Makes the guard that every page of the console passes: session, role, form token. */
export function createConsoleGuard(deps: ConsoleGuardDeps): ConsoleGuard {
  const { sessions, audit, tokens, views } = deps;

  async function authorise(request: Request, response: Response, needs: Needs): Promise<StaffExchange | undefined> {
    const { publicUrl, client, requestId } = ingressOf(request);
    const session = await sessions.find(request.headers.cookie, publicUrl.secure);
    if (session === undefined) return goTo(response, '/-/login');
    const gone = goneSignal(response);
    await readNews(needs);
    const grant = await deps.grantOf(session, gone);
    const actor = session.linkBy ?? session.user;
    const who = { actor, address: client.address };
    if (grant === undefined) {
      await sessions.end(session, 'kicked', requestId);
      await audit.record({ event: 'role-refused', ...who, facts: { path: request.path, why: 'no role' } });
      response.appendHeader('Set-Cookie', staffCookieLine(undefined, publicUrl.secure));
      return goTo(response, '/-/login?ended=role');
    }
    if (session.step !== needs.step) {
      return goTo(response, session.step === 'password' ? '/-/factor' : '/-/');
    }
    const { key, user, provenAtMs } = session;
    const staff: StaffMember = { ...grant, user, session: key, address: client.address, provenAtMs };
    const frame = {
      user: actor,
      roles: session.step === 'password' ? [] : grant.roles,
      token: tokens.issue(consoleFormBinding(session)),
    };
    if (needs.role !== undefined && !includesRole(grant.roles, needs.role)) {
      await audit.record({ event: 'role-refused', ...who, facts: { path: request.path, why: `not ${needs.role}` } });
      showMessage(views, response, { ...frame, status: 403, title: 'No access' }, roleText(needs.role));
      return undefined;
    }
    if (request.method === 'POST' && !tokens.check(formField(request.body, 'token'), consoleFormBinding(session))) {
      showMessage(views, response, { ...frame, status: 403, title: 'Please try again' }, staleText);
      return undefined;
    }
    return { request, response, session, staff, actor, frame, gone };
  }

  /**
   * Reads what other nodes wrote: another node may have answered the form before. Without the state store, pages show
   * what this node knows; second factors need the store.
   */
  async function readNews({ step }: Needs): Promise<void> {
    try {
      await deps.refresh();
    } catch (error) {
      if (!(error instanceof PosternError) || step === 'password') throw error;
      deps.log.warn('console-stale', { err: error, code: error.code });
    }
  }

  return (needs, work) => async (request, response) => {
    try {
      const authorised = await authorise(request, response, needs);
      if (authorised !== undefined) await work(authorised);
    } catch (error) {
      if (response.destroyed && !response.writableFinished) return;
      if (!(error instanceof PosternError)) throw error;
      showUnavailable(deps, response, error, error.message);
    }
  };
}

/** The message for a form whose token has expired or belongs to another session. */
export const staleText = 'This page was open for too long, or belongs to another session. Nothing was changed.';

/**
 * Answers that something could not be asked or done, under a reference that the log has too. `cause`: only for authenticated
 * staff.
 */
export function showUnavailable(
  { views, log }: Pick<ConsoleGuardDeps, 'views' | 'log'>,
  response: Response,
  error: PosternError,
  cause?: string,
): void {
  const { text } = views.locales.choose('en', undefined);
  const ids = requestIdsOf(ingressOf(response.req));
  log.warn('console-unavailable', { err: error, code: error.code, ...ids });
  response.setHeader('Retry-After', '5');
  const frame = { user: undefined, roles: [], token: '', status: 503, title: 'Temporarily unavailable' };
  const why =
    error.source === 'audit'
      ? 'The audit log cannot be written, and nothing is done without it. Tell an operator.'
      : `There is a problem with ${text(sourceKeyOf(error.source))}. Nothing was changed.`;
  const more = cause === undefined || error.source === 'audit' ? '' : ` ${text('support.cause', { detail: cause })}`;
  showMessage(views, response, frame, why + more, ids.reference);
}

/**
 * Requires that our own page sent every request but a navigation. Browsers say so; a request that does not say is
 * refused. Webmail and console may be hosts of one site, which browsers otherwise trust with much.
 */
export function createOwnOriginOnly(): RequestHandler {
  return (request, response, next) => {
    const { origin } = ingressOf(request).publicUrl;
    const initiator = requestInitiator(request.headers, origin);
    const site = request.headers['sec-fetch-site'];
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const navigates = [undefined, 'navigate'].includes(request.headers['sec-fetch-mode']);
    const isTop = [undefined, 'document'].includes(request.headers['sec-fetch-dest']);
    const allowed = reads ? site === undefined || initiator === 'own' || (navigates && isTop) : initiator === 'own';
    // Browsers isolate two hosts of one site only with this field.
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    if (!allowed || (!reads && request.headers.origin !== undefined && request.headers.origin !== origin)) {
      response.status(403).type('text').end('Only pages of this console may request this.\n');
      return;
    }
    next();
  };
}

/** The binding of the form tokens of a session's pages. */
export function consoleFormBinding({ key }: Pick<StaffSession, 'key'>): string {
  return `console ${key}`;
}

function goTo(response: Response, location: string): undefined {
  seeOther(response, location);
  return undefined;
}

function roleText(role: StaffGrant['roles'][number]): string {
  return `You need the role "${role}" for this page. Ask an operator.`;
}
