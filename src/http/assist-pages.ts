import type { Request, Response } from 'express';
import type { Clock } from '../core/clock.ts';
import { expiredCookieLines } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import { requestIdsOf } from '../core/names.ts';
import type { LiveSession, SessionFinder } from '../core/session.ts';
import type { Impersonation, OpenedWebmail, OpenOutcome } from '../support/impersonation.ts';
import type { MailboxExpiry } from '../support/mailbox-expiry.ts';
import { createMethodNotAllowed, createOnlyDocuments, createOwnApp, type ErrorPageDeps, type Pages } from './app.ts';
import { stopBindingOf } from './banner.ts';
import { sourceKeyOf } from './console/layout.ts';
import { createFormBody, formField, type FormTokens, queryParameter, requestInitiator } from './forms.ts';
import { closureText } from './gateway-answers.ts';
import type { Locale, TextKey } from './locales.ts';
import { createLoadSession, goneSignal, ingressOf, type PageSessions } from './request-context.ts';

/** Dependencies of the pages on the assist host. */
interface AssistPagesDeps extends ErrorPageDeps {
  readonly impersonation: Pick<Impersonation, 'open' | 'failed'>;
  readonly mailboxExpiry: Pick<MailboxExpiry, 'opened'>;
  /** Sends the user the notice that the operator configured. */
  readonly tell: (opened: OpenedWebmail) => Promise<void>;
  readonly gate: PageSessions;
  readonly live: SessionFinder;
  readonly tokens: FormTokens;
  readonly consoleOrigin: string;
  readonly clock: Clock;
}

/** Reasons with a text of their own. */
const closedTexts = ['signed-out', 'absolute', 'ended-elsewhere'] as const;

interface Page {
  readonly status: number;
  readonly title: TextKey;
  readonly text: string;
  /** The log has it, too. */
  readonly reference?: string;
}

/** Creates the pages of the assist host: open a mailbox, end it, and say why it ended. */
export function createAssistPages(deps: AssistPagesDeps): Pages {
  const pages = new AssistPages(deps);
  const loadSession = createLoadSession(deps.gate);
  const notAllowed = createMethodNotAllowed('GET, HEAD');
  return createOwnApp(deps, (app) => {
    app.use(deps.views.assistAssets.serve);
    app.use(createOnlyDocuments());
    app.get('/-/assist/open', loadSession, (request, response) =>
      request.method === 'HEAD' ? notAllowed(request, response, () => {}) : pages.open(request, response),
    );
    app.post('/-/assist/stop', createFormBody(), loadSession, (request, response) => pages.stop(request, response));
    app.get('/-/login', (request, response) => pages.closed(request, response));
    app.all('/-/login', notAllowed);
  });
}

class AssistPages {
  readonly #deps: AssistPagesDeps;

  constructor(deps: AssistPagesDeps) {
    this.#deps = deps;
  }

  async open(request: Request, response: Response): Promise<void> {
    const token = queryParameter(request.url, 'link') ?? '';
    const gone = goneSignal(response);
    try {
      const opened = await this.#deps.impersonation.open(token, ingressOf(request).client, gone);
      if (opened.kind === 'refused') return this.#refuse(request, response, opened);
      try {
        await this.#openSession(request, response, opened);
      } catch (error) {
        await this.#deps.impersonation.failed(opened.grant, ingressOf(request).client, error);
        throw error;
      }
      response.statusCode = 303;
      // Absolute: a landing such as `//host/` would leave the origin.
      response.setHeader('Location', ingressOf(request).publicUrl.origin + opened.landing);
      response.end();
    } catch (error) {
      if (gone.aborted) return;
      if (!(error instanceof PosternError)) throw error;
      this.#unavailable(request, response, error);
    }
  }

  async stop(request: Request, response: Response): Promise<void> {
    const { publicUrl, requestId } = ingressOf(request);
    const session = await this.#sessionOf(request);
    if (session !== undefined) {
      const isBound = this.#deps.tokens.check(formField(request.body, 'token'), stopBindingOf(session));
      if (!isBound || requestInitiator(request.headers, publicUrl.origin) === 'foreign') {
        const text = this.#localeOf(request).text('assist.stale');
        return this.#sendPage(request, response, { status: 400, title: 'assist.refused.title', text });
      }
      await this.#deps.gate.close(request, response, 'signed-out', requestId);
      for (const line of expiredCookieLines(session.jar, publicUrl.secure)) response.appendHeader('Set-Cookie', line);
      response.setHeader('Clear-Site-Data', '"cache"');
    }
    response.statusCode = 303;
    response.setHeader('Location', '/-/login?ended=signed-out');
    response.end();
  }

  /** The sign-in page of the assist host, where scripts of a webmail are sent without a session. */
  async closed(request: Request, response: Response): Promise<void> {
    const lookup = await this.#deps.live.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    const ended = lookup.kind === 'ended' ? lookup.reason : queryParameter(request.url, 'ended');
    const known = closedTexts.find((reason) => reason === ended);
    const text = this.#localeOf(request).text(`assist.closed.${known ?? (ended === undefined ? 'none' : 'ended')}`);
    this.#sendPage(request, response, { status: 200, title: 'assist.closed.title', text });
  }

  #sendPage(request: Request, response: Response, { text, reference, ...page }: Page): void {
    const locale = this.#localeOf(request);
    const link = { href: this.#deps.consoleOrigin, label: locale.text('assist.console') };
    response.status(page.status).type('html').setHeader('Content-Language', locale.tag);
    response.vary('Accept-Language');
    response.end(
      this.#deps.views.render('message', { locale, title: locale.text(page.title) }, { text, link, reference }),
    );
  }

  #localeOf(request: Request): Locale {
    return this.#deps.views.locales.choose(queryParameter(request.url, 'lang'), request.headers['accept-language']);
  }

  #unavailable(request: Request, response: Response, error: PosternError): void {
    const ids = requestIdsOf(ingressOf(request));
    this.#deps.log.warn('impersonation-not-started', { err: error, code: error.code, ...ids });
    const locale = this.#localeOf(request);
    const source = locale.text(sourceKeyOf(error.source));
    // The link was valid, so its holder may read the cause.
    const text =
      error.source === 'audit'
        ? locale.text('support.unavailable.audit')
        : `${locale.text('support.unavailable.other', { source })} ${locale.text('support.cause', { detail: error.message })}`;
    this.#sendPage(request, response, { status: 503, title: 'assist.refused.title', text, reference: ids.reference });
  }

  #refuse(request: Request, response: Response, refusal: Extract<OpenOutcome, { kind: 'refused' }>): void {
    const locale = this.#localeOf(request);
    const text =
      refusal.why === 'closed'
        ? closureText(locale, refusal.closure, { as: 'staff', timeZone: undefined, nowMs: this.#deps.clock.nowMs() })
            .text
        : locale.text(`support.refused.${refusal.why}`, 'detail' in refusal ? { detail: refusal.detail } : {});
    const status = refusal.why === 'closed' ? 503 : 403;
    this.#sendPage(request, response, { status, title: 'assist.refused.title', text });
  }

  async #openSession(request: Request, response: Response, opened: OpenedWebmail): Promise<void> {
    const { publicUrl, client } = ingressOf(request);
    const { grant, backend, host, jar, browserCookies } = opened;
    const { actor, staffSession, subject, reason, ticket, minutes } = grant;
    const before = await this.#sessionOf(request);
    const key = await this.#deps.gate.open(request, response, {
      user: subject,
      backend,
      host,
      jar,
      client,
      password: undefined,
      publicOrigin: publicUrl.origin,
      timeZone: undefined,
      impersonation: { actor, staffSession, reason, ticket },
      lifetimeMs: minutes * 60_000,
    });
    const sinceMs = this.#deps.clock.nowMs();
    try {
      const untilMs = sinceMs + minutes * 60_000;
      await this.#deps.mailboxExpiry.opened(key, { actor, staffSession, subject, reason, ticket, sinceMs, untilMs });
      await this.#deps.tell(opened);
    } catch (error) {
      // The mailbox must not stay open without a record and a notice.
      await this.#deps.gate.close(request, response, 'kicked', ingressOf(request).requestId);
      throw error;
    }
    response.setHeader('Clear-Site-Data', '"cache"');
    for (const line of before === undefined ? [] : expiredCookieLines(before.jar, publicUrl.secure)) {
      response.appendHeader('Set-Cookie', line);
    }
    for (const line of browserCookies) response.appendHeader('Set-Cookie', line);
  }

  async #sessionOf(request: Request): Promise<LiveSession | undefined> {
    const found = await this.#deps.live.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    return found.kind === 'found' && found.session.record.impersonation !== undefined ? found.session : undefined;
  }
}
