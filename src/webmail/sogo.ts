import type { z } from 'zod';
import type { BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { Answer, ExchangeResponse, RequestHead, UpstreamResponseHead } from '../core/http.ts';
import { parseJson } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { quoted } from '../core/text.ts';
import type { MasterEntry, RequestIdentity, Verdict, WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { oneOf, section } from '../schema/scalars.ts';
import {
  Browser,
  browserOf,
  type ConfiguredParts,
  noMasterEntry,
  strangeAnswer,
  webmailUnavailable,
} from './browser.ts';
import {
  basicAuthField,
  checkedSettings,
  type RequestFields,
  secretSetting,
  sharedSecret,
  textsFor,
  utf8FieldValue,
} from './driver-settings.ts';

const sessionCookie = '0xHIGHFLYxSOGo';
/** A copy of the browser's token in the jar, under a path that is never requested from a webmail. */
const tokenCookie = 'XSRF-TOKEN-kept';
/** SOGo's code for "no password policy was violated": the password is wrong. */
const noPolicy = 65_535;

/** One sentence for the configuration reference. */
export const about = 'SOGo 5.';

/** Settings of the `sogo` driver: `mode: trusted` with its secrets, or none. */
export const settings: z.ZodType<SogoSettings> = section({
  mode: oneOf(['password', 'trusted'] as const)
    .prefault('password')
    .describe('`password`: by its own sign-in. `trusted`: by fields that its web server accepts as an identity.'),
  secret: sharedSecret()
    .optional()
    .describe('With `mode: trusted`: the secret by which the web server recognises the gateway.'),
  imap_password: secretSetting()
    .optional()
    .describe('With `mode: trusted`: the password of the master for IMAP, with which every mailbox can be opened.'),
})
  .superRefine((given, context) => {
    const add = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (given.mode === 'trusted') {
      const why = 'is missing: without it, anybody who reaches the web server could sign in as any user';
      if (given.secret === undefined) add('secret', why);
      return;
    }
    for (const key of ['secret', 'imap_password'] as const) {
      if (given[key] !== undefined) add(key, 'is used in mode trusted only');
    }
  })
  .transform(
    ({ secret, imap_password: imapPassword }): SogoSettings =>
      secret === undefined ? { mode: 'password' } : { mode: 'trusted', secret, imapPassword },
  )
  .meta({
    examples: [{}, { mode: 'trusted', secret: { file: 'sogo-secret' }, imap_password: { file: 'master-password' } }],
  });

/** Paths of SOGo's own server for Basic clients. */
export const davPaths = ['/SOGo/dav', '/Microsoft-Server-ActiveSync', '/.well-known/caldav', '/.well-known/carddav'];

/**
 * SOGo 5, by its own JSON sign-in or, in `mode: trusted`, by fields that its web server accepts as an identity.
 *
 * Its session cookie of 4 KB stays in the gateway. Its XSRF-TOKEN goes to the browser, whose script reads it for each
 * request. The gateway tells SOGo its public address, which SOGo writes into redirects and JSON. Throws a TypeError for
 * settings that the schema refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const checked = checkedSettings(settings, parts.settings);
  const trusted = checked.mode === 'trusted';
  return {
    ownsCookie,
    masterEntry: sogoMasterEntry(checked),
    signIn: async (host, as, signal) => {
      const fields = (): RequestFields => [
        ...addressFields(as.publicOrigin, as.client.address),
        ...trustedFields(checked, as),
      ];
      if (as.password === undefined && !opensAll(checked)) throw noMasterEntry(host, sogoMasterEntry(checked));
      const browser = new Browser(parts, { host, browser: browserOf(as), ownsCookie, fields, signal });
      return trusted || as.password === undefined ? enter(browser, host) : signIn(browser, host, as.user, as.password);
    },
    signOut: async (host, jar, browser, signal) => {
      const fields = (): RequestFields => addressFields(browser.publicOrigin, browser.clientAddress);
      // In mode trusted SOGo has no session of its own to end.
      if (!trusted) await signOut(new Browser(parts, { host, browser, ownsCookie, jar, fields, signal }));
    },
    judge: sogoVerdict,
    lostAnswer,
    retryAnswer,
    requestHeaders: (request, as) => [
      ...addressFields(as.publicOrigin, as.client.address),
      ...xsrfField(request, as),
      ...trustedFields(checked, as),
    ],
    checksNoTokens: trusted,
    // The path of a message's part ends in its file name; SOGo's own pages have none.
    isPage: ({ target }) => !/\.[^/]*$/.test(pathOf(target)) && !pathOf(target).includes('/asAttachment'),
    isPoll: ({ target }) => {
      const path = pathOf(target);
      return path.endsWith('/Mail/0/folderINBOX/changes') || path.endsWith('/Calendar/alarmslist');
    },
  };
}

function opensAll(settings: SogoSettings): boolean {
  return settings.mode === 'trusted' && settings.imapPassword !== undefined;
}

function sogoMasterEntry(settings: SogoSettings): MasterEntry {
  if (opensAll(settings)) return { kind: 'own-account' };
  const trusted = settings.mode === 'trusted';
  const why = trusted
    ? 'SOGo needs the user’s own password for IMAP: set imap_password, and IMAPLoginFieldName in SOGo'
    : 'SOGo needs the password: set mode: trusted with an imap_password';
  return { kind: 'impossible', why };
}

function ownsCookie(name: string): boolean {
  return name === sessionCookie || name === tokenCookie || name === 'SOGoLogin';
}

function keepXsrfToken(browser: Browser, answer: ExchangeResponse): void {
  const line = answer.setCookies.findLast((each) => each.startsWith('XSRF-TOKEN='));
  const token = /^XSRF-TOKEN=([0-9a-f]+)/.exec(line ?? '')?.[1];
  if (token !== undefined) browser.keep(tokenCookie, token);
}

/**
 * The current token, in place of the page's token: a request that is repeated after a silent sign-in, or sent during
 * one, carries the old token. No other site can make a browser send this field, whatever its value.
 */
function xsrfField(request: RequestHead, as: RequestIdentity): RequestFields {
  const token = request.header('x-xsrf-token') === undefined ? undefined : as.jar?.value(tokenCookie);
  return token === undefined ? [] : [['X-XSRF-TOKEN', token]];
}

/** The browser's address, and the public address under which SOGo is seen: the `x-webobjects` fields of its manual. */
function addressFields(publicOrigin: string, clientAddress: string): RequestFields {
  const { hostname, port, protocol } = new URL(publicOrigin);
  return [
    ['x-webobjects-server-protocol', 'HTTP/1.0'],
    ['x-webobjects-remote-host', clientAddress],
    ['x-webobjects-server-name', hostname],
    ['x-webobjects-server-port', port === '' ? ({ 'https:': '443' }[protocol] ?? '80') : port],
    ['x-webobjects-server-url', publicOrigin],
  ];
}

function trustedFields(settings: SogoSettings, as: Pick<RequestIdentity, 'user' | 'password'>): RequestFields {
  if (settings.mode === 'password') return [];
  const password = settings.imapPassword ?? as.password;
  return [
    ['X-Postern-Secret', settings.secret.reveal()],
    ['x-webobjects-remote-user', utf8FieldValue(as.user)],
    // SOGo takes the IMAP password from Authorization, and only with this type and for the same user.
    ['x-webobjects-auth-type', 'Basic'],
    ...(password === undefined ? [] : [basicAuthField(as.user, password)]),
  ];
}

async function signIn(browser: Browser, host: BackendHost, user: string, password: Secret): Promise<WebmailSignIn> {
  const answer = await browser.postJson('/SOGo/connect', {
    userName: user,
    password: password.reveal(),
    rememberLogin: 0,
  });
  if (answer.status === 200 && setsSession(answer)) {
    keepXsrfToken(browser, answer);
    return browser.signedIn(sogoLanding(host));
  }
  if (answer.status === 403 && policyError(answer) === noPolicy) return { kind: 'rejected' };
  if (answer.status >= 500) throw webmailUnavailable(host, `sign-in was answered with status ${answer.status}`);
  throw strangeAnswer(host, `sign-in was answered with ${answerSummary(answer)}`);
}

/**
 * Opens the first page to see whether web server and SOGo accept the identity: then it redirects to the user's page.
 */
async function enter(browser: Browser, host: BackendHost): Promise<WebmailSignIn> {
  const answer = await browser.get('/SOGo/');
  if (answer.status === 302) return browser.signedIn(sogoLanding(host));
  if (answer.status >= 500) throw webmailUnavailable(host, `/SOGo/ was answered with status ${answer.status}`);
  const check = 'check SOGoTrustProxyAuthentication, and secret and addresses in the web server';
  throw strangeAnswer(host, `SOGo did not trust the gateway (status ${answer.status}): ${check}`);
}

/** Signs out at the user's own path, to which the first page redirects. */
async function signOut(browser: Browser): Promise<void> {
  const path = browser.locationOf(await browser.get('/SOGo/'), '/SOGo/');
  const user = /^\/SOGo\/(?:so\/)?([^/?]+)/.exec(path ?? '')?.[1];
  if (user !== undefined) await browser.get(`/SOGo/so/${user}/logoff`);
}

function sogoLanding(host: BackendHost): string {
  const { landing } = host.webmail;
  return pathOf(landing).startsWith('/SOGo') ? landing : '/SOGo/';
}

function sogoVerdict(request: RequestHead, response: UpstreamResponseHead): Verdict {
  const path = pathOf(request.target);
  if (/^\/SOGo\/(?:so\/)?[^/]+\/logoff$/.test(path)) {
    return discards(response) && isOwnNavigation(request) ? 'signed-out' : 'alive';
  }
  if (discardsSession(response)) return 'lost';
  // Without a session the start page is the sign-in page, with no other sign; with one it redirects to the user's page.
  return /^\/SOGo\/(?:so\/)?$/.test(path) && response.status === 200 ? 'lost' : 'alive';
}

/**
 * Whether the user opened this page from our own origin. SOGo's sign-out takes no token, so a picture in a mail can end
 * SOGo's session; the gateway then opens a new one silently. Only the user may end the gateway's session.
 */
function isOwnNavigation(request: RequestHead): boolean {
  const site = request.header('sec-fetch-site') ?? 'same-origin';
  const destination = request.header('sec-fetch-dest') ?? 'document';
  return destination === 'document' && (site === 'same-origin' || site === 'none');
}

function setsSession(response: UpstreamResponseHead): boolean {
  return response.setCookies.some((line) => line.startsWith(`${sessionCookie}=`)) && !discardsSession(response);
}

function discardsSession(response: UpstreamResponseHead): boolean {
  return response.setCookies.some((line) => line.startsWith(`${sessionCookie}=discard`));
}

/** Whether the answer ends the session. In mode trusted SOGo has no session cookie, and discards its token only. */
function discards(response: UpstreamResponseHead): boolean {
  return discardsSession(response) || response.setCookies.some((line) => line.startsWith('XSRF-TOKEN=discard'));
}

function policyError(answer: ExchangeResponse): unknown {
  const body = parseJson(answer.body);
  return typeof body === 'object' && body !== null && 'LDAPPasswordPolicyError' in body
    ? body.LDAPPasswordPolicyError
    : undefined;
}

function answerSummary(answer: ExchangeResponse): string {
  const error = policyError(answer);
  if (typeof error === 'number') return `password policy error ${error}: the user must change the password`;
  if (answer.status === 202) return 'a request for a second factor: switch it off in SOGo, because Postern signs in';
  const type = answer.header('content-type');
  return `status ${answer.status} and ${type === undefined ? 'no content type' : quoted(type, 60)}: check the webmail URL`;
}

/** The way into SOGo: its own sign-in, or a web server in front of it that trusts the gateway. */
export type SogoSettings =
  | { readonly mode: 'password' }
  | {
      readonly mode: 'trusted';
      /** The secret by which that web server recognises the gateway. */
      readonly secret: Secret;
      /** The password that opens every mailbox under SOGo's IMAP login name; undefined to use the user's own. */
      readonly imapPassword: Secret | undefined;
    };

const sogoTexts = {
  en: {
    ended: 'Your session has ended. What you have written is still here: sign in again in a new tab, then repeat.',
    signIn: 'Sign in',
    retry: 'Nothing was done: the webmail had to be opened again. What you have written is still here: please repeat.',
  },
  de: {
    ended:
      'Ihre Sitzung ist beendet. Was Sie geschrieben haben, ist noch da: Melden Sie sich in einem neuen Tab an und wiederholen Sie dann.',
    signIn: 'Anmelden',
    retry:
      'Es wurde nichts ausgeführt: Der Webmailer musste neu geöffnet werden. Was Sie geschrieben haben, ist noch da: Bitte wiederholen Sie.',
  },
} as const;

/**
 * The answer for a lost session that SOGo's script shows without leaving the page; undefined for other requests.
 *
 * SOGo's own answer is its sign-in page, for which its script leaves the page without asking: a message in the editor
 * would be lost. For an error status the script shows the `message` of the JSON, and the page stays as it is.
 */
export function lostAnswer(request: RequestHead, loginPath: string): Answer | undefined {
  if (!wantsJson(request)) return undefined;
  const text = textsFor(request, sogoTexts);
  // The page shows the message as HTML. The editor shows it as plain text and stays open, so it needs no link.
  const link = `<a href="${escapeHtml(loginPath)}" target="_blank" style="color:inherit;margin-left:8px">${text.signIn}</a>`;
  return failureAnswer(401, isSending(request) ? text.ended : `${text.ended} ${link}`);
}

/** The answer that SOGo's script shows if the user was signed in again but the request could not be repeated. */
export function retryAnswer(request: RequestHead): Answer | undefined {
  return wantsJson(request) ? failureAnswer(409, textsFor(request, sogoTexts).retry) : undefined;
}

/** Whether SOGo's script asks for JSON, as it does except for templates. DAV clients never do. */
function wantsJson(request: RequestHead): boolean {
  const path = pathOf(request.target);
  if (!path.startsWith('/SOGo/') || path.startsWith('/SOGo/dav/')) return false;
  return /\bapplication\/json\b/i.test(request.header('accept') ?? '');
}

function isSending(request: RequestHead): boolean {
  return request.method === 'POST' && pathOf(request.target).endsWith('/send');
}

function failureAnswer(status: number, message: string): Answer {
  return {
    status,
    headers: [
      ['Content-Type', 'application/json; charset=utf-8'],
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
    ],
    body: `${JSON.stringify({ message })}\n`,
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"'{}]/g, (character) => `&#${character.charCodeAt(0)};`);
}
