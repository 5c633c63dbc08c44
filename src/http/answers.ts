import type { Answer, RequestHead } from '../core/http.ts';
import type { TextKey } from './locales.ts';
import { answerSecurityHeaders } from './security-headers.ts';
import type { Views } from './views.ts';

/** Why the data plane has no answer of a backend to pass on. */
export const failureKinds = ['unreachable', 'broken', 'slow', 'busy', 'store', 'internal'] as const;
export type FailureKind = (typeof failureKinds)[number];

export interface Failure {
  readonly kind: FailureKind;
  /** Shown here and written to the log. */
  readonly reference: string;
}

/** The gateway's own answers on the webmail's paths: pages for navigations, JSON for scripts, in the browser's language. */
export interface Answers {
  /** 502, 503 or 504 (500 for a fault of ours); `Retry-After` where trying again may help. */
  failure(request: RequestHead, failure: Failure): Answer;
  /** 503: the webmail lost its session again right after it was signed in to. */
  tooOften(request: RequestHead, reference: string): Answer;
  /** 401 for a frame or a form without a session: nothing was sent or saved. Our own origin may frame it. */
  noSessionFrame(request: RequestHead): Answer;
  /** 401 for a script or any other client without a session. */
  noSession(): Answer;
  /** 421 for a host name that is not served here; plain, for its files would have that name too. */
  badHost(request: RequestHead, host: string): Answer;
}

interface FailureForm {
  readonly status: number;
  readonly retryAfterSeconds?: number;
}

const failureForms: Readonly<Record<FailureKind, FailureForm>> = {
  unreachable: { status: 503, retryAfterSeconds: 10 },
  broken: { status: 502 },
  slow: { status: 504 },
  busy: { status: 503, retryAfterSeconds: 5 },
  store: { status: 503, retryAfterSeconds: 5 },
  internal: { status: 500 },
};

export function createAnswers(views: Views): Answers {
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
    if (!wantsPage(request)) return json(form.status, { error, reference: form.reference }, retry);
    const locale = localeOf(request);
    const values = {
      text: locale.text(keys.text),
      reference: form.reference,
      // Repeating a POST is the user's decision, by the browser's own means.
      link: isRead(request) ? { href: request.target, label: locale.text('failure.retry') } : undefined,
    };
    const body = views.render('message', { locale, title: locale.text(keys.title) }, values);
    return { status: form.status, headers: [...pageHeaders("'none'"), ...retry], body };
  }

  return {
    failure(request, { kind, reference }) {
      const keys = { title: `failure.${kind}.title`, text: `failure.${kind}.text` } as const;
      return failed(request, kind, keys, { ...failureForms[kind], reference });
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
    noSession: () => json(401, { error: 'no-session', login: '/-/login' }, []),
    badHost(request, host) {
      const locale = localeOf(request);
      const body = `${locale.text('badHost.title')}. ${locale.text('badHost.text', { host })}\n`;
      const headers = answerSecurityHeaders("'none'");
      return { status: 421, headers: [...headers, ['Content-Type', 'text/plain; charset=utf-8']], body };
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

function isRead(request: RequestHead): boolean {
  return request.method === 'GET' || request.method === 'HEAD';
}

function pageHeaders(framedBy: "'none'" | "'self'"): [name: string, value: string][] {
  return [...answerSecurityHeaders(framedBy), ['Content-Type', 'text/html; charset=utf-8']];
}

function json(status: number, body: object, more: readonly (readonly [string, string])[]): Answer {
  const headers = [...answerSecurityHeaders("'none'"), ['Content-Type', 'application/json'] as const, ...more];
  return { status, headers, body: `${JSON.stringify(body)}\n` };
}
