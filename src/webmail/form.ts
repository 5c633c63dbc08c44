import type { BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { ExchangeResponse, RequestHead } from '../core/http.ts';
import { parseJson } from '../core/objects.ts';
import { Secret } from '../core/secrets.ts';
import { charsetOf, shortLine } from '../core/text.ts';
import type { Verdict, WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import {
  Browser,
  browserOf,
  type ConfiguredParts,
  createMasterLogins,
  type MasterLogin,
  noMasterEntry,
  refusedLogin,
  shownLocation,
  strangeAnswer,
  webmailUnavailable,
} from './browser.ts';
import { checkedSettings, type RequestFields } from './driver-settings.ts';
import { bodyBears, headsBear, isByUser, isHeadMark, isJson, textBears, valueAt } from './form-marks.ts';
import {
  type FormSettings,
  type JsonSignIn,
  type JsonToken,
  type Mark,
  settings as formSettings,
} from './form-settings.ts';
import { type HtmlForm, type Submission, submissionOf } from './html-form.ts';
import { type HtmlPage, readForms } from './html-page.ts';

export { settings } from './form-settings.ts';

/** One sentence for the configuration reference. */
export const about =
  'Any webmail with an HTML sign-in form, or a script that signs in with JSON, described in the configuration.';

const formNeedsPassword = 'the form of the webmail needs the password, unless master_login is set';

/**
 * A webmail with an HTML sign-in form, described by settings: the page of the form, the names of its fields, and the
 * marks by which answers are recognised. With `json`, a webmail whose script signs in by JSON.
 *
 * The form is sent as a browser sends it: prefilled, chosen and hidden fields go along, and so does the button.
 * `success` is compared before `failure`, so that `failure` may be as broad as "any other redirect". Text marks search
 * only the first bytes of pages and JSON. A message may contain the same text, so prefer marks by status, location,
 * cookie or JSON value. Throws a TypeError for settings that the schema refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const settings = checkedSettings(formSettings, parts.settings);
  const logins = createMasterLogins(settings.masterLogin, parts.master, formNeedsPassword);
  const { ownCookies, carriedCookies } = settings;
  const carriesCookie = (name: string): boolean => carriedCookies.includes(name);
  const ownsCookie = (name: string): boolean => ownCookies.includes(name) || carriesCookie(name);
  return {
    ownsCookie,
    ...(carriedCookies.length === 0 ? {} : { carriesCookie }),
    masterEntry: logins.masterEntry,
    signIn: async (host, as, signal) => {
      const login = logins.of(as);
      if (login === undefined) throw noMasterEntry(host, logins.masterEntry);
      const options = { host, browser: browserOf(as), ownsCookie, carried: as.carried, signal };
      const browser = new Browser(parts, { ...options, language: readsWords(settings) ? 'en' : undefined });
      const outcome = await signIn(settings, browser, host, login);
      return outcome.kind === 'rejected' ? refusedLogin(host, as) : outcome;
    },
    signOut: (host, jar, browser, signal) =>
      signOut(settings, new Browser(parts, { host, browser, ownsCookie, jar, signal }), host),
    ...verdictsBy(settings),
    isSignInPage: (request, landing = '') => isSignInPage(settings, request, landing),
    isPoll: (request) => settings.polls.some((path) => request.target.startsWith(path)),
  };
}

/** Whether a mark of the sign-in is a text. The texts that operators see and that the docs describe are English. */
function readsWords({ success, failure }: FormSettings): boolean {
  return [...success, ...failure].some(({ text }) => text !== undefined);
}

/** Whether the request is for the sign-in page. False if the form shares its path with the page where users land. */
function isSignInPage({ page, json }: FormSettings, { method, target }: RequestHead, landing: string): boolean {
  if (page === undefined || json !== undefined || pathOf(page) === pathOf(landing)) return false;
  return method === 'GET' && pathOf(target) === pathOf(page);
}

interface Marks {
  readonly signedOut: readonly Mark[];
  readonly lost: readonly Mark[];
}

function verdictsBy(settings: FormSettings): Required<Pick<WebmailDriver, 'judge' | 'judgeBody' | 'judgedBytes'>> {
  /** The marks that an answer's head satisfies, until its body was looked at. */
  const open = new WeakMap<RequestHead, Marks>();
  const marksOf = (request: RequestHead): Marks => {
    const fits = (mark: Mark): boolean => !isHeadMark(mark) && pathOf(request.target).startsWith(mark.path);
    return open.get(request) ?? { signedOut: settings.signedOut.filter(fits), lost: settings.lost.filter(fits) };
  };
  return {
    judge: (request, response) => {
      const bears = (mark: Mark): boolean =>
        headsBear(mark, request.target, response) && (mark.json === undefined || isJson(response));
      const signedOut = settings.signedOut.filter(bears);
      const lost = settings.lost.filter(bears);
      if (signedOut.some(isHeadMark)) return signedOutBy(request);
      if (lost.some(isHeadMark)) return 'lost';
      if (signedOut.length + lost.length === 0) return 'alive';
      open.set(request, { signedOut, lost });
      return 'look-inside';
    },
    judgedBytes: (request) => {
      const { signedOut, lost } = marksOf(request);
      return Math.max(0, ...[...signedOut, ...lost].map(({ within }) => within));
    },
    judgeBody: (request, start, complete) => {
      const { signedOut, lost } = marksOf(request);
      open.delete(request);
      const bears = (mark: Mark): boolean => bodyBears(mark, start, complete);
      if (signedOut.some(bears)) return signedOutBy(request);
      return lost.some(bears) ? 'lost' : 'alive';
    },
  };
}

function signedOutBy(request: RequestHead): Verdict {
  return isByUser(request) ? 'signed-out' : 'alive';
}

async function signIn(
  settings: FormSettings,
  browser: Browser,
  host: BackendHost,
  login: MasterLogin,
): Promise<WebmailSignIn> {
  const target = settings.page ?? host.webmail.landing;
  if (settings.json !== undefined) return signInByJson(settings, settings.json, browser, host, login);
  const answer = await readPage(browser, host, target);
  const page = readForms(answer.body);
  const [form, ...others] = formsIn(page, settings, host, target, answer);
  const typed = new Map([
    [settings.userField, login.user],
    [settings.passwordField, login.password.reveal()],
  ]);
  const charset = charsetOf(answer.header('content-type'), answer.body);
  const filled = submissionOf(form, { typed, charset, button: settings.button });
  const submission = settings.method === undefined ? filled : { ...filled, method: settings.method };
  const action = actionOf(submission, browser, target, page);
  // The password must not go to another server.
  if (action === undefined) throw strangeAnswer(host, 'the sign-in form is sent to another server');
  const among =
    others.length === 0
      ? ''
      : `; ${others.length + 1} forms at ${target} have the field ${settings.passwordField}, and the first was sent: choose one with form_name`;
  return outcome(settings, browser, host, action, await submit(browser, host, action, submission), among);
}

async function readPage(browser: Browser, host: BackendHost, target: string): Promise<ExchangeResponse> {
  const answer = await browser.get(target);
  const { status } = answer;
  if (status >= 500) throw webmailUnavailable(host, `${target} was answered with status ${status}`);
  const location = answer.header('location');
  if (status >= 300 && status < 400 && location !== undefined) {
    throw strangeAnswer(
      host,
      `no form at ${target}, but a redirect to ${shownLocation(pathOf(location))}: set page to where it ends`,
    );
  }
  return answer;
}

/** The forms of a page that could be the sign-in form, the likeliest first. Throws if there is none. */
function formsIn(
  page: HtmlPage,
  settings: FormSettings,
  host: BackendHost,
  target: string,
  answer: ExchangeResponse,
): readonly [HtmlForm, ...HtmlForm[]] {
  const { userField, passwordField, formName } = settings;
  const withPassword = page.forms.filter(
    (form) => has(form, passwordField) && (formName === undefined || [form.id, form.name].includes(formName)),
  );
  const withBoth = withPassword.filter((form) => has(form, userField));
  const [form, ...others] = withBoth.length > 0 ? withBoth : withPassword;
  if (form === undefined) throw missingForm(page, settings, host, target, answer);
  return [form, ...others];
}

function has(form: HtmlForm, name: string): boolean {
  return form.controls.some((control) => control.name === name);
}

function missingForm(
  page: HtmlPage,
  { passwordField, formName }: FormSettings,
  host: BackendHost,
  target: string,
  { status, isCut }: ExchangeResponse,
): Error {
  const named = formName === undefined ? '' : ` called ${formName}`;
  const missing = `no form${named} with a field ${passwordField} at ${target} (status ${status})`;
  if (status >= 400) return strangeAnswer(host, `${missing}: the webmail refused to show the page; check page`);
  if (isCut === true) return strangeAnswer(host, `${missing} in the first 1 MiB of a longer page`);
  if (page.forms.length === 0) {
    return strangeAnswer(host, `${missing}: the page has no form; a script may build it, see json in form.md`);
  }
  const names = new Set(page.forms.flatMap(({ controls }) => controls.map(({ name }) => name)));
  names.delete('');
  const found = [...names].slice(0, 20).map((name) => shortLine(name, 40));
  return strangeAnswer(host, `${missing}: its forms have the fields ${found.join(', ')}`);
}

/** The path and query to which a form is sent; undefined if it leads to another server. */
function actionOf(
  { action }: Pick<Submission, 'action'>,
  browser: Browser,
  at: string,
  page: HtmlPage,
): string | undefined {
  return action === undefined || action === '' ? at : browser.targetOf(action, at, page.base);
}

async function submit(
  browser: Browser,
  host: BackendHost,
  target: string,
  submission: Submission,
): Promise<ExchangeResponse> {
  try {
    return await browser.submit(target, submission);
  } catch (error) {
    if (error instanceof RangeError) throw strangeAnswer(host, `the form cannot be sent: ${error.message}`);
    throw error;
  }
}

function outcome(
  settings: FormSettings,
  browser: Browser,
  host: BackendHost,
  action: string,
  answer: ExchangeResponse,
  among = '',
): WebmailSignIn {
  const bears = (mark: Mark): boolean => headsBear(mark, action, answer) && textBears(mark, answer.body);
  if (settings.success.some(bears)) {
    return browser.signedIn(settings.landing ?? browser.locationOf(answer, action) ?? host.webmail.landing);
  }
  if (settings.failure.some(bears)) return { kind: 'rejected' };
  const { status } = answer;
  if (status >= 500) throw webmailUnavailable(host, `sign-in was answered with status ${status}`);
  const location = answer.header('location');
  const to = location === undefined ? '' : `; it leads to ${shownLocation(pathOf(location))}`;
  const cut = answer.isCut === true ? '; only the first 1 MiB of the page was searched for texts' : '';
  throw strangeAnswer(
    host,
    `sign-in was answered with status ${status}, which matches neither success nor failure${to}${cut}${among}`,
  );
}

async function signInByJson(
  settings: FormSettings,
  json: JsonSignIn,
  browser: Browser,
  host: BackendHost,
  login: MasterLogin,
): Promise<WebmailSignIn> {
  const fields = await tokenFields(settings, json, browser, host);
  const body = filledIn(
    json.body,
    new Map([
      ['{user}', login.user],
      ['{password}', login.password.reveal()],
    ]),
  );
  return outcome(settings, browser, host, json.path, await browser.postJson(json.path, body, fields));
}

/** The token, as the webmail's script sends it. `page` is read first, for its cookies even without a token. */
async function tokenFields(
  { page: target }: FormSettings,
  { token }: JsonSignIn,
  browser: Browser,
  host: BackendHost,
): Promise<RequestFields> {
  const at = target ?? host.webmail.landing;
  const page = target === undefined && token === undefined ? undefined : await readPage(browser, host, at);
  if (token === undefined || page === undefined) return [];
  const value = tokenIn(token.from, browser, page);
  if (value !== undefined && /^[\x21-\x7e]+$/.test(value)) return [[token.header, value]];
  const { from } = token;
  const place = from.kind === 'json' ? from.path.join('.') : from.name;
  throw strangeAnswer(host, `no token in the ${from.kind} ${place} at ${at} (status ${page.status})`);
}

function tokenIn(from: JsonToken['from'], browser: Browser, page: ExchangeResponse): string | undefined {
  if (from.kind === 'meta') return readForms(page.body).metas.get(from.name);
  if (from.kind === 'json') {
    const value = valueAt(parseJson(page.body), from.path);
    return typeof value === 'string' ? value : undefined;
  }
  const value = browser.cookie(from.name);
  // Scripts decode the value, because a cookie cannot hold every character.
  return value === undefined
    ? undefined
    : (new URLSearchParams(`v=${value.replaceAll('+', '%2B')}`).get('v') ?? undefined);
}

/** A template with its placeholders replaced. The texts are not searched for further placeholders. */
function filledIn(template: unknown, texts: ReadonlyMap<string, string>): unknown {
  if (typeof template === 'string')
    return template.replace(/\{(?:user|password)\}/g, (place) => texts.get(place) ?? place);
  if (Array.isArray(template)) return template.map((each: unknown) => filledIn(each, texts));
  if (template instanceof Secret) return template.reveal();
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, filledIn(value, texts)]));
}

async function signOut(settings: FormSettings, browser: Browser, host: BackendHost): Promise<void> {
  if (settings.signOut === undefined) return;
  const { method, path, page: target, json } = settings.signOut;
  if (json !== undefined) {
    const fields = settings.json === undefined ? [] : await tokenFields(settings, settings.json, browser, host);
    await browser.postJson(path, json, fields);
  } else if (method === 'GET') {
    await browser.get(path);
  } else {
    await browser.submit(path, await signOutForm(browser, path, target));
  }
}

/** The form whose action is the sign-out, with its button; an empty form if the page has none, or is not configured. */
async function signOutForm(browser: Browser, path: string, target: string | undefined): Promise<Submission> {
  const answer = target === undefined ? undefined : await browser.get(target);
  const page = readForms(answer?.body ?? '');
  const form = page.forms
    .map((each) => submissionOf(each, { typed: new Map(), charset: 'utf-8' }))
    .find((each) => target !== undefined && actionOf(each, browser, target, page) === path);
  const empty = { action: path, enctype: 'application/x-www-form-urlencoded', charset: 'utf-8', entries: [] } as const;
  return { ...(form ?? empty), method: 'POST' };
}
