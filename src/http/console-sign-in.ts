import type { Request, RequestHandler, Response } from 'express';
import type { Audit } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import { Secret } from '../core/secret.ts';
import type { StaffLogin } from '../login/staff-login.ts';
import type { RoleOf } from '../support/roles.ts';
import { staffCookieLine } from '../support/staff-cookie.ts';
import type { StaffSessions } from '../support/staff-sessions.ts';
import { type ConsoleGuardDeps, showUnavailable } from './console-guard.ts';
import { showPage } from './console-view.ts';
import { formField, queryParameter } from './form-body.ts';
import { formProblemOf, writeFormCookie } from './form-cookie.ts';
import { goneSignal } from './gone-signal.ts';
import { ingressOf } from './ingress-of.ts';
import { formProblem, missingPassword, missingUser, problemOf } from './login-view.ts';
import { newReference } from './reference.ts';
import { seeOther } from './see-other.ts';

export interface ConsoleSignInDeps extends ConsoleGuardDeps {
  readonly staffLogin: StaffLogin;
  readonly sessions: StaffSessions;
  readonly roleOf: RoleOf;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
}

/** The console's `/-/login`: the own mailbox and its password. Who is no staff is told nothing else than who mistyped. */
export function createConsoleSignIn(deps: ConsoleSignInDeps): { show: RequestHandler; submit: RequestHandler } {
  const { views, tokens, audit, randomBytes } = deps;
  const english = views.locales.choose('en', undefined);

  interface Said {
    readonly status: number;
    readonly text: string;
    readonly reference?: string;
    readonly field: 'user' | 'password';
  }

  function answer(request: Request, response: Response, user: string, problem?: Said): void {
    const token = tokens.issue(bindingOf(writeFormCookie(request, response, randomBytes)));
    const title = problem === undefined ? 'Sign in' : 'Error: Sign in';
    const ended = problem === undefined && queryParameter(request.url, 'ended') !== undefined;
    const page = { user: undefined, roles: [], token, title, status: problem?.status ?? 200 };
    showPage(views, response, page, ['console-sign-in', { name: user, problem, ended }]);
  }

  async function submit(request: Request, response: Response): Promise<void> {
    const arrivedAtMs = deps.clock.nowMs();
    const { client, publicUrl } = ingressOf(request);
    const user = formField(request.body, 'user') ?? '';
    const password = formField(request.body, 'password') ?? '';
    const formWhy = formProblemOf(request, tokens, bindingOf);
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
    const reference = newReference(randomBytes);
    try {
      const attempt = { user, password: new Secret(password), client, reference, arrivedAtMs };
      const outcome = await deps.staffLogin(attempt, gone);
      if (outcome.kind !== 'authenticated') {
        const problem = problemOf(outcome);
        const who = { actor: user.slice(0, 254), address: client.address };
        await audit.record({ event: 'staff-refused', ...who, facts: { step: 'password', why: outcome.kind } });
        const text = problem.closure === undefined ? english.text(problem.key, problem.values) : closedText;
        return answer(request, response, user, { status: problem.status, text, reference, field: problem.field });
      }
      const who = { actor: outcome.user, address: client.address };
      if ((await deps.roleOf(outcome.user, gone)) === undefined) {
        await audit.record({ event: 'staff-refused', ...who, facts: { step: 'password', why: 'no role' } });
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

const noStaffText = 'You have no access to this console. If you need it, ask an operator.';
const closedText =
  'The mail server of your own mailbox is not accepting sign-ins right now, so nobody can check your password.';

function bindingOf(cookie: string): string {
  return `console sign-in ${cookie}`;
}
