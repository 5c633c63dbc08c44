import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import { type ParsedSettings, readYesOrNo } from './driver-settings.ts';

/** A sign in an answer of the webmail: every condition that it names must hold. */
export interface Mark {
  /** The path of the request begins with this. */
  readonly path: string;
  readonly status: number | undefined;
  /** The path of the Location begins with this. */
  readonly location: string | undefined;
  /** A cookie of this name is set. */
  readonly setsCookie: string | undefined;
  /** A cookie of this name is removed: by its age, its expiry or an empty value. */
  readonly removesCookie: string | undefined;
  /** The body contains this. */
  readonly text: string | undefined;
  /** So far a text of a later answer is looked for, in bytes. */
  readonly within: number;
  /** The body is JSON with these values, by their names from the outside in. */
  readonly json: readonly JsonValue[] | undefined;
}

/** A value in JSON: `data.user` is the member `user` of the member `data`. */
export interface JsonValue {
  readonly path: readonly string[];
  readonly value: JsonScalar;
}

type JsonScalar = string | number | boolean | null;

/** A sign-in that the webmail's own script makes, of which there is no form. */
export interface JsonSignIn {
  readonly path: string;
  /** The body that is sent: `{user}` and `{password}` in its texts stand for what the user typed. */
  readonly body: DriverSettings;
  /** Where the script finds a token against forged requests, and the field in which it sends it. */
  readonly token: JsonToken | undefined;
}

/** A token against forged requests that goes with a sign-in by JSON. */
export interface JsonToken {
  /** A cookie's name, the name of a `<meta>`, or where a token stands in the JSON of `page`. */
  readonly from:
    | { readonly kind: 'cookie' | 'meta'; readonly name: string }
    | { readonly kind: 'json'; readonly path: readonly string[] };
  readonly header: string;
}

/** How a webmail with a sign-in form is spoken to, as the operator described it. Each list of marks is an "or". */
export interface FormSettings {
  readonly page: string | undefined;
  readonly userField: string;
  readonly passwordField: string;
  /** Id or name of the form, where several of the page could be meant. */
  readonly formName: string | undefined;
  /** Name of the button to press; without it the first. */
  readonly button: string | undefined;
  /** Against the form's own word, where the page's script sends it. */
  readonly method: 'GET' | 'POST' | undefined;
  /** In the place of a form. */
  readonly json: JsonSignIn | undefined;
  readonly success: readonly Mark[];
  readonly failure: readonly Mark[];
  readonly lost: readonly Mark[];
  readonly signedOut: readonly Mark[];
  readonly signOut: SignOut | undefined;
  /** Overrides where a successful sign-in leads. */
  readonly landing: string | undefined;
  /** Cookies that stay in the gateway although they are not HttpOnly. */
  readonly ownCookies: readonly string[];
  /** Cookies under which the webmail keeps a form that was posted to a lost session; these stay in the gateway, too. */
  readonly carriedCookies: readonly string[];
  /** Beginnings of paths that a page asks for by itself. */
  readonly polls: readonly string[];
  readonly masterLogin: boolean;
}

/** How the gateway signs out of the webmail. */
export interface SignOut {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Where the form stands whose action is `path`: it is sent as a browser does. */
  readonly page: string | undefined;
  /** Sent in the place of a form. */
  readonly json: DriverSettings | undefined;
}

const conditions = ['status', 'location', 'sets_cookie', 'removes_cookie', 'text', 'json'];
const markKeys = ['path', ...conditions, 'within'];
const describesForm = ['page', 'user_field', 'password_field', 'form_name', 'button', 'method', 'json'];
const keys = [
  ...describesForm,
  'success',
  'failure',
  'landing',
  'lost',
  'signed_out',
  'sign_out',
  'own_cookies',
  'carried_cookies',
  'polls',
  'master_login',
];

/** How far a text is looked for in the usual case, and at most. */
const usuallyWithin = 8 * 1024;
const farthest = 1024 * 1024;

type Path = SettingProblem['path'];

/** Checks the settings of the `form` driver; all problems at once. */
export function parseFormSettings(given: DriverSettings): ParsedSettings<FormSettings> {
  const problems: SettingProblem[] = [];
  const reader = new Reader(problems);
  reader.known(given, keys, []);
  const json = reader.json(given['json'], ['json']);
  const isForm = given['json'] === undefined;
  if (!isForm) reader.unused(given, ['user_field', 'password_field', 'form_name', 'button', 'method']);
  const settings: FormSettings = {
    page: reader.path(given['page'], ['page']),
    userField: isForm ? reader.required(given['user_field'], ['user_field']) : '',
    passwordField: isForm ? reader.required(given['password_field'], ['password_field']) : '',
    formName: reader.text(given['form_name'], ['form_name']),
    button: reader.text(given['button'], ['button']),
    method: reader.method(given['method'], ['method']),
    json,
    success: reader.marks(given['success'], ['success'], true),
    failure: reader.marks(given['failure'], ['failure'], true),
    lost: reader.marks(given['lost'], ['lost'], false),
    signedOut: reader.marks(given['signed_out'], ['signed_out'], false),
    signOut: reader.signOut(given['sign_out'], ['sign_out']),
    landing: reader.path(given['landing'], ['landing']),
    ownCookies: reader.texts(given['own_cookies'], ['own_cookies']),
    carriedCookies: reader.texts(given['carried_cookies'], ['carried_cookies']),
    polls: reader.texts(given['polls'], ['polls']),
    masterLogin: readYesOrNo(given, 'master_login', problems),
  };
  return problems.length === 0 ? { kind: 'ok', settings } : { kind: 'problems', problems };
}

/** Checks a list of marks under a key that may be left out. */
export function parseMarks(value: unknown, key: string, problems: SettingProblem[]): readonly Mark[] {
  return new Reader(problems).marks(value, [key], false);
}

/** Reads one value after the other and notes what is wrong; what it returns then is never used. */
class Reader {
  readonly #problems: SettingProblem[];

  constructor(problems: SettingProblem[]) {
    this.#problems = problems;
  }

  known(given: DriverSettings, allowed: readonly string[], path: Path): void {
    for (const key of Object.keys(given)) {
      if (!allowed.includes(key)) this.#note([...path, key], `is not known: write one of ${allowed.join(', ')}`);
    }
  }

  text(value: unknown, path: Path): string | undefined {
    if (value === undefined || (typeof value === 'string' && value !== '')) return value;
    this.#note(path, 'is not a text');
    return undefined;
  }

  required(value: unknown, path: Path): string {
    if (value === undefined) this.#note(path, 'is missing');
    return this.text(value, path) ?? '';
  }

  path(value: unknown, path: Path): string | undefined {
    const text = this.text(value, path);
    if (text !== undefined && !/^\/(?!\/)[\x21-\x7e]*$/.test(text))
      this.#note(path, 'is not a path that begins with /');
    return text;
  }

  texts(value: unknown, path: Path): readonly string[] {
    return listOf(value).flatMap(([each, index]) => this.text(each, [...path, ...index]) ?? []);
  }

  method(value: unknown, path: Path): 'GET' | 'POST' | undefined {
    if (value === undefined || value === 'GET' || value === 'POST') return value;
    this.#note(path, 'is neither GET nor POST');
    return undefined;
  }

  /** Settings of a form have no meaning beside `json`. */
  unused(given: DriverSettings, names: readonly string[]): void {
    for (const name of names) {
      if (given[name] !== undefined) this.#note([name], 'is of a form, and json takes its place: remove it');
    }
  }

  json(value: unknown, path: Path): JsonSignIn | undefined {
    const given = value === undefined ? undefined : this.#map(value, path);
    if (given === undefined) return undefined;
    this.known(given, ['path', 'body', 'token'], path);
    if (given['path'] === undefined) this.#note([...path, 'path'], 'is missing');
    const body = this.#map(given['body'] ?? {}, [...path, 'body']) ?? {};
    const written = JSON.stringify(body);
    for (const place of ['{user}', '{password}']) {
      if (!written.includes(place)) this.#note([...path, 'body'], `has no ${place}: write it where the script puts it`);
    }
    return {
      path: this.path(given['path'], [...path, 'path']) ?? '/',
      body,
      token: this.#token(given['token'], [...path, 'token']),
    };
  }

  #token(value: unknown, path: Path): JsonToken | undefined {
    const given = value === undefined ? undefined : this.#map(value, path);
    if (given === undefined) return undefined;
    const sources = ['cookie', 'meta', 'json'].filter((key) => given[key] !== undefined);
    this.known(given, ['cookie', 'meta', 'json', 'header'], path);
    if (sources.length !== 1) this.#note(path, 'stands in one place: write one of cookie, meta, json');
    const [kind = 'cookie'] = sources;
    const name = this.required(given[kind], [...path, kind]);
    const header = this.required(given['header'], [...path, 'header']);
    if (!/^[A-Za-z0-9-]+$/.test(header)) this.#note([...path, 'header'], 'is not the name of a header field');
    if (kind === 'json') return { from: { kind, path: name.split('.') }, header };
    return { from: { kind: kind === 'meta' ? 'meta' : 'cookie', name }, header };
  }

  marks(value: unknown, path: Path, needed: boolean): readonly Mark[] {
    if (value === undefined && needed) this.#note(path, `is missing: write at least one of ${conditions.join(', ')}`);
    return listOf(value).flatMap(([each, index]) => this.#mark(each, [...path, ...index]) ?? []);
  }

  signOut(value: unknown, path: Path): FormSettings['signOut'] {
    if (value === undefined) return undefined;
    const given = this.#map(value, path);
    if (given === undefined) return undefined;
    this.known(given, ['method', 'path', 'page', 'json'], path);
    if (given['path'] === undefined) this.#note([...path, 'path'], 'is missing');
    return {
      method: this.method(given['method'], [...path, 'method']) ?? 'POST',
      path: this.path(given['path'], [...path, 'path']) ?? '/',
      page: this.path(given['page'], [...path, 'page']),
      json: given['json'] === undefined ? undefined : this.#map(given['json'], [...path, 'json']),
    };
  }

  #mark(value: unknown, path: Path): Mark | undefined {
    const given = this.#map(value, path);
    if (given === undefined) return undefined;
    this.known(given, markKeys, path);
    const { status } = given;
    const isStatus = typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599;
    if (status !== undefined && !isStatus) this.#note([...path, 'status'], 'is not a status from 200 to 599');
    if (!conditions.some((key) => given[key] !== undefined)) {
      this.#note(path, `names no condition of an answer: write at least one of ${conditions.join(', ')}`);
    }
    return {
      path: this.path(given['path'], [...path, 'path']) ?? '/',
      status: isStatus ? status : undefined,
      location: this.path(given['location'], [...path, 'location']),
      setsCookie: this.text(given['sets_cookie'], [...path, 'sets_cookie']),
      removesCookie: this.text(given['removes_cookie'], [...path, 'removes_cookie']),
      text: this.text(given['text'], [...path, 'text']),
      within: this.#within(given['within'], [...path, 'within']),
      json: given['json'] === undefined ? undefined : this.#values(given['json'], [...path, 'json']),
    };
  }

  #within(value: unknown, path: Path): number {
    if (value === undefined) return usuallyWithin;
    const [, count = '', unit = ''] = /^(\d{1,7}) ?(KiB|MiB)$/.exec(typeof value === 'string' ? value : '') ?? [];
    const bytes = Number(count) * (unit === 'MiB' ? 1024 : 1) * 1024;
    if (count !== '' && bytes >= usuallyWithin && bytes <= farthest) return bytes;
    this.#note(path, 'is not a size from 8 KiB to 1 MiB: write it such as 64 KiB');
    return usuallyWithin;
  }

  #values(value: unknown, path: Path): readonly JsonValue[] {
    const given = this.#map(value, path) ?? {};
    return Object.entries(given).flatMap(([name, wanted]) => {
      if (isScalar(wanted)) return [{ path: name.split('.'), value: wanted }];
      this.#note([...path, name], 'is not a text, a number, true, false or null');
      return [];
    });
  }

  #map(value: unknown, path: Path): DriverSettings | undefined {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
    this.#note(path, 'is not a map of settings');
    return undefined;
  }

  #note(path: Path, message: string): void {
    this.#problems.push({ path, message });
  }
}

function isScalar(value: unknown): value is JsonScalar {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** A list with the place of each item; one value is a list of one, and nothing is none. */
function listOf(value: unknown): readonly (readonly [each: unknown, index: Path])[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map((each: unknown, index) => [each, [index]]) : [[value, []]];
}
