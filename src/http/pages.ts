import type { KeyObject } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { SessionFinder } from '../core/session.ts';
import type { Login } from '../login/login.ts';
import type { Logout } from '../login/logout.ts';
import type { NoticeDelivery } from '../support/notices.ts';
import { createMethodNotAllowed, createOnlyDocuments, createOwnApp, type Pages } from './app.ts';
import { createFormBody, createFormTokens } from './forms.ts';
import { createLoginPage } from './login-page.ts';
import { createLogoutPage } from './logout-page.ts';
import { createNoticePage } from './notice-page.ts';
import { createLoadSession, onlyOwnSessions, type PageSessions } from './request-context.ts';
import { createSessionsPage, type OwnSessions } from './sessions-page.ts';
import type { Views } from './views.ts';

/** Dependencies of the gateway's pages for users. */
export interface PagesDeps {
  readonly login: Login;
  readonly logout: Logout;
  readonly gate: PageSessions;
  readonly live: SessionFinder;
  readonly ownSessions: OwnSessions;
  /** Whether users hear of mailboxes that staff opened; no if left out. */
  readonly tellsOfOpened?: boolean;
  readonly notices: Pick<NoticeDelivery, 'pending' | 'pendingNow' | 'read'>;
  readonly views: Views;
  /** Keys that all nodes share: the first signs forms, all verify. */
  readonly formKeys: () => readonly KeyObject[];
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
  readonly log: Log;
}

/**
 * Builds the Express app of the sign-in pages. It reads nothing but what it is given and owns no timer and no socket.
 */
export function createPages(given: PagesDeps): Pages {
  const deps = onlyOwnSessions(given);
  const { gate } = deps;
  const tokens = createFormTokens(deps.formKeys, deps.clock);
  const loginPage = createLoginPage({ ...deps, tokens });
  const logoutPage = createLogoutPage({ ...deps, tokens });
  const noticePage = createNoticePage({ ...deps, tokens });
  const sessionsPage = createSessionsPage({ ...deps, tokens });
  const loadSession = createLoadSession(gate);
  const formBody = createFormBody();
  const notAllowed = createMethodNotAllowed('GET, HEAD, POST');

  return createOwnApp(deps, (app) => {
    app.use(createOnlyDocuments());
    app.get('/-/login', loadSession, loginPage.show);
    app.post('/-/login', formBody, loadSession, loginPage.submit);
    app.all('/-/login', notAllowed);
    app.get('/-/logout', loadSession, logoutPage.show);
    app.post('/-/logout', formBody, loadSession, logoutPage.submit);
    app.all('/-/logout', notAllowed);
    app.get('/-/notice', noticePage.show);
    app.post('/-/notice', formBody, noticePage.submit);
    app.all('/-/notice', notAllowed);
    app.get('/-/sessions', sessionsPage.show);
    app.post('/-/sessions', formBody, sessionsPage.submit);
    app.all('/-/sessions', notAllowed);
  });
}
