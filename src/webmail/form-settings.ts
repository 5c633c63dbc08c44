import type { DriverSettings, SettingProblem } from '../core/driver-settings.ts';
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
}

/** How a webmail with a sign-in form is spoken to, as the operator described it. Each list of marks is an "or". */
export interface FormSettings {
  readonly page: string | undefined;
  readonly userField: string;
  readonly passwordField: string;
  readonly success: readonly Mark[];
  readonly failure: readonly Mark[];
  readonly lost: readonly Mark[];
  readonly signedOut: readonly Mark[];
  /** `page` is where the form stands whose action is `path`: its hidden fields go along. */
  readonly signOut:
    | { readonly method: 'GET' | 'POST'; readonly path: string; readonly page: string | undefined }
    | undefined;
  /** Overrides where a successful sign-in leads. */
  readonly landing: string | undefined;
  /** Cookies that stay in the gateway although they are not HttpOnly. */
  readonly ownCookies: readonly string[];
  /** Beginnings of paths that a page asks for by itself. */
  readonly polls: readonly string[];
  readonly masterLogin: boolean;
}

const markKeys = ['path', 'status', 'location', 'sets_cookie', 'removes_cookie', 'text'];
const describesSignIn = ['page', 'user_field', 'password_field', 'success', 'failure', 'landing'];
const keys = [...describesSignIn, 'lost', 'signed_out', 'sign_out', 'own_cookies', 'polls', 'master_login'];

type Path = SettingProblem['path'];

/** Checks the settings of the `form` driver; all problems at once. */
export function parseFormSettings(given: DriverSettings): ParsedSettings<FormSettings> {
  const problems: SettingProblem[] = [];
  const reader = new Reader(problems);
  reader.known(given, keys, []);
  const settings: FormSettings = {
    page: reader.path(given['page'], ['page']),
    userField: reader.required(given['user_field'], ['user_field']),
    passwordField: reader.required(given['password_field'], ['password_field']),
    success: reader.marks(given['success'], ['success'], true),
    failure: reader.marks(given['failure'], ['failure'], true),
    lost: reader.marks(given['lost'], ['lost'], false),
    signedOut: reader.marks(given['signed_out'], ['signed_out'], false),
    signOut: reader.signOut(given['sign_out'], ['sign_out']),
    landing: reader.path(given['landing'], ['landing']),
    ownCookies: reader.texts(given['own_cookies'], ['own_cookies']),
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

  marks(value: unknown, path: Path, needed: boolean): readonly Mark[] {
    if (value === undefined && needed) this.#note(path, `is missing: write at least one of ${markKeys.join(', ')}`);
    return listOf(value).flatMap(([each, index]) => this.#mark(each, [...path, ...index]) ?? []);
  }

  signOut(value: unknown, path: Path): FormSettings['signOut'] {
    if (value === undefined) return undefined;
    const given = this.#map(value, path);
    if (given === undefined) return undefined;
    this.known(given, ['method', 'path', 'page'], path);
    const method = given['method'] ?? 'POST';
    if (method !== 'GET' && method !== 'POST') this.#note([...path, 'method'], 'is neither GET nor POST');
    if (given['path'] === undefined) this.#note([...path, 'path'], 'is missing');
    return {
      method: method === 'GET' ? 'GET' : 'POST',
      path: this.path(given['path'], [...path, 'path']) ?? '/',
      page: this.path(given['page'], [...path, 'page']),
    };
  }

  #mark(value: unknown, path: Path): Mark | undefined {
    const given = this.#map(value, path);
    if (given === undefined) return undefined;
    this.known(given, markKeys, path);
    const { status } = given;
    const isStatus = typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599;
    if (status !== undefined && !isStatus) this.#note([...path, 'status'], 'is not a status from 200 to 599');
    if (!markKeys.some((key) => key !== 'path' && given[key] !== undefined)) {
      this.#note(path, `names no condition of an answer: write at least one of ${markKeys.slice(1).join(', ')}`);
    }
    return {
      path: this.path(given['path'], [...path, 'path']) ?? '/',
      status: isStatus ? status : undefined,
      location: this.path(given['location'], [...path, 'location']),
      setsCookie: this.text(given['sets_cookie'], [...path, 'sets_cookie']),
      removesCookie: this.text(given['removes_cookie'], [...path, 'removes_cookie']),
      text: this.text(given['text'], [...path, 'text']),
    };
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

/** A list with the place of each item; one value is a list of one, and nothing is none. */
function listOf(value: unknown): readonly (readonly [each: unknown, index: Path])[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map((each: unknown, index) => [each, [index]]) : [[value, []]];
}
