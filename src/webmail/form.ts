import type { BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { ExchangeResponse } from '../core/http.ts';
import type { WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { headsBear, isByUser } from './form-marks.ts';
import { type FormSettings, type Mark, parseFormSettings } from './form-settings.ts';
import { findForm } from './html-form.ts';
import { createMasterLogins, type MasterLogin, noMasterEntry, refusedLogin } from './master-login.ts';
import { browserOf, type ConfiguredParts, strangeAnswer, unavailable, Visit } from './visit.ts';

const onlyPassword = 'the webmail’s form takes only the password, unless the operator declares master_login';

/**
 * A webmail with an HTML sign-in form, described by settings: where the form is, what its fields are called, and by
 * which marks its answers are known.
 *
 * Hidden fields are taken from the page, so that tokens against forged requests work. Of the marks of a sign-in
 * `success` counts first, so that `failure` may be as wide as "any other redirect". A mark with a text is looked for in
 * the first bytes of pages and JSON; a mail may contain it as well, so status, location and cookie are the better
 * marks. Throws a TypeError for settings that {@link parseFormSettings} refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const parsed = parseFormSettings(parts.settings);
  if (parsed.kind === 'problems') throw new TypeError('settings of the form driver were not checked');
  const { settings } = parsed;
  const logins = createMasterLogins(settings.masterLogin, parts.master, onlyPassword);
  const ownsCookie = (name: string): boolean => settings.ownCookies.includes(name);
  const decoder = new TextDecoder();
  return {
    ownsCookie,
    masterEntry: logins.masterEntry,
    signIn: async (host, as, signal) => {
      const login = logins.of(as);
      if (login === undefined) throw noMasterEntry(host, logins.masterEntry);
      const visit = new Visit(parts, { host, browser: browserOf(as), ownsCookie, signal });
      const outcome = await signIn(settings, visit, host, login);
      return outcome.kind === 'rejected' ? refusedLogin(host, as) : outcome;
    },
    signOut: (host, jar, browser, signal) =>
      signOut(settings, new Visit(parts, { host, browser, ownsCookie, jar, signal })),
    judge: (request, response) => {
      const bears = (mark: Mark): boolean => headsBear(mark, request.target, response);
      const signedOut = settings.signedOut.filter(bears);
      const lost = settings.lost.filter(bears);
      if (signedOut.some(isHeadMark)) return isByUser(request) ? 'signed-out' : 'alive';
      if (lost.some(isHeadMark)) return 'lost';
      return signedOut.length + lost.length > 0 ? 'look-inside' : 'alive';
    },
    judgeBody: (request, start) => {
      const text = decoder.decode(start);
      const bears = (mark: Mark): boolean =>
        mark.text !== undefined && pathOf(request.target).startsWith(mark.path) && text.includes(mark.text);
      if (settings.signedOut.some(bears)) return isByUser(request) ? 'signed-out' : 'alive';
      return settings.lost.some(bears) ? 'lost' : 'alive';
    },
    isSignInPage: (request) =>
      request.method === 'GET' && settings.page !== undefined && pathOf(request.target) === pathOf(settings.page),
    isPoll: (request) => settings.polls.some((path) => request.target.startsWith(path)),
  };
}

function isHeadMark(mark: Mark): boolean {
  return mark.text === undefined;
}

async function signIn(
  settings: FormSettings,
  visit: Visit,
  host: BackendHost,
  login: MasterLogin,
): Promise<WebmailSignIn> {
  const target = settings.page ?? host.webmail.landing;
  const page = await visit.get(target);
  if (page.status >= 500) throw unavailable(host, `${target} was answered with status ${page.status}`);
  const form = findForm(page.body, (each) => each.fields.has(settings.passwordField));
  if (form === undefined) {
    throw strangeAnswer(host, `no form with a field ${settings.passwordField} at ${target} (status ${page.status})`);
  }
  const fields = new URLSearchParams([...form.fields]);
  fields.set(settings.userField, login.user);
  fields.set(settings.passwordField, login.password.reveal());
  const action = actionOf(form.action, target, host);
  return outcome(settings, visit, host, action, await visit.post(action, fields));
}

function outcome(
  settings: FormSettings,
  visit: Visit,
  host: BackendHost,
  action: string,
  answer: ExchangeResponse,
): WebmailSignIn {
  const bears = (mark: Mark): boolean =>
    headsBear(mark, action, answer) && (mark.text === undefined || answer.body.includes(mark.text));
  if (settings.success.some(bears)) {
    return visit.signedIn(settings.landing ?? visit.locationOf(answer, action) ?? host.webmail.landing);
  }
  if (settings.failure.some(bears)) return { kind: 'rejected' };
  if (answer.status >= 500) throw unavailable(host, `sign-in was answered with status ${answer.status}`);
  throw strangeAnswer(host, `sign-in was answered with status ${answer.status}, which no success or failure mark fits`);
}

/** The path that a form is sent to. A form that is sent elsewhere would carry the password there. */
function actionOf(action: string | undefined, page: string, host: BackendHost): string {
  const base = new URL(page, host.webmail.origin);
  const url = new URL(action === undefined || action === '' ? page : action, base);
  if (url.origin !== base.origin) throw strangeAnswer(host, 'the sign-in form is sent to another server');
  return url.pathname + url.search;
}

async function signOut(settings: FormSettings, visit: Visit): Promise<void> {
  if (settings.signOut === undefined) return;
  const { method, path, page } = settings.signOut;
  if (method === 'GET') {
    await visit.get(path);
    return;
  }
  const body = page === undefined ? '' : (await visit.get(page)).body;
  const form = findForm(body, (each) => each.action === path);
  await visit.post(path, new URLSearchParams([...(form?.fields ?? [])]));
}
