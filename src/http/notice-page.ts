import type { Request, RequestHandler, Response } from 'express';
import type { LiveSession, SessionFinder } from '../core/session.ts';
import type { NoticeDelivery } from '../support/notices.ts';
import { formField, type FormTokens, nextTarget, queryParameter, requestInitiator } from './forms.ts';
import { timeTextOf } from './locales.ts';
import { ingressOf } from './request-context.ts';
import type { Views } from './views.ts';

/** Dependencies of the page of notices. */
interface NoticePageDeps {
  readonly notices: Pick<NoticeDelivery, 'pendingNow' | 'read'>;
  readonly live: SessionFinder;
  readonly tokens: FormTokens;
  readonly views: Views;
}

/** `/-/notice`: tells a user once who opened the mailbox, when and why, on the way from the sign-in to the mail. */
export function createNoticePage({ notices: telling, live, tokens, views }: NoticePageDeps): {
  show: RequestHandler;
  submit: RequestHandler;
} {
  async function sessionOf(request: Request): Promise<LiveSession | undefined> {
    const found = await live.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    return found.kind === 'found' ? found.session : undefined;
  }

  async function show(request: Request, response: Response): Promise<void> {
    const session = await sessionOf(request);
    const pending = session === undefined ? [] : await telling.pendingNow(session.record.user);
    const last = pending.at(-1);
    if (session === undefined || last === undefined) return seeNextPage(request, response);
    const locale = views.locales.choose(queryParameter(request.url, 'lang'), request.headers['accept-language']);
    const time = timeTextOf(locale, 'full', session.record.timeZone);
    response.type('html').setHeader('Content-Language', locale.tag);
    response.vary('Accept-Language');
    const values = {
      notices: pending.map(({ actor, reason, minutes, atMs }) => ({
        when: time(atMs),
        who: locale.text('notice.who', { actor, minutes: String(minutes) }),
        why: locale.text('notice.why', { reason }),
      })),
      token: tokens.issue(noticeFormBinding(session, last.atMs)),
      until: last.atMs,
    };
    response.end(views.render('notice', { locale, title: locale.text('notice.title') }, values));
  }

  async function submit(request: Request, response: Response): Promise<void> {
    const session = await sessionOf(request);
    const until = Number(formField(request.body, 'until'));
    if (session !== undefined && Number.isSafeInteger(until)) {
      const isBound = tokens.check(formField(request.body, 'token'), noticeFormBinding(session, until));
      const initiator = requestInitiator(request.headers, ingressOf(request).publicUrl.origin);
      if (isBound && initiator !== 'foreign') await telling.read(session.record.user, until);
    }
    seeNextPage(request, response);
  }

  return { show, submit };
}

function noticeFormBinding({ key }: LiveSession, untilMs: number): string {
  return `notice ${key} ${untilMs}`;
}

/** Leads on to the target after the notices. */
function seeNextPage(request: Request, response: Response): void {
  response.statusCode = 303;
  const { origin } = ingressOf(request).publicUrl;
  response.setHeader('Location', nextTarget(queryParameter(request.url, 'next'), origin) ?? '/');
  response.end();
}
