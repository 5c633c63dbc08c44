import { type Clock, isoTime } from '../core/clock.ts';
import type { LockNotice } from '../core/directory.ts';
import type { Answer, FailureKind, RequestHead } from '../core/http.ts';
import type { Closure } from '../core/placement.ts';
import { answerSecurityHeaders } from './app.ts';
import { type Locale, type TextKey, timeTextOf } from './locales.ts';
import type { Views } from './views.ts';

/** Why a request is refused at once: a fault of the address that it was sent to. */
export const refusals = ['no-host', 'foreign-host', 'not-https', 'not-http'] as const;
type AddressRefusal = (typeof refusals)[number];

/**
 * The gateway's own answers on the webmail's paths: pages for navigations, JSON for scripts, in the browser's language.
 */
export interface Answers {
  /** 502, 503 or 504, with `Retry-After` where trying again may help. */
  failure(request: RequestHead, failure: { readonly kind: FailureKind; readonly reference: string }): Answer;
  /**
   * 503 while the backend is closed: a page that says why and reloads itself, JSON for scripts. `Retry-After` keeps
   * open tabs waiting. `timeZone`: that of the session's browser.
   */
  closed(request: RequestHead, closure: Closure, reference: string, timeZone?: string): Answer;
  /** 503: the webmail lost its session again right after it was signed in to. */
  tooOften(request: RequestHead, reference: string): Answer;
  /** 401 for a frame or a form without a session: nothing was sent or saved. Our own origin may frame it. */
  noSessionFrame(request: RequestHead): Answer;
  /** 400, or 421 for a host name that is not served here. Plain: a style sheet would have that address too. */
  refused(request: RequestHead, why: AddressRefusal): Answer;
}

interface FailureForm {
  readonly status: number;
  readonly retryAfterSeconds?: number;
}

const failureForms: Readonly<Record<FailureKind, FailureForm>> = {
  unavailable: { status: 503, retryAfterSeconds: 10 },
  busy: { status: 503, retryAfterSeconds: 5 },
  timeout: { status: 504 },
  'bad-answer': { status: 502 },
  store: { status: 503, retryAfterSeconds: 5 },
  'unknown-key': { status: 503, retryAfterSeconds: 30 },
};

/** Makes the answers that the gateway gives in a webmail's place. */
export function createAnswers(views: Views, clock: Clock): Answers {
  function localeOf(request: RequestHead) {
    return views.locales.choose(undefined, request.header('accept-language'));
  }

  function failed(
    request: RequestHead,
    error: string,
    keys: { readonly title: TextKey; readonly text: TextKey },
    form: FailureForm & { readonly reference: string },
  ): Answer {
    const retry: [string, string][] =
      form.retryAfterSeconds === undefined ? [] : [['Retry-After', String(form.retryAfterSeconds)]];
    if (!wantsPage(request)) return scriptAnswer(form.status, { error, reference: form.reference }, retry);
    const locale = localeOf(request);
    const values = {
      text: locale.text(keys.text),
      reference: form.reference,
      // Repeating a POST is the user's decision, by the browser's own means.
      link: isSafeLink(request) ? { href: request.target, label: locale.text('failure.retry') } : undefined,
    };
    const body = views.render('message', { locale, title: locale.text(keys.title) }, values);
    return { status: form.status, headers: [...pageHeaders("'none'"), ...retry], body };
  }

  return {
    failure(request, { kind, reference }) {
      const keys = { title: `failure.${kind}.title`, text: `failure.${kind}.text` } as const;
      return failed(request, kind, keys, { ...failureForms[kind], reference });
    },
    closed(request, closure, reference, timeZone) {
      const nowMs = clock.nowMs();
      const seconds = String(retryAfterSeconds(closure, nowMs));
      const { kind: error, sinceMs, untilMs } = closure;
      const locale = localeOf(request);
      const { title, text } = closureText(locale, closure, { as: 'user', timeZone, nowMs });
      if (!wantsPage(request)) {
        const times = { since: isoTime(sinceMs), ...(untilMs === undefined ? {} : { until: isoTime(untilMs) }) };
        return scriptAnswer(503, { error, ...times, text, reference }, [['Retry-After', seconds]]);
      }
      const looksAgain = isSafeLink(request);
      const values = {
        text,
        countDown: looksAgain ? { seconds, text: locale.text('closed.retries') } : undefined,
        reference,
        link: looksAgain ? { href: request.target, label: locale.text('failure.retry') } : undefined,
      };
      const again: [string, string][] = looksAgain ? [['Refresh', seconds]] : [];
      const body = views.render('message', { locale, title }, values);
      return { status: 503, headers: [...pageHeaders("'none'"), ['Retry-After', seconds], ...again], body };
    },
    tooOften(request, reference) {
      const keys = { title: 'failure.tooOften.title', text: 'failure.tooOften.text' } as const;
      return failed(request, 'session-lost-too-often', keys, { status: 503, retryAfterSeconds: 60, reference });
    },
    noSessionFrame(request) {
      const locale = localeOf(request);
      const link = { href: '/-/login', label: locale.text('frame.link'), newTab: true };
      const values = { text: locale.text('frame.text'), link };
      const body = views.render('message', { locale, title: locale.text('frame.title') }, values);
      return { status: 401, headers: pageHeaders("'self'"), body };
    },
    refused(request, why) {
      const body = `${localeOf(request).text(`refused.${why}`)}\n`;
      const headers = answerSecurityHeaders("'none'");
      const status = why === 'foreign-host' ? 421 : 400;
      return { status, headers: [...headers, ['Content-Type', 'text/plain; charset=utf-8']], body };
    },
  };
}

/** Whether a person will see the answer: a navigation, as Sec-Fetch-Mode says or, without it, Accept. */
function wantsPage(request: RequestHead): boolean {
  const mode = request.header('sec-fetch-mode');
  if (mode !== undefined) return mode === 'navigate';
  const isScript = request.header('x-requested-with') !== undefined;
  return !isScript && (request.header('accept') ?? '').includes('text/html');
}

/** Whether the request may be repeated by a link: `//host/` as a link would lead to that host. */
function isSafeLink({ method, target }: RequestHead): boolean {
  return (method === 'GET' || method === 'HEAD') && /^\/(?![/\\])/.test(target);
}

function pageHeaders(framedBy: "'none'" | "'self'"): [name: string, value: string][] {
  return [...answerSecurityHeaders(framedBy), ['Content-Type', 'text/html; charset=utf-8']];
}

function scriptAnswer(status: number, body: object, more: readonly (readonly [string, string])[]): Answer {
  const headers = [...answerSecurityHeaders("'none'"), ['Content-Type', 'application/json'] as const, ...more];
  return { status, headers, body: `${JSON.stringify(body)}\n` };
}

/**
 * The readers of a closure. `user`: is signed in and stays so. `visitor`: wanted to sign in. `staff`: wanted to open a
 * user's mailbox.
 */
interface ClosureReader {
  readonly as: 'user' | 'visitor' | 'staff';
  /** The reader's own, as far as the browser told it. */
  readonly timeZone: string | undefined;
  readonly nowMs: number;
}

const forms = { user: 'text', visitor: 'signIn', staff: 'staff' } as const;

/** The text about a closure: the operator's own words for users where there are some, and until or since when. */
export function closureText(
  locale: Locale,
  closure: Closure,
  reader: ClosureReader,
): { readonly title: string; readonly text: string } {
  const { kind, sinceMs, untilMs, texts } = closure;
  const time = timeTextOf(locale, 'long', reader.timeZone);
  const own = reader.as === 'staff' ? undefined : ownWords(locale.tag, texts);
  const until = reader.as === 'visitor' ? 'closed.again' : 'closed.until';
  const when =
    untilMs !== undefined && endIsNamed(closure, reader.nowMs)
      ? locale.text(until, { time: time(untilMs) })
      : locale.text('closed.since', { time: time(sinceMs) });
  return {
    title: locale.text(`closed.${kind}.title`),
    text: [own ?? locale.text(`closed.${kind}.${forms[reader.as]}`), ...(kind === 'moving' ? [] : [when])].join(' '),
  };
}

/** The text for somebody whom a lock refuses: the operator's own words, where there are some, and until when. */
export function lockText(
  locale: Locale,
  { texts, untilMs }: LockNotice,
  { timeZone, nowMs }: Pick<ClosureReader, 'timeZone' | 'nowMs'>,
): string {
  const words = ownWords(locale.tag, texts) ?? locale.text('outcome.locked');
  if (untilMs === undefined || untilMs <= nowMs) return words;
  return `${words} ${locale.text('outcome.locked-until', { time: timeTextOf(locale, 'long', timeZone)(untilMs) })}`;
}

/** Whether its end was announced and is still to come. */
export function endIsNamed({ kind, untilMs }: Closure, nowMs: number): boolean {
  return kind !== 'moving' && untilMs !== undefined && untilMs > nowMs;
}

/** When to look again: a move ends soon, and there is no need to ask long before an announced end. */
export function retryAfterSeconds({ kind, untilMs }: Closure, nowMs: number): number {
  if (kind === 'moving') return 3;
  if (untilMs === undefined) return 10;
  return Math.min(Math.max(Math.ceil((untilMs - nowMs) / 1000), 10), 60);
}

/** The words in the user's language, else in its main language, else in English, else whichever there are. */
function ownWords(tag: string, words: Closure['texts']): string | undefined {
  return words[tag] ?? words[tag.split('-')[0] ?? ''] ?? words['en'] ?? Object.values(words)[0];
}
