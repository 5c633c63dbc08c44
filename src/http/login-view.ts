import type { Request } from 'express';
import type { PosternError } from '../core/error.ts';
import type { Closure } from '../core/placement.ts';
import { type EndReason, endReasons, type SessionRecord } from '../core/session.ts';
import type { LoginOutcome } from '../login/attempt.ts';
import { closureText, endIsNamed } from './closure-text.ts';
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

/** What is said of a form that counted for nothing. `host`: of which the browser must keep cookies. */
export function formProblem(why: 'stale' | 'no-cookie', host: string): Problem {
  return { status: 403, key: `outcome.${why}`, values: { host }, field: 'password' };
}

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
        key: 'closed.down.signIn',
        field: 'password',
        closure: outcome.closure,
        // Most moves are over by then; whoever types the password needs as long anyway.
        retryAfterSeconds: outcome.closure.kind === 'moving' ? 10 : 30,
      };
    case 'unavailable':
      return { status: 503, key: unavailableKey(outcome), field: 'password', retryAfterSeconds: 60 };
    case 'busy':
      return { status: 503, key: `outcome.${outcome.kind}`, field: 'password', retryAfterSeconds: 60 };
    case 'contact-admin':
      if (outcome.reason === undefined) break;
      return { status: 403, key: 'outcome.refused', values: { reason: outcome.reason }, field: 'password' };
    case 'rejected':
    case 'expired':
    case 'insecure':
      break;
  }
  return { status: 403, key: `outcome.${outcome.kind}`, field: 'password' };
}

function unavailableKey({ code, source }: Pick<PosternError, 'code' | 'source'>): TextKey {
  // Also of names that nobody has, as long as some mail server is silent.
  if (source === 'imap') return 'outcome.unchecked';
  if (code === 'ERR_WEBMAIL_MAIL_SERVER') return 'outcome.webmail-mail-server';
  return code === 'ERR_WEBMAIL_LOCKED' ? 'outcome.webmail-locked' : 'outcome.unavailable';
}

export interface LoginViewState {
  readonly token: string;
  readonly current: SessionRecord | undefined;
  readonly user: string;
  readonly problem?: Problem;
  readonly reference?: string;
  /** Why the session ended that the browser still has the cookie of. */
  readonly ended: EndReason | undefined;
  /** Of the reader, as far as the form told it. */
  readonly timeZone: string | undefined;
  readonly nowMs: number;
}

/** The sign-in page as HTML. */
export function renderLogin(views: Views, request: Request, locale: Locale, state: LoginViewState): string {
  const { problem, reference, current, nowMs } = state;
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
    // Where an end is named, only that counts.
    countDown: problem?.closure &&
      !endIsNamed(problem.closure, nowMs) && {
        seconds: String(problem.retryAfterSeconds),
        text: text('closed.signIn'),
        done: text('closed.signInNow'),
      },
    problem: problem && { text: problemText(problem, locale, state), field: problem.field, reference },
    ended: problem === undefined && current === undefined ? endedText(request, locale, state.ended) : undefined,
    already: current && { text: text('signIn.already', { user: current.user }), href: next ?? '/' },
    focus: problem?.field ?? (state.user === '' ? 'user' : 'password'),
  });
}

function problemText(
  { key, values, closure }: Problem,
  locale: Locale,
  { timeZone, nowMs }: Pick<LoginViewState, 'timeZone' | 'nowMs'>,
): string {
  if (closure === undefined) return locale.text(key, values);
  return closureText(locale, closure, { as: 'visitor', timeZone, nowMs }).text;
}

/** What the session itself says counts; the address says it where the cookie is gone. */
function endedText(request: Request, { text }: Locale, ended: EndReason | undefined): string | undefined {
  const code = ended ?? queryParameter(request.url, 'ended');
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
