import type { Request, RequestHandler, Response } from 'express';
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { expiredCookieLines } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { requestIdsOf } from '../core/names.ts';
import type { Closure } from '../core/placement.ts';
import { Secret } from '../core/secrets.ts';
import {
  type EndReason,
  endReasons,
  type LiveSession,
  type SessionFinder,
  type SessionRecord,
} from '../core/session.ts';
import type { LoginOutcome } from '../login/attempt.ts';
import type { Login } from '../login/login.ts';
import type { Logout } from '../login/logout.ts';
import type { NoticeDelivery } from '../support/notices.ts';
import {
  formField,
  formProblemOf,
  type FormTokens,
  nextTarget,
  noteLastUser,
  queryOf,
  queryParameter,
  requestInitiator,
  writeFormCookie,
} from './forms.ts';
import { closureText, endIsNamed, lockText } from './gateway-answers.ts';
import type { Locale, TextKey } from './locales.ts';
import { goneSignal, ingressOf, type PageSessions, sessionOf } from './request-context.ts';
import type { Views } from './views.ts';

interface LoginPageDeps {
  readonly login: Login;
  readonly logout: Logout;
  readonly gate: PageSessions;
  readonly live: SessionFinder;
  /** Notices that a user reads before the mail. */
  readonly notices: Pick<NoticeDelivery, 'pending'>;
  readonly tokens: FormTokens;
  readonly views: Views;
  readonly clock: Clock;
  readonly log: Log;
  readonly randomBytes: (size: number) => Buffer;
}

type SignedIn = Extract<LoginOutcome, { kind: 'signed-in' }>;
type LockOfUser = NonNullable<Extract<LoginOutcome, { kind: 'refused' }>['lock']>;

/** `/-/login`: GET shows the form, POST to the same address signs in and leads to `next` or where the webmail lands. */
export function createLoginPage(deps: LoginPageDeps): { show: RequestHandler; submit: RequestHandler } {
  const page = new LoginPage(deps);
  return {
    show: (request, response) => page.show(request, response),
    submit: (request, response) => page.submit(request, response),
  };
}

class LoginPage {
  readonly #deps: LoginPageDeps;

  constructor(deps: LoginPageDeps) {
    this.#deps = deps;
  }

  async submit(request: Request, response: Response): Promise<void> {
    const arrivedAtMs = this.#deps.clock.nowMs();
    const ingress = ingressOf(request);
    const { publicUrl, client } = ingress;
    const user = formField(request.body, 'user') ?? '';
    const password = formField(request.body, 'password') ?? '';
    const refuse = (problem: Problem, reference?: string) =>
      this.#answer(request, response, { user, problem, ...(reference !== undefined && { reference }) });

    const formWhy = formProblemOf(request, this.#deps.tokens, loginFormBinding);
    if (formWhy !== undefined) return refuse(formProblem(formWhy, publicUrl.authority));
    if (user.trim() === '') return refuse(missingUser);
    if (password === '') return refuse(missingPassword);

    const attempt = {
      user,
      password: new Secret(password),
      client,
      publicOrigin: publicUrl.origin,
      timeZone: knownTimeZone(formField(request.body, 'time_zone')),
      ...requestIdsOf(ingress),
      traceparent: ingress.traceparent,
      arrivedAtMs,
    };
    const gone = goneSignal(response);
    try {
      const outcome = await this.#deps.login(attempt, gone);
      if (outcome.kind !== 'signed-in') return await refuse(problemOf(outcome), attempt.reference);
      await this.#openSession(request, response, outcome, attempt);
      response.statusCode = 303;
      const next = targetAfterLogin(outcome, queryParameter(request.url, 'next'), publicUrl.origin);
      const first =
        this.#deps.notices.pending(outcome.user).length > 0 ? `/-/notice?next=${encodeURIComponent(next)}` : next;
      response.setHeader('Location', first);
      response.end();
    } catch (error) {
      if (gone.aborted) return;
      if (!(error instanceof PosternError)) throw error;
      this.#deps.log.warn('session-not-opened', { err: error, ...requestIdsOf(ingress) });
      const { code, source, retryable } = error;
      await refuse(problemOf({ kind: 'unavailable', code, source, retryable }), attempt.reference);
    }
  }

  show(request: Request, response: Response): Promise<void> {
    return this.#answer(request, response, { user: '' });
  }

  async #answer(
    request: Request,
    response: Response,
    form: { user: string; problem?: Problem; reference?: string },
  ): Promise<void> {
    const locale = this.#deps.views.locales.choose(
      queryParameter(request.url, 'lang'),
      request.headers['accept-language'],
    );
    const token = this.#deps.tokens.issue(
      loginFormBinding(mayHaveCookie(request) ? this.#giveCookie(request, response) : ''),
    );
    const session = sessionOf(this.#deps.gate, request);
    const current = session === 'unreadable' ? undefined : session;
    const isNew = form.problem === undefined && session === undefined;
    const { ended } = isNew ? await this.#lookUp(request) : {};
    const timeZone = knownTimeZone(formField(request.body, 'time_zone'));
    const state = { ...form, token, current, ended, timeZone, nowMs: this.#deps.clock.nowMs() };
    const html = renderLogin(this.#deps.views, request, locale, state);
    response.status(form.problem?.status ?? 200).type('html');
    response.setHeader('Content-Language', locale.tag);
    response.vary('Accept-Language');
    if (form.problem?.retryAfterSeconds !== undefined) {
      response.setHeader('Retry-After', form.problem.retryAfterSeconds);
    }
    response.end(html);
  }

  #giveCookie(request: Request, response: Response): string {
    return writeFormCookie(request, response, this.#deps.randomBytes);
  }

  async #openSession(
    request: Request,
    response: Response,
    { user, backend, host, jar, browserCookies }: SignedIn,
    { password, client, publicOrigin, timeZone }: Parameters<Login>[0],
  ): Promise<void> {
    const { secure } = ingressOf(request).publicUrl;
    const { session: before } = await this.#lookUp(request);
    const open = async (): Promise<void> => {
      const opening = { user, backend, host, jar, password, client, publicOrigin, timeZone };
      await this.#deps.gate.open(request, response, opening);
    };

    if (before === undefined) await open();
    else await this.#deps.logout(before, { ...client, publicOrigin, clientAddress: client.address }, open);

    const isAnother = noteLastUser(request, response, this.#deps.tokens, user);
    // It takes a browser with a large cache seconds: only where the cache may be somebody else's.
    if (isAnother || (before !== undefined && before.record.user !== user)) {
      response.setHeader('Clear-Site-Data', '"cache"');
    }
    if (before !== undefined && (before.record.user !== user || before.record.backend !== backend)) {
      for (const line of expiredCookieLines(before.jar, secure)) response.appendHeader('Set-Cookie', line);
    }
    for (const line of browserCookies) response.appendHeader('Set-Cookie', line);
  }

  async #lookUp(request: Request): Promise<{ readonly session?: LiveSession; readonly ended?: EndReason }> {
    const found = await this.#deps.live.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    if (found.kind === 'found') return { session: found.session };
    return found.kind === 'ended' ? { ended: found.reason } : {};
  }
}

/** The target of the browser, with its #fragment, or where the webmail lands. */
function targetAfterLogin({ landing, resumeTarget }: SignedIn, asked: unknown, origin: string): string {
  const next = nextTarget(asked, origin);
  if (next === undefined) return nextTarget(landing, origin) ?? '/';
  const hash = next.indexOf('#');
  const [target, fragment] = hash === -1 ? [next, ''] : [next.slice(0, hash), next.slice(hash)];
  return nextTarget(resumeTarget(target) + fragment, origin) ?? '/';
}

function loginFormBinding(cookie: string): string {
  return `sign-in ${cookie}`;
}

/**
 * Whether this request may get the form's cookie: a request for the page, or our own form that came back without it.
 */
function mayHaveCookie(request: Request): boolean {
  return request.method === 'GET' || requestInitiator(request.headers, ingressOf(request).publicUrl.origin) === 'own';
}

/**
 * The time zones that browsers name, as Node names them: to ask Node is a twentieth of a sign-in. There are some 600,
 * each in any case of its letters.
 */
const timeZones = new BoundedMap<string, string>(1_000);

function knownTimeZone(name: string | undefined): string | undefined {
  if (name === undefined || !/^[\w+\-/]{1,64}$/.test(name)) return undefined;
  const known = timeZones.get(name);
  if (known !== undefined) return known;
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
    timeZones.set(name, timeZone);
    return timeZone;
  } catch {
    return undefined;
  }
}

/** The problem shown above the sign-in form. */
interface Problem {
  readonly status: number;
  readonly key: TextKey;
  readonly values?: Readonly<Record<string, string>>;
  /** The field to correct. */
  readonly field: 'user' | 'password';
  readonly retryAfterSeconds?: number;
  /** Says more than the key: why nobody is served. */
  readonly closure?: Closure;
  readonly lock?: LockOfUser;
}

/** The problem with a form without a user name. */
export const missingUser: Problem = { status: 400, key: 'outcome.missing-user', field: 'user' };

/** The problem with a form without a password. */
export const missingPassword: Problem = { status: 400, key: 'outcome.missing-password', field: 'password' };

/** The problem with a form that was not accepted. `host`: the host whose cookies the browser must accept. */
export function formProblem(why: 'stale' | 'no-cookie', host: string): Problem {
  return { status: 403, key: `outcome.${why}`, values: { host }, field: 'password' };
}

/** The text and status for an outcome. */
export function problemOf(outcome: Exclude<LoginOutcome, { kind: 'signed-in' }>): Problem {
  switch (outcome.kind) {
    case 'malformed':
      return { status: 400, key: `outcome.malformed-${outcome.field}`, field: outcome.field };
    case 'refused':
    case 'contact-admin':
      if (outcome.reason === undefined) break;
      return problemOfAccount(outcome.reason, 'lock' in outcome ? outcome.lock : undefined);
    case 'closed':
      return {
        status: 503,
        key: 'closed.down.signIn',
        field: 'password',
        closure: outcome.closure,
        // Most moves are over by then; typing the password takes as long anyway.
        retryAfterSeconds: outcome.closure.kind === 'moving' ? 10 : 30,
      };
    case 'unavailable':
      return { status: 503, key: unavailableKey(outcome), field: 'password', retryAfterSeconds: 60 };
    case 'busy':
      return { status: 503, key: `outcome.${outcome.kind}`, field: 'password', retryAfterSeconds: 60 };
    case 'rejected':
    case 'expired':
    case 'insecure':
      break;
  }
  return { status: 403, key: `outcome.${outcome.kind}`, field: 'password' };
}

function problemOfAccount(reason: string, lock: LockOfUser | undefined): Problem {
  return { status: 403, key: 'outcome.refused', values: { reason }, field: 'password', ...(lock && { lock }) };
}

function unavailableKey({ code, source }: Pick<PosternError, 'code' | 'source'>): TextKey {
  // Also of names that nobody has, as long as some mail server is silent.
  if (source === 'imap') return 'outcome.unchecked';
  if (code === 'ERR_WEBMAIL_MAIL_SERVER') return 'outcome.webmail-mail-server';
  return code === 'ERR_WEBMAIL_LOCKED' ? 'outcome.webmail-locked' : 'outcome.unavailable';
}

interface LoginViewState {
  readonly token: string;
  readonly current: SessionRecord | undefined;
  readonly user: string;
  readonly problem?: Problem;
  readonly reference?: string;
  /** Why the session ended that the browser still has the cookie of. */
  readonly ended: EndReason | undefined;
  /** The reader's time zone, if the form told it. */
  readonly timeZone: string | undefined;
  readonly nowMs: number;
}

/** The sign-in page as HTML. */
function renderLogin(views: Views, request: Request, locale: Locale, state: LoginViewState): string {
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
  { key, values, closure, lock }: Problem,
  locale: Locale,
  reader: Pick<LoginViewState, 'timeZone' | 'nowMs'>,
): string {
  if (lock) return lockText(locale, lock, reader);
  if (closure === undefined) return locale.text(key, values);
  return closureText(locale, closure, { as: 'visitor', ...reader }).text;
}

/** Why the last session ended: by the session itself, or by the address if the cookie is gone. */
function endedText(request: Request, { text }: Locale, ended: EndReason | undefined): string | undefined {
  const code = ended ?? queryParameter(request.url, 'ended');
  const known = endReasons.find((reason) => reason === code);
  return known === undefined ? undefined : text(`ended.${known}`);
}

function inLanguage(url: string, tag: string): string {
  const parameters = queryOf(url);
  parameters.set('lang', tag);
  return `?${parameters.toString()}`;
}
