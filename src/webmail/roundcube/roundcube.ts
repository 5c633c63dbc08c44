import type { BackendHost } from '../../core/backend.ts';
import { pathOf } from '../../core/cookie-jar.ts';
import { type ErrorCode, PosternError } from '../../core/error.ts';
import type { ExchangeResponse, RequestHead } from '../../core/http.ts';
import type { SignInIdentity } from '../../core/identity.ts';
import { parseJson } from '../../core/objects.ts';
import { quoted } from '../../core/text.ts';
import type { Verdict, WebmailDriver, WebmailSignIn } from '../../core/webmail.ts';
import {
  Browser,
  browserOf,
  type ConfiguredParts,
  createMasterLogins,
  type DriverParts,
  type MasterLogin,
  type MasterLogins,
  noMasterEntry,
  refusedLogin,
  shownLocation,
  strangeAnswer,
  webmailUnavailable,
} from '../browser.ts';
import { checkedSettings } from '../driver-settings.ts';
import { findForm } from '../html-page.ts';
import { judgeSessionField, settings, withEntry } from './entry.ts';
import { interlude, isRoundcubePage, keepPage } from './interlude.ts';
import { lostAnswer, resumeTarget, retryAnswer } from './lost-answer.ts';
import {
  isRefusedForm,
  judgeHeads,
  judgeText,
  keepToken,
  pageToken,
  roundcubeQuery,
  sendsMessage,
  signsOut,
  tokenField,
} from './pages.ts';
import { accountLockedTexts, loginFailedTexts, storageErrorTexts } from './texts.ts';

/** Actions that an open page requests by itself, every minute or every half session lifetime. */
const polls: ReadonlySet<string> = new Set(['refresh', 'keep-alive', 'check-recent', 'getunread']);

export { settings } from './entry.ts';

/** One sentence for the configuration reference. */
export const about = 'Roundcube 1.5 and later.';

const withoutPlugin =
  'the form of Roundcube needs the password: install the plugin of integrations/roundcube, and set entry_key';

/**
 * Roundcube, 1.5 and later, by its own sign-in form; with an `entry_key`, by the plugin of integrations/roundcube.
 *
 * Both of its cookies stay in the gateway: one without the other destroys the session on the server. The second cookie
 * may rotate with any answer, so every Set-Cookie must reach the jar. With `ip_check` Roundcube needs the gateway in
 * `proxy_whitelist`.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const { entryKey, masterLogin } = checkedSettings(settings, parts.settings);
  const roundcube = byForm(parts, createMasterLogins(masterLogin, parts.master, withoutPlugin));
  return entryKey === undefined ? roundcube : withEntry(roundcube, parts, entryKey);
}

function byForm(parts: DriverParts, logins: MasterLogins): WebmailDriver {
  const decoder = new TextDecoder();
  return {
    ownsCookie,
    masterEntry: logins.masterEntry,
    signIn: async (host, as, signal) => {
      const login = logins.of(as);
      if (login === undefined) throw noMasterEntry(host, logins.masterEntry);
      const browser = new Browser(parts, { host, browser: browserOf(as), ownsCookie, signal });
      return signIn(browser, host, as, login);
    },
    signOut: (host, jar, browser, signal) =>
      signOut(new Browser(parts, { host, browser, ownsCookie, jar, signal }), pathOf(host.webmail.landing)),
    judge: (request, response) => {
      const verdict = judgeHeads(request, response);
      return verdict === 'signed-out' ? verdict : (judgeSessionField(response) ?? verdict);
    },
    judgeBody: (request, start, complete) => judgeBody(request, decoder.decode(start), complete),
    lostAnswer,
    retryAnswer,
    mayReplay: (request) => retryAnswer(request) === undefined,
    requestHeaders: tokenField,
    pageToken,
    interlude,
    isSignInPage: (request) => roundcubeQuery(request.target).task === 'login',
    resumeTarget,
    // `get` is an attachment, even if it is HTML.
    isPage: ({ target }) => roundcubeQuery(target).action !== 'get',
    isPoll: (request) => polls.has(roundcubeQuery(request.target).action),
  };
}

function judgeBody(request: RequestHead, text: string, complete: boolean): Verdict {
  const verdict = judgeText(text, complete);
  if (verdict === 'lost') return signsOut(request) ? 'signed-out' : 'lost';
  return sendsMessage(request) && isRefusedForm(text) ? 'outdated' : verdict;
}

function ownsCookie(name: string): boolean {
  return name === 'roundcube_sessid' || name === 'roundcube_sessauth';
}

async function signIn(
  browser: Browser,
  host: BackendHost,
  as: SignInIdentity,
  login: MasterLogin,
): Promise<WebmailSignIn> {
  const target = `${pathOf(host.webmail.landing)}?_task=login`;
  const page = await browser.get(target);
  const form = page.status === 200 ? findForm(page.body, (each) => each.fields.has('_token')) : undefined;
  if (form === undefined) throw noSignInForm(host, target, page);

  const fields = new URLSearchParams([...form.fields]);
  // `_url` is the page to return to, which would be the form itself.
  fields.set('_url', '');
  fields.set('_user', login.user);
  fields.set('_pass', login.password.reveal());
  if (as.timeZone !== undefined) fields.set('_timezone', as.timeZone);
  const answer = await browser.post(target, fields);
  if (answer.status !== 302) return answeredByPage(browser, host, as, answer);
  const landing = landingOf(browser, host, target, answer);
  keepToken(browser, landing);
  return browser.signedIn(withoutToken(landing));
}

/** The first page, as Roundcube chooses it. */
function landingOf(browser: Browser, host: BackendHost, target: string, answer: ExchangeResponse): string {
  const location = browser.locationOf(answer, target);
  if (location === undefined || roundcubeQuery(location).task === 'login') {
    throw strangeAnswer(host, `sign-in was answered by a redirect to ${shownLocation(answer.header('location'))}`);
  }
  return location;
}

/** The first page without the token, which would stay in the browser's history. */
function withoutToken(landing: string): string {
  return landing.replace(/([?&])_token=[^&]*&?/, '$1').replace(/[?&]$/, '');
}

/** The outcome of a sign-in that was answered by a page: a refusal, or the page of a plugin (see interlude.ts). */
function answeredByPage(
  browser: Browser,
  host: BackendHost,
  as: SignInIdentity,
  answer: ExchangeResponse,
): WebmailSignIn {
  const message = warningOf(answer.body);
  if (message !== undefined && loginFailedTexts.has(message)) return refusedLogin(host, as);
  if (message !== undefined && storageErrorTexts.has(message)) {
    throw signInRefused(
      host,
      'ERR_WEBMAIL_MAIL_SERVER',
      `${message} Check $config['imap_host'] there, and the IMAP server`,
    );
  }
  if ((message !== undefined && accountLockedTexts.has(message)) || isTooMany(answer)) {
    throw tooMany(
      host,
      message === undefined ? `sign-in was answered with status ${answer.status}` : quoted(message, 120),
    );
  }
  if (answer.status >= 500) throw webmailUnavailable(host, `sign-in was answered with status ${answer.status}`);
  if (answer.status !== 200 || !isRoundcubePage(answer.body)) {
    throw strangeAnswer(
      host,
      `sign-in was answered with status ${answer.status}: ${message === undefined ? 'no message' : quoted(message, 120)}`,
    );
  }
  if (as.actor !== undefined)
    throw strangeAnswer(host, 'it asks the user for more than the password, so only the user can continue');
  keepPage(browser, answer.body);
  return browser.signedIn(`${pathOf(host.webmail.landing)}?_task=mail`);
}

function isTooMany({ status }: ExchangeResponse): boolean {
  return status === 403 || status === 429;
}

function tooMany(host: BackendHost, why: string): PosternError {
  return signInRefused(
    host,
    'ERR_WEBMAIL_LOCKED',
    `${why} See $config['login_rate_limit'], and exempt the gateway from address bans`,
  );
}

function signInRefused(host: BackendHost, code: ErrorCode, why: string): PosternError {
  return new PosternError(code, `webmail of ${host.name}: ${why}`, { source: 'webmail', retryable: true });
}

/** The warning above the sign-in form, in the webmail's language; undefined if there is none. */
function warningOf(html: string): string | undefined {
  const quoted = /rcmail\.display_message\(("(?:[^"\\]|\\.)*"),"warning"/.exec(html)?.[1];
  if (quoted === undefined) return undefined;
  const text = parseJson(quoted);
  return typeof text === 'string' ? text : undefined;
}

function noSignInForm(host: BackendHost, target: string, page: ExchangeResponse): Error {
  if (page.status >= 500) return webmailUnavailable(host, `${target} was answered with status ${page.status}`);
  if (isTooMany(page)) return tooMany(host, `${target} was answered with status ${page.status}.`);
  const location = page.header('location');
  if (location !== undefined && host.webmail.origin.startsWith('http:') && isHttps(location, target)) {
    const cause = `${target} leads to HTTPS: where force_https does that, list us in $config['proxy_whitelist'], so that`;
    const remedy =
      'X-Forwarded-Proto counts, and have public_url https; where a web server does, write https: in the webmail URL';
    return strangeAnswer(host, `${cause} ${remedy}`);
  }
  const found = location === undefined ? `status ${page.status}` : `a redirect to ${shownLocation(location)}`;
  return strangeAnswer(
    host,
    `no sign-in form of Roundcube at ${target}, but ${found}; check the path of the webmail URL`,
  );
}

/** Whether a Location is the same target over HTTPS. */
function isHttps(location: string, target: string): boolean {
  const url = URL.parse(location);
  return url?.protocol === 'https:' && url.pathname + url.search === target;
}

/** Signs out with the session's token, so that Roundcube cleans up (such as emptying the trash on sign-out). */
async function signOut(browser: Browser, base: string): Promise<void> {
  const page = await browser.get(`${base}?_task=settings&_action=about`);
  const token = /"request_token":"([A-Za-z0-9]+)"/.exec(page.body)?.[1];
  if (token !== undefined) await browser.get(`${base}?_task=logout&_token=${token}`);
}
