import { z } from 'zod';
import type { DriverSettings } from '../core/backend.ts';
import { leaf, oneOf, oneOrMore, section, size, text } from '../schema/scalars.ts';
import { read, shownValue, wrong } from '../schema/value-parsers.ts';
import { masterLogin } from './driver-settings.ts';

/** Conditions on an answer of the webmail; all that are given must hold. */
export interface Mark {
  /** The path of the request starts with this. */
  readonly path: string;
  readonly status: number | undefined;
  /** The path of the Location starts with this. */
  readonly location: string | undefined;
  /** A cookie of this name is set. */
  readonly setsCookie: string | undefined;
  /** A cookie of this name is removed by Max-Age, Expires or an empty value. */
  readonly removesCookie: string | undefined;
  /** The body contains this. */
  readonly text: string | undefined;
  /** How many bytes of an answer after the sign-in are searched for `text`. */
  readonly within: number;
  /** The body is JSON with these values. */
  readonly json: readonly JsonValue[] | undefined;
}

/** A wanted value in JSON: `data.user` is the member `user` of the member `data`. */
export interface JsonValue {
  readonly path: readonly string[];
  readonly value: JsonScalar;
}

type JsonScalar = string | number | boolean | null;

/** A sign-in that the webmail's own script makes, without a form. */
export interface JsonSignIn {
  readonly path: string;
  /** The JSON that is sent. `{user}` and `{password}` in its texts stand for what the user typed. */
  readonly body: DriverSettings;
  /** The token against forged requests; undefined if the script sends none. */
  readonly token: JsonToken | undefined;
}

/** A token against forged requests that goes with a sign-in by JSON. */
export interface JsonToken {
  /** The place of the token: a cookie, a `<meta>`, or a path in the JSON of `page`. */
  readonly from:
    | { readonly kind: 'cookie' | 'meta'; readonly name: string }
    | { readonly kind: 'json'; readonly path: readonly string[] };
  readonly header: string;
}

/** The operator's description of a webmail with a sign-in form. One mark of a list is enough. */
export interface FormSettings {
  readonly page: string | undefined;
  readonly userField: string;
  readonly passwordField: string;
  /** The id or name of the form, if several on the page could be meant. */
  readonly formName: string | undefined;
  /** The name of the button to press; undefined for the first. */
  readonly button: string | undefined;
  /** Overrides the method of the form, for a page whose script sends it. */
  readonly method: 'GET' | 'POST' | undefined;
  /** A sign-in by JSON instead of a form. */
  readonly json: JsonSignIn | undefined;
  readonly success: readonly Mark[];
  readonly failure: readonly Mark[];
  readonly lost: readonly Mark[];
  readonly signedOut: readonly Mark[];
  readonly signOut: SignOut | undefined;
  /** Overrides the page to which a successful sign-in leads. */
  readonly landing: string | undefined;
  /** Cookies that the gateway keeps to itself although they are not HttpOnly. */
  readonly ownCookies: readonly string[];
  /** Cookies under which the webmail keeps a form that was posted to a lost session; these stay in the gateway, too. */
  readonly carriedCookies: readonly string[];
  /** The starts of paths that an open page requests by itself. */
  readonly polls: readonly string[];
  readonly masterLogin: boolean;
}

/** How the gateway signs out of the webmail. */
interface SignOut {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** The page with the form whose action is `path`; the form is sent as a browser sends it. */
  readonly page: string | undefined;
  /** The JSON that is sent instead of a form. */
  readonly json: DriverSettings | undefined;
}

const conditions = ['status', 'location', 'sets_cookie', 'removes_cookie', 'text', 'json'] as const;
const ofForm = ['user_field', 'password_field', 'form_name', 'button', 'method'] as const;

/** How many bytes are searched for a text by default, and at most. */
const usuallyWithin = 8 * 1024;
const farthest = 1024 * 1024;

function name(about: string) {
  return text('a text', 'write a text').describe(about);
}

function pathSetting() {
  const remedy = 'write it such as /login';
  return leaf({
    what: 'a path',
    remedy,
    examples: ['/login'],
    parse: (written) =>
      /^\/(?!\/)[\x21-\x7e]*$/.test(written)
        ? read(written)
        : wrong(`${shownValue(written)} is not a path that begins with /: ${remedy}`),
  });
}

function method() {
  return oneOf(['GET', 'POST'] as const);
}

function status() {
  return z.int({ error: notStatus }).min(200, { error: notStatus }).max(599, { error: notStatus });
}

function notStatus({ input }: { readonly input?: unknown }): string {
  return `${shownValue(input)} is not a status: write one from 200 to 599`;
}

function notScalar({ input }: { readonly input?: unknown }): string {
  return `${shownValue(input)} is not a text, a number, true, false or null`;
}

function jsonValues() {
  const value = z.union([z.string(), z.number(), z.boolean(), z.null()], { error: notScalar });
  return z
    .record(z.string(), value, { error: (issue) => notMap(issue.input) })
    .transform((wanted): readonly JsonValue[] =>
      Object.entries(wanted).map(([member, value]) => ({ path: member.split('.'), value })),
    );
}

function notMap(input: unknown): string {
  return `${shownValue(input)} is not a map of settings: write { name: value }`;
}

function jsonTemplate(about: string) {
  return z.record(z.string(), z.unknown(), { error: (issue) => notMap(issue.input) }).describe(about);
}

/** The schema of a mark. */
function mark() {
  return section({
    path: pathSetting().prefault('/').describe('The request path begins with this.'),
    status: status().optional().describe('The status.'),
    location: pathSetting().optional().describe('The path of the Location begins with this.'),
    sets_cookie: name('A cookie of this name is set.').optional(),
    removes_cookie: name('A cookie of this name is removed.').optional(),
    text: name('The body contains this.').optional(),
    within: size({ atLeast: usuallyWithin, atMost: farthest })
      .prefault('8 KiB')
      .describe('How far into a later answer a text is searched for.'),
    json: jsonValues().optional().describe('The body is JSON with these values: `data.user` is a member of `data`.'),
  })
    .superRefine((given, context) => {
      if (conditions.some((key) => given[key] !== undefined)) return;
      const message = `has no condition: write at least one of ${conditions.join(', ')}`;
      context.addIssue({ code: 'custom', message });
    })
    .transform(
      (given): Mark => ({
        path: given.path,
        status: given.status,
        location: given.location,
        setsCookie: given.sets_cookie,
        removesCookie: given.removes_cookie,
        text: given.text,
        within: given.within,
        json: given.json,
      }),
    )
    .meta({ title: 'mark' });
}

/** One mark or a list of marks, of which one is enough. */
function marks() {
  return oneOrMore(mark(), `write at least one of ${conditions.join(', ')}`);
}

/** Marks of an answer's head, for drivers that read no bodies. */
export function headMarks() {
  return marks()
    .refine((list) => list.every((mark) => mark.text === undefined && mark.json === undefined), {
      error: 'names a text or JSON, but this driver reads no bodies: use status, location or a cookie',
    })
    .prefault([]);
}

function tokenSettings() {
  return section({
    cookie: name('The cookie that holds it.').optional(),
    meta: name('The `<meta>` that holds it.').optional(),
    json: name('The place in the JSON of `page`.').optional(),
    header: leaf({
      what: 'the name of a header field',
      remedy: 'write letters, digits and hyphens',
      parse: (written) =>
        /^[A-Za-z0-9-]+$/.test(written)
          ? read(written)
          : wrong(`${shownValue(written)} is not the name of a header field: write letters, digits and hyphens`),
    }).describe('The field in which it is sent.'),
  }).transform(({ cookie, meta, json, header }, context): JsonToken => {
    const [from, ...others] = [
      cookie === undefined ? [] : [{ kind: 'cookie', name: cookie } as const],
      meta === undefined ? [] : [{ kind: 'meta', name: meta } as const],
      json === undefined ? [] : [{ kind: 'json', path: json.split('.') } as const],
    ].flat();
    if (from !== undefined && others.length === 0) return { from, header };
    context.addIssue({ code: 'custom', message: 'needs exactly one place: write one of cookie, meta, json' });
    return z.NEVER;
  });
}

function jsonSignIn() {
  return section({
    path: pathSetting().describe('The path to which the script sends it.'),
    body: jsonTemplate('The values to send; `{user}` and `{password}` stand for what the user typed.').prefault({}),
    token: tokenSettings().optional().describe('A token against forged requests.'),
  })
    .superRefine(({ body }, context) => {
      const written = JSON.stringify(body);
      for (const place of ['{user}', '{password}']) {
        if (written.includes(place)) continue;
        const message = `does not contain ${place}: write it where the script puts it`;
        context.addIssue({ code: 'custom', path: ['body'], message });
      }
    })
    .transform(({ path, body, token }): JsonSignIn => ({ path, body, token }));
}

function signOutSettings() {
  return section({
    method: method().prefault('POST').describe('The method.'),
    path: pathSetting().describe('The path.'),
    page: pathSetting().optional().describe('The page with the form whose action is `path`.'),
    json: jsonTemplate('The fields to send, instead of a form.').optional(),
  }).transform(({ method, path, page, json }): SignOut => ({ method, path, page, json }));
}

const exampleForm = {
  user_field: 'user',
  password_field: 'password',
  success: { status: 303 },
  failure: { status: 401 },
};

/** Settings of the `form` driver. */
export const settings: z.ZodType<FormSettings> = section({
  page: pathSetting().optional().describe('The page with the form. Default: the landing page.'),
  user_field: name('The field of the user.').optional(),
  password_field: name('The field of the password.').optional(),
  form_name: name('Id or name of the form, if the page has several.').optional(),
  button: name('The button to press. Default: the first.').optional(),
  method: method().optional().describe('The target and method, if a script overrides those of the form.'),
  json: jsonSignIn().optional().describe('A sign-in by the webmail’s script with JSON, instead of a form.'),
  success: marks().describe('Signs of a successful sign-in.'),
  failure: marks().describe('Signs of a refused password.'),
  landing: pathSetting()
    .optional()
    .describe('The page to open after a successful sign-in, instead of the one that the webmail names.'),
  lost: marks().prefault([]).describe('Signs of a lost session.'),
  signed_out: marks().prefault([]).describe('Signs of a sign-out.'),
  sign_out: signOutSettings().optional().describe('The request with which the gateway signs out.'),
  own_cookies: names('Cookies that the gateway keeps to itself although they are not HttpOnly.'),
  carried_cookies: names('Cookies with which the webmail restores a form that was posted to a lost session.'),
  polls: names('Prefixes of paths that a page polls automatically.'),
  master_login: masterLogin(),
})
  .superRefine(
    (given, context) => {
      const add = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
      for (const key of ofForm) {
        if (given.json !== undefined && given[key] !== undefined)
          add(key, 'belongs to a form, which json replaces: remove it');
      }
      for (const key of ['user_field', 'password_field'] as const) {
        if (given.json === undefined && given[key] === undefined) add(key, 'is missing: write the name of the field');
      }
    },
    { when: () => true },
  )
  .transform(
    (given): FormSettings => ({
      page: given.page,
      userField: given.user_field ?? '',
      passwordField: given.password_field ?? '',
      formName: given.form_name,
      button: given.button,
      method: given.method,
      json: given.json,
      success: given.success,
      failure: given.failure,
      lost: given.lost,
      signedOut: given.signed_out,
      signOut: given.sign_out,
      landing: given.landing,
      ownCookies: given.own_cookies,
      carriedCookies: given.carried_cookies,
      polls: given.polls,
      masterLogin: given.master_login,
    }),
  )
  .meta({ examples: [exampleForm, { ...exampleForm, master_login: true }] });

function names(about: string) {
  return oneOrMore(text('a text', 'write a text'), 'write a text, or a list of texts').prefault([]).describe(about);
}
