import type { Request, RequestHandler, Response } from 'express';
import { expiredCookieLines } from '../core/cookie-jar.ts';
import type { SessionFinder, SessionRecord } from '../core/session.ts';
import type { Logout } from '../login/logout.ts';
import { formField, type FormTokens, queryParameter, requestInitiator, seeOther } from './forms.ts';
import { ingressOf, type PageSessions, sessionOf, signInPathOf } from './request-context.ts';
import type { Views } from './views.ts';

/** Dependencies of the sign-out page. */
interface LogoutPageDeps {
  readonly logout: Logout;
  readonly gate: PageSessions;
  readonly live: SessionFinder;
  readonly tokens: FormTokens;
  readonly views: Views;
}

/** `/-/logout`: GET shows a button, POST signs out. Pages of other origins can do neither. */
export function createLogoutPage({ logout, gate, live, tokens, views }: LogoutPageDeps): {
  show: RequestHandler;
  submit: RequestHandler;
} {
  async function show(request: Request, response: Response): Promise<void> {
    const record = sessionOf(gate, request);
    if (record === undefined)
      return seeOther(
        response,
        signInPathOf(await live.find(request.headers.cookie, ingressOf(request).publicUrl.secure)),
      );
    const locale = views.locales.choose(queryParameter(request.url, 'lang'), request.headers['accept-language']);
    const title = locale.text('signOut.title');
    const text = record === 'unreadable' ? undefined : locale.text('signOut.text', { user: record.user });
    response.type('html').setHeader('Content-Language', locale.tag);
    response.vary('Accept-Language');
    response.end(views.render('logout', { locale, title }, { text, token: tokens.issue(logoutFormBinding(record)) }));
  }

  async function submit(request: Request, response: Response): Promise<void> {
    const { publicUrl, client, requestId } = ingressOf(request);
    const initiator = requestInitiator(request.headers, publicUrl.origin);
    const record = sessionOf(gate, request);
    const isBound = tokens.check(formField(request.body, 'token'), logoutFormBinding(record));
    // Without a session a token proves nothing: the browser itself must say that the form was ours. Then it may still
    // get rid of its cookie.
    const isOurs = typeof record === 'object' ? isBound && initiator !== 'foreign' : initiator === 'own';
    if (!isOurs) return seeOther(response, '/-/logout');

    const found = await live.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    const end = async () => gate.close(request, response, 'signed-out', requestId);
    if (found.kind === 'found') {
      const as = { ...client, publicOrigin: publicUrl.origin, clientAddress: client.address };
      await logout(found.session, as, end);
      for (const line of expiredCookieLines(found.session.jar, publicUrl.secure)) {
        response.appendHeader('Set-Cookie', line);
      }
    } else await end();
    // A user whose session others had ended meanwhile must learn of that.
    seeOther(response, found.kind === 'ended' ? signInPathOf(found) : '/-/login?ended=signed-out');
  }

  return { show, submit };
}

function logoutFormBinding(record: SessionRecord | 'unreadable' | undefined): string {
  return typeof record === 'object' ? `sign-out ${record.userKey} ${record.createdAtMs}` : 'sign-out';
}
