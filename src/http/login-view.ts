import type { Request } from 'express';
import { type EndReason, endReasons, type SessionRecord } from '../core/session.ts';
import type { Closure } from '../core/placement.ts';
import type { LoginOutcome } from '../login/login.ts';
import { closureText } from './closure-text.ts';
import { queryOf, queryParameter } from './form-body.ts';
import { ingressOf } from './ingress-of.ts';
import type { Locale, TextKey } from './locales.ts';
import { nextTarget } from './next-target.ts';
import type { Views } from './views.ts';

/** What stands above the form after an attempt that did not lead in. */
export interface Problem {
  readonly status: number;
  readonly key: TextKey;
  readonly values?: Readonly<Record<string, string>>;
  /** The field to correct. */
  readonly field: 'user' | 'password';
  readonly retryAfterSeconds?: number;
  /** Says more than the key: why nobody is served. */
  readonly closure?: Closure;
}

export const missingUser: Problem = { status: 400, key: 'outcome.missing-user', field: 'user' };
export const missingPassword: Problem = { status: 400, key: 'outcome.missing-password', field: 'password' };
export const staleForm: Problem = { status: 403, key: 'outcome.stale', field: 'password' };

/** What the user is told of an outcome, and under which status. */
export function problemOf(outcome: Exclude<LoginOutcome, { kind: 'signed-in' }>): Problem {
  switch (outcome.kind) {
    case 'malformed':
      return { status: 400, key: `outcome.malformed-${outcome.field}`, field: outcome.field };
    case 'refused':
      return { status: 403, key: 'outcome.refused', values: { reason: outcome.reason }, field: 'password' };
    case 'closed':
      return {
        status: 503,
        key: 'closed.down.text',
        field: 'password',
        closure: outcome.closure,
        // Most moves are over by then; whoever types the password needs as long anyway.
        retryAfterSeconds: outcome.closure.kind === 'moving' ? 10 : 30,
      };
    case 'busy':
    case 'unavailable':
      return { status: 503, key: `outcome.${outcome.kind}`, field: 'password', retryAfterSeconds: 60 };
    case 'rejected':
    case 'expired':
    case 'contact-admin':
    case 'insecure':
      break;
  }
  return { status: 403, key: `outcome.${outcome.kind}`, field: 'password' };
}

export interface LoginViewState {
  readonly token: string;
  readonly current: SessionRecord | undefined;
  readonly user: string;
  readonly problem?: Problem;
  readonly reference?: string;
}

/** The sign-in page as HTML. */
export function renderLogin(views: Views, request: Request, locale: Locale, state: LoginViewState): string {
  const { problem, reference, current } = state;
  const { text } = locale;
  const title = text('signIn.title');
  const frame = {
    locale,
    title: problem === undefined ? title : text('error.title', { title }),
    inLanguage: (tag: string) => inLanguage(request.url, tag),
  };
  const next = nextTarget(queryParameter(request.url, 'next'), ingressOf(request).publicUrl.origin);
  return views.render('login', frame, {
    token: state.token,
    user: state.user,
    countDown: problem?.closure && {
      seconds: String(problem.retryAfterSeconds),
      text: text('closed.signIn'),
      done: text('closed.signInNow'),
    },
    problem: problem && { text: problemText(problem, locale), field: problem.field, reference },
    ended: problem === undefined ? endedText(request, locale) : undefined,
    already: current && { text: text('signIn.already', { user: current.user }), href: next ?? '/' },
    focus: problem?.field ?? (state.user === '' ? 'user' : 'password'),
  });
}

function problemText({ key, values, closure }: Problem, locale: Locale): string {
  return closure === undefined ? locale.text(key, values) : closureText(locale, closure).text;
}

function endedText(request: Request, { text }: Locale): string | undefined {
  const code = queryParameter(request.url, 'ended');
  return isEndReason(code) ? text(`ended.${code}`) : undefined;
}

function isEndReason(code: string | undefined): code is EndReason {
  return endReasons.some((reason) => reason === code);
}

function inLanguage(url: string, tag: string): string {
  const parameters = queryOf(url);
  parameters.set('lang', tag);
  return `?${parameters.toString()}`;
}
