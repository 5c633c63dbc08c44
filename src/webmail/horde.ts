import type { z } from 'zod';
import type { BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { Answer, RequestHead, UpstreamResponseHead } from '../core/http.ts';
import type { SignInIdentity } from '../core/identity.ts';
import { quoted } from '../core/text.ts';
import type { Verdict, WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { section, yesOrNo } from '../schema/scalars.ts';
import {
  Browser,
  browserOf,
  type ConfiguredParts,
  createMasterLogins,
  type MasterLogin,
  noMasterEntry,
  refusedLogin,
  strangeAnswer,
  webmailUnavailable,
} from './browser.ts';
import { checkedSettings, masterLogin } from './driver-settings.ts';

/** Horde's number for a sign-out by the user. */
const reasonLogout = '4';
/** Horde's English message for a refused password. */
const badLogin = 'Login failed because your username or password was entered incorrectly.';

const hordeNeedsPassword =
  'Horde needs the password; with Dovecot, master_login: true opens the mail, and with the hook of integrations/horde the user’s own account';

interface HordeSettings {
  readonly masterLogin: boolean;
  /** Whether Horde has the hook that makes `user*master` the user's own account. */
  readonly ownAccount: boolean;
}

/** One sentence for the configuration reference. */
export const about = 'Horde 5 with IMP.';

/** Settings of the `horde` driver: `master_login` with or without `own_account`, or none. */
export const settings: z.ZodType<HordeSettings> = section({
  master_login: masterLogin(),
  own_account: yesOrNo()
    .prefault(false)
    .describe('Whether Horde has the hook of integrations/horde, which maps `user*master` to the user’s own account.'),
})
  .superRefine(({ master_login, own_account }, context) => {
    if (!own_account || master_login) return;
    const message = 'only changes what master_login opens: set master_login: true, too';
    context.addIssue({ code: 'custom', path: ['own_account'], message });
  })
  .transform((given) => ({ masterLogin: given.master_login, ownAccount: given.own_account }))
  .meta({ examples: [{}, { master_login: true }, { master_login: true, own_account: true }] });

/** Paths of Horde's own server for Basic clients. */
export const davPaths = [
  '/horde/rpc.php',
  '/horde/rpc',
  '/Microsoft-Server-ActiveSync',
  '/.well-known/caldav',
  '/.well-known/carddav',
];

/**
 * Horde 5 with IMP, by its own form. The path of the webmail URL is Horde's own root, such as `/horde/`.
 *
 * Both of its cookies stay in the gateway: one encrypts the credentials in the session of the other. The session is
 * bound to the browser's User-Agent. Each session has a new token for its script, so Horde's own script reloads a page
 * that outlives its session.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const { masterLogin, ownAccount } = checkedSettings(settings, parts.settings);
  const logins = createMasterLogins(masterLogin, parts.master, hordeNeedsPassword, ownAccount);
  const decoder = new TextDecoder();
  return {
    ownsCookie,
    masterEntry: logins.masterEntry,
    // Horde would create a session for every path that does not exist.
    healthTarget: 'themes/default/graphics/favicon.ico',
    signIn: async (host, as, signal) => {
      const login = logins.of(as);
      if (login === undefined) throw noMasterEntry(host, logins.masterEntry);
      const newBrowser = (language?: 'en'): Browser =>
        new Browser(parts, { host, browser: browserOf(as), ownsCookie, language, signal });
      return signIn(newBrowser(), host, as, login, asksForEnglish(as) ? undefined : () => newBrowser('en'));
    },
    signOut: (host, jar, browser, signal) =>
      signOut(new Browser(parts, { host, browser, ownsCookie, jar, signal }), rootOf(host)),
    judge: hordeVerdict,
    judgeBody: (_request, start, complete) => judgeDownload(decoder.decode(start), complete),
    lostAnswer,
    isSignInPage: (request) => request.method === 'GET' && isLoginScript(request.target) && !asksToSignOut(request),
    resumeTarget: (target) => (isLoginScript(target) ? pathOf(target).replace(/login\.php$/, '') : target),
    isPage: ({ target }) => !/\/services\/download\/|\/view\.php$/.test(pathOf(target)),
    isPoll: ({ target }) => pathOf(target).endsWith('/services/ajax.php/imp/poll'),
  };
}

function ownsCookie(name: string): boolean {
  return name === 'Horde' || name === 'horde_secret_key';
}

/** Whether Horde answers in English without being asked to. */
function asksForEnglish({ client: { language } }: SignInIdentity): boolean {
  return language === undefined || /^\s*en\b/i.test(language);
}

/**
 * Signs in, in the user's language, which the session keeps. If Horde shows its form again in another language than
 * English, a second attempt by `inEnglish` gets a message that the driver can read. That is rare: the mail server has
 * accepted the password before.
 */
async function signIn(
  browser: Browser,
  host: BackendHost,
  as: SignInIdentity,
  login: MasterLogin,
  inEnglish?: () => Browser,
): Promise<WebmailSignIn> {
  const target = `${rootOf(host)}login.php`;
  const fields = new URLSearchParams({
    login_post: '1',
    app: '',
    url: '',
    anchor_string: '',
    horde_select_view: 'auto',
    horde_user: login.user,
    horde_pass: login.password.reveal(),
  });
  const answer = await browser.post(target, fields);
  const location = browser.locationOf(answer, target);
  if (answer.status === 302 && location !== undefined && !isLoginScript(location)) return browser.signedIn(location);
  if (answer.status === 200 && answer.body.includes(`<div class="noticetext">${badLogin}</div>`)) {
    return refusedLogin(host, as);
  }
  if (answer.status === 200 && inEnglish !== undefined) return signIn(inEnglish(), host, as, login);
  if (answer.status >= 500) throw webmailUnavailable(host, `sign-in was answered with status ${answer.status}`);
  const notice = /<div class="noticetext">([^<]{1,200})/.exec(answer.body)?.[1];
  const said = notice === undefined ? 'no message' : quoted(notice, 120);
  throw strangeAnswer(host, `${target} answered sign-in with status ${answer.status}: ${said}`);
}

/** Signs out with the token of the session, which every page of the mailbox contains. */
async function signOut(browser: Browser, root: string): Promise<void> {
  const page = await browser.get(`${root}imp/dynamic.php?page=mailbox`);
  const token = /"TOKEN":"([\w-]+)"/.exec(page.body)?.[1];
  if (token !== undefined) {
    await browser.get(`${root}login.php?horde_logout_token=${token}&logout_reason=${reasonLogout}`);
  }
}

/** The directory of the landing path: `/horde/` for `/horde/` and for `/horde/index.php`. */
function rootOf(host: BackendHost): string {
  return pathOf(host.webmail.landing).replace(/[^/]*$/, '');
}

/**
 * After a lost session every page redirects to login.php. Horde tells its script in JSON, with the same words as for a
 * stale token, and the script goes to login.php by itself. That answer counts as alive and is passed on, because a page
 * that outlived its session must be reloaded.
 */
function hordeVerdict(request: RequestHead, response: UpstreamResponseHead): Verdict | 'look-inside' {
  if (isLoginScript(request.target)) return asksToSignOut(request) && dropsKey(response) ? 'signed-out' : 'alive';
  const location = response.header('location') ?? '';
  if (response.status === 302 && isLoginScript(withoutOrigin(location))) return 'lost';
  return mayBeErrorPage(request, response) ? 'look-inside' : 'alive';
}

/**
 * Whether this may be Horde's error page for a download without a session, which has status 200. A mail's own HTML has
 * a Content-Disposition.
 */
function mayBeErrorPage(request: RequestHead, response: UpstreamResponseHead): boolean {
  return (
    pathOf(request.target).includes('/services/download/') &&
    response.status === 200 &&
    response.header('content-disposition') === undefined &&
    /^text\/html\b/i.test(response.header('content-type') ?? '')
  );
}

function judgeDownload(body: string, complete: boolean): Verdict {
  const isLost =
    complete && body.startsWith('<html>\n<head><title>') && body.includes('<h3>User is not authenticated.</h3>');
  return isLost ? 'lost' : 'alive';
}

/** Horde's own answer for a lost session, after which its script goes to `loginPath`. */
function lostAnswer(request: RequestHead, loginPath: string): Answer | undefined {
  if (!pathOf(request.target).includes('/services/ajax.php/')) return undefined;
  const message = { msgs: [{ message: loginPath, type: 'horde.ajaxtimeout' }], response: false };
  return {
    status: 200,
    headers: [
      ['Content-Type', 'application/json'],
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
    ],
    body: `/*-secure-${JSON.stringify(message).replaceAll('*/', '*\\/')}*/`,
  };
}

function isLoginScript(target: string): boolean {
  return pathOf(target).endsWith('/login.php');
}

function asksToSignOut(request: RequestHead): boolean {
  const query = new URLSearchParams(request.target.slice(pathOf(request.target).length));
  return query.get('logout_reason') === reasonLogout && query.has('horde_logout_token');
}

function dropsKey(response: UpstreamResponseHead): boolean {
  return response.setCookies.some((line) => line.startsWith('horde_secret_key=deleted'));
}

function withoutOrigin(location: string): string {
  return location.replace(/^https?:\/\/[^/?#]*/i, '');
}
