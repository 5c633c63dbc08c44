import type { Request, RequestHandler, Response } from 'express';
import type { LiveSessions, SessionRecord } from '../core/session.ts';
import type { Logout } from '../login/logout.ts';
import { expiredCookieLines } from './browser-cookies.ts';
import { type FormTokens, requestInitiator } from './csrf.ts';
import { formField, queryParameter } from './form-body.ts';
import { ingressOf } from './ingress-of.ts';
import type { SessionGate } from './session-gate.ts';
import type { Views } from './views.ts';

export interface LogoutPageDeps {
  readonly logout: Logout;
  readonly gate: SessionGate;
  readonly live: LiveSessions;
  readonly tokens: FormTokens;
  readonly views: Views;
}

/** `/-/logout`: GET shows a button, POST signs out. A page that somebody else made can do neither. */
export function createLogoutPage({ logout, gate, live, tokens, views }: LogoutPageDeps): {
  show: RequestHandler;
  submit: RequestHandler;
} {
  function show(request: Request, response: Response): void {
    const record = gate.current(request);
    if (record === undefined) return seeOther(response, '/-/login');
    const locale = views.locales.choose(queryParameter(request.url, 'lang'), request.headers['accept-language']);
    const title = locale.text('signOut.title');
    const text = locale.text('signOut.text', { user: record.user });
    response.type('html').setHeader('Content-Language', locale.tag);
    response.vary('Accept-Language');
    response.end(views.render('logout', { locale, title }, { text, token: tokens.issue(bindingOf(record)) }));
  }

  async function submit(request: Request, response: Response): Promise<void> {
    const { publicUrl, client } = ingressOf(request);
    const initiator = requestInitiator(request.headers, publicUrl.origin);
    const record = gate.current(request);
    const isBound = record !== undefined && tokens.check(formField(request.body, 'token'), bindingOf(record));
    // Without a session there is nothing to bind a token to. Still a page of ours may ask to be rid of a cookie that
    // names none, or one that the store cannot be asked about now.
    const isOurs = record === undefined ? initiator === 'own' : isBound && initiator !== 'foreign';
    if (!isOurs) return seeOther(response, '/-/logout');

    const found = await live.find(request.headers.cookie);
    const end = async () => gate.close(request, response, 'signed-out');
    if (found.kind === 'found') {
      const as = { userAgent: client.userAgent, publicOrigin: publicUrl.origin, clientAddress: client.address };
      await logout(found.session, as, end);
      for (const line of expiredCookieLines(found.session.jar, publicUrl.secure)) {
        response.appendHeader('Set-Cookie', line);
      }
    } else await end();
    response.setHeader('Clear-Site-Data', '"cache"');
    seeOther(response, '/-/login?ended=signed-out');
  }

  return { show, submit };
}

function bindingOf(record: SessionRecord): string {
  return `sign-out ${record.userKey} ${record.createdAtMs}`;
}

function seeOther(response: Response, location: string): void {
  response.statusCode = 303;
  response.setHeader('Location', location);
  response.end();
}
