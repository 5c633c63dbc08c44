import type { Request, RequestHandler, Response } from 'express';
import type { Audit } from '../../core/audit.ts';
import { type Clock, isRecent } from '../../core/clock.ts';
import { PosternError } from '../../core/error.ts';
import { type BackendName, type CanonicalUser, type RequestIds, requestIdsOf } from '../../core/names.ts';
import { Secret } from '../../core/secrets.ts';
import type { StaffLogin } from '../../login/login.ts';
import type { ConsoleLinks } from '../../support/one-time-links.ts';
import type { RoleOf } from '../../support/roles.ts';
import { staffCookieLine, type StaffSessions } from '../../support/staff-sessions.ts';
import { formField, formProblemOf, queryParameter, seeOther, writeFormCookie } from '../forms.ts';
import { formProblem, missingPassword, missingUser, problemOf } from '../login-page.ts';
import { goneSignal, ingressOf } from '../request-context.ts';
import { type ConsoleGuardDeps, showUnavailable } from './authorisation.ts';
import { showMessage, showPage } from './layout.ts';

/** Dependencies of the console's sign-in page. */
export interface ConsoleLoginDeps extends ConsoleGuardDeps {
  readonly staffLogin: StaffLogin;
  readonly sessions: StaffSessions;
  readonly roleOf: RoleOf;
  /** The member of staff whose name this is; undefined for everybody else. Rejects when the directory could not be asked. */
  readonly staffNamed: (typed: string, signal: AbortSignal) => Promise<CanonicalUser | undefined>;
  readonly links: Pick<ConsoleLinks, 'use'>;
  /** A backend of the configuration. */
  readonly firstBackend: () => BackendName;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
}

/** How long further refusals of a member of staff are only counted before the next audit line. */
const repeatMs = 60_000;

/**
 * The console's `/-/login`: staff sign in with their own mailbox password. Other users get the same answer as for a
 * wrong password.
 */
export function createConsoleLogin(deps: ConsoleLoginDeps): { show: RequestHandler; submit: RequestHandler } {
  const { views, tokens, randomBytes } = deps;
  const english = views.locales.choose('en', undefined);
  const noteRefusal = createRefusals(deps);

  interface Said {
    readonly status: number;
    readonly text: string;
    readonly reference?: string;
    readonly field: 'user' | 'password';
  }

  function answer(request: Request, response: Response, user: string, problem?: Said): void {
    const token = tokens.issue(consoleLoginFormBinding(writeFormCookie(request, response, randomBytes)));
    const title = problem === undefined ? 'Sign in' : 'Error: Sign in';
    const ended = problem === undefined && queryParameter(request.url, 'ended') !== undefined;
    const page = { user: undefined, roles: [], token, title, status: problem?.status ?? 200 };
    showPage(views, response, page, ['console-sign-in', { name: user, problem, ended }]);
  }

  async function submit(request: Request, response: Response): Promise<void> {
    const arrivedAtMs = deps.clock.nowMs();
    const ingress = ingressOf(request);
    const { client, publicUrl } = ingress;
    const user = formField(request.body, 'user') ?? '';
    const password = formField(request.body, 'password') ?? '';
    const formWhy = formProblemOf(request, tokens, consoleLoginFormBinding);
    const early =
      formWhy !== undefined
        ? formProblem(formWhy, publicUrl.authority)
        : user.trim() === ''
          ? missingUser
          : password === ''
            ? missingPassword
            : undefined;
    if (early !== undefined) {
      const text = english.text(early.key, early.values);
      return answer(request, response, user, { status: early.status, text, field: early.field });
    }
    const gone = goneSignal(response);
    const ids = requestIdsOf(ingress);
    const { reference } = ids;
    try {
      const attempt = {
        user,
        password: new Secret(password),
        client,
        ...ids,
        traceparent: ingress.traceparent,
        arrivedAtMs,
      };
      const outcome = await deps.staffLogin(attempt, gone);
      if (outcome.kind !== 'authenticated') {
        const problem = problemOf(outcome);
        await noteRefusal({ typed: user, address: client.address, ids, why: outcome.kind }, gone);
        const text = problem.closure === undefined ? english.text(problem.key, problem.values) : closedText;
        return answer(request, response, user, { status: problem.status, text, reference, field: problem.field });
      }
      if ((await deps.roleOf(outcome.user, gone)) === undefined) {
        deps.log.warn('console-login-without-role', { user: outcome.user, client: client.address, ...ids });
        return answer(request, response, user, { status: 403, text: noStaffText, reference, field: 'user' });
      }
      const { cookie: value } = await deps.sessions.open({ ...outcome, client, publicOrigin: publicUrl.origin });
      response.appendHeader('Set-Cookie', staffCookieLine(value, publicUrl.secure));
      seeOther(response, '/-/factor');
    } catch (error) {
      if (gone.aborted) return;
      if (!(error instanceof PosternError)) throw error;
      showUnavailable(deps, response, error);
    }
  }

  return { show: (request, response) => answer(request, response, ''), submit };
}

interface RefusedStaffLogin {
  /** As it stands in the form: it may be anything, a password too, and is written nowhere. */
  readonly typed: string;
  readonly address: string;
  readonly ids: RequestIds;
  readonly why: string;
}

/**
 * Audits refused passwords of staff only: clients without an account must not be able to write to the audit, nor to
 * fill it. Refusals of one member within a minute of the last line are counted in the next one.
 */
function createRefusals({ audit, clock, log, staffNamed }: ConsoleLoginDeps) {
  const told = new Map<CanonicalUser, { readonly atMs: number; untold: number }>();
  return async ({ typed, address, ids, why }: RefusedStaffLogin, signal: AbortSignal): Promise<void> => {
    const actor = await staffNamed(typed, signal).catch((error: unknown) => {
      if (!(error instanceof PosternError)) throw error;
      return undefined;
    });
    if (actor === undefined) {
      log.info('console-login-refused', { client: address, ...ids, why });
      return;
    }
    const nowMs = clock.nowMs();
    const before = told.get(actor);
    if (before !== undefined && isRecent(before.atMs, repeatMs, nowMs)) {
      before.untold += 1;
      return;
    }
    told.set(actor, { atMs: nowMs, untold: 0 });
    const repeats = before === undefined || before.untold === 0 ? {} : { repeats: before.untold };
    await audit.record({ event: 'staff-refused', actor, address, facts: { step: 'password', why, ...repeats } });
  };
}

const noStaffText = 'You have no access to this console. If you need it, ask an operator.';
const closedText =
  'The mail server of your own mailbox accepts no sign-ins right now, so your password cannot be checked.';

function consoleLoginFormBinding(cookie: string): string {
  return `console sign-in ${cookie}`;
}

/**
 * The console's `/-/link`: an operator comes in by a link that was made over the operators' socket. Opening the address
 * uses nothing up, since programs that look at links do that, too; the button does.
 */
export function createLinkLogin(
  deps: Pick<ConsoleLoginDeps, 'links' | 'firstBackend' | 'sessions' | 'audit' | 'views'> & ConsoleGuardDeps,
): { show: RequestHandler; submit: RequestHandler } {
  const { links, sessions, audit, views } = deps;
  const frame = { user: undefined, roles: [], token: '', title: 'Sign in by link' };

  async function submit(request: Request, response: Response): Promise<void> {
    const { client, publicUrl } = ingressOf(request);
    try {
      const grant = await links.use(formField(request.body, 'link') ?? '', publicUrl.origin);
      if (grant === undefined) {
        const text =
          'This link was used, is more than two minutes old, or is not whole. Make another: postern console --link';
        return showMessage(views, response, { ...frame, status: 403 }, text);
      }
      const { by } = grant;
      await audit.record({ event: 'console-link-used', actor: by, address: client.address });
      const arrival = { by, backend: deps.firstBackend(), client, publicOrigin: publicUrl.origin };
      const { cookie } = await sessions.openByLink(arrival);
      response.appendHeader('Set-Cookie', staffCookieLine(cookie, publicUrl.secure));
      seeOther(response, '/-/');
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      showUnavailable(deps, response, error);
    }
  }

  return {
    show: (request, response) =>
      showPage(views, response, frame, ['console-by-link', { link: queryParameter(request.url, 'link') ?? '' }]),
    submit,
  };
}
