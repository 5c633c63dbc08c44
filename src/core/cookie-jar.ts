/** One cookie in the jar. `expiresMs` is 0 for a cookie that lives as long as the session. */
interface KeptCookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
  readonly expiresMs: number;
}

/** A jar as it is stored. Names are short and empty lists left out, because every session has one. */
export interface SavedJar {
  readonly g: number;
  readonly c: readonly (readonly [name: string, value: string, path: string, expiresMs: number])[];
  /** Names that stay in the gateway although the jar has no cookie of that name now. */
  readonly k?: readonly string[];
  /** Names and paths of cookies that the browser has. */
  readonly b?: readonly (readonly [name: string, path: string])[];
}

/** The fate of a Set-Cookie line: it is kept in the jar, sent on to the browser as `line`, or dropped. */
type Absorbed = { readonly kind: 'kept' | 'ignored' } | { readonly kind: 'browser'; readonly line: string };

const maxCookies = 50;
const maxJarBytes = 32 * 1024;
const maxBrowserNames = 50;
const noNames: readonly string[] = [];
const noPaths: ReadonlyMap<string, string> = new Map();
/** A token (RFC 9110, 5.6.2): what names of fields and of cookies are made of. */
export const httpToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Control characters would end the field; a semicolon would end the pair. */
const fieldText = /^[^\u0000-\u001f\u007f;]*$/;

/**
 * The cookies that one webmail set in one session, kept in the gateway instead of the browser.
 *
 * A name that was ever set HttpOnly, or that the webmail's driver owns, stays here from then on, whatever flags later
 * lines carry. Other cookies go through to the browser; the jar remembers their names so that they can be expired
 * there. The jar honours Path and expiry and ignores Domain and Secure (RFC 6265): it belongs to one backend host. It
 * takes at most 50 cookies and 32 KiB; a line beyond that is dropped.
 */
export class CookieJar {
  readonly #ownsCookie: (name: string) => boolean;
  // Short lists, and no empty ones: every session has a jar, and a Map takes much memory.
  readonly #cookies: KeptCookie[] = [];
  /** Names of cookies that are gone. The gateway still keeps these names from the browser. */
  #formerNames: readonly string[] = noNames;
  #browserNames: ReadonlyMap<string, string> = noPaths;
  #generation: number;
  #changes = 0;
  #bytes = 0;

  constructor(ownsCookie: (name: string) => boolean, saved?: SavedJar) {
    this.#ownsCookie = ownsCookie;
    this.#generation = saved?.g ?? 0;
    for (const [name, value, path, expiresMs] of saved?.c ?? []) this.#put({ name, value, path, expiresMs });
    for (const name of saved?.k ?? []) this.#rememberFormerName(name);
    for (const [name, path] of saved?.b ?? []) this.#rememberBrowserName(name, path);
    this.#changes = 0;
  }

  /** Raised by each silent login: an answer to a request of an older generation must not change the jar. */
  get generation(): number {
    return this.#generation;
  }

  /** Number of changes since the jar was made or read. When it grows, the jar must be written. */
  get changes(): number {
    return this.#changes;
  }

  /** Names and paths of the cookies that the browser has. */
  get browserCookies(): ReadonlyMap<string, string> {
    return this.#browserNames;
  }

  /** Whether a cookie of this name from the browser must be dropped. */
  keeps(name: string): boolean {
    return this.#hasKept(name) || this.#ownsCookie(name);
  }

  /**
   * Takes one Set-Cookie line of an answer to a request for `requestPath`. Ignores a malformed line, and one beyond the
   * limits.
   */
  absorb(line: string, requestPath: string, nowMs: number): Absorbed {
    const parsed = parseSetCookie(line, requestPath, nowMs);
    if (parsed === undefined) return { kind: 'ignored' };
    const { cookie, httpOnly, expired } = parsed;
    if (!httpOnly && !this.keeps(cookie.name)) {
      if (this.#browserNames.get(cookie.name) !== cookie.path) {
        if (this.#browserNames.size >= maxBrowserNames) return { kind: 'ignored' };
        this.#rememberBrowserName(cookie.name, cookie.path);
        this.#changes += 1;
      }
      return { kind: 'browser', line: parsed.lineWithoutDomain };
    }
    const { name } = cookie;
    if (!this.#hasKept(name) && this.#cookies.length + this.#formerNames.length >= 2 * maxCookies) {
      return { kind: 'ignored' };
    }
    if (!expired && this.#put(cookie)) return { kind: 'kept' };
    if (expired) this.#drop(cookie);
    // Even without room for the cookie: the next one of this name must be kept.
    this.#rememberFormerName(name);
    return { kind: expired ? 'kept' : 'ignored' };
  }

  /** Returns the cookies for a request target as a Cookie field value, longer paths first; empty if there are none. */
  header(target: string, nowMs: number): string {
    if (this.#cookies.length === 0) return '';
    let path: string | undefined;
    const matching: KeptCookie[] = [];
    const ended: KeptCookie[] = [];
    for (const cookie of this.#cookies) {
      if (cookie.expiresMs !== 0 && cookie.expiresMs <= nowMs) ended.push(cookie);
      else if (cookie.path === '/' || pathMatches((path ??= pathOf(target)), cookie.path)) matching.push(cookie);
    }
    for (const cookie of ended) this.#drop(cookie);
    matching.sort((a, b) => b.path.length - a.path.length);
    return matching.map((cookie) => `${cookie.name}=${cookie.value}`).join('; ');
  }

  /** Returns the value of the cookie of this name with the longest path; undefined if there is none. */
  value(name: string): string | undefined {
    let best: KeptCookie | undefined;
    for (const cookie of this.#cookies) {
      if (cookie.name === name && (best === undefined || cookie.path.length > best.path.length)) best = cookie;
    }
    return best?.value;
  }

  /** Replaces all cookies by those of a fresh login, as a new generation. */
  renew(fresh: CookieJar): void {
    const before = this.#cookies.splice(0);
    this.#bytes = 0;
    for (const cookie of fresh.#cookies) this.#put(cookie);
    for (const { name } of before) this.#rememberFormerName(name);
    for (const name of fresh.#formerNames) this.#rememberFormerName(name);
    for (const [name, path] of fresh.#browserNames) this.#rememberBrowserName(name, path);
    this.#generation += 1;
    this.#changes += 1;
  }

  /** Returns a new jar with the chosen cookies; it keeps their names and no others. */
  pick(chosen: (name: string) => boolean): CookieJar {
    const picked = new CookieJar(chosen);
    for (const cookie of this.#cookies) if (chosen(cookie.name)) picked.#put(cookie);
    return picked;
  }

  /** Returns the jar in the form that the constructor takes. */
  save(): SavedJar {
    return {
      g: this.#generation,
      c: this.#cookies.map((cookie) => [cookie.name, cookie.value, cookie.path, cookie.expiresMs]),
      ...(this.#formerNames.length === 0 ? {} : { k: this.#formerNames }),
      ...(this.#browserNames.size === 0 ? {} : { b: [...this.#browserNames] }),
    };
  }

  #hasKept(name: string): boolean {
    return this.#formerNames.includes(name) || this.#cookies.some((cookie) => cookie.name === name);
  }

  #rememberFormerName(name: string): void {
    if (this.#hasKept(name)) return;
    this.#formerNames = [...this.#formerNames, name];
    this.#changes += 1;
  }

  #rememberBrowserName(name: string, path: string): void {
    this.#browserNames = new Map(this.#browserNames).set(name, path);
  }

  #put(cookie: KeptCookie): boolean {
    const at = this.#indexOf(cookie);
    const before = this.#cookies[at];
    if (before?.value === cookie.value && before.expiresMs === cookie.expiresMs) return true;
    const bytes = this.#bytes + sizeOf(cookie) - (before === undefined ? 0 : sizeOf(before));
    if (bytes > maxJarBytes || (before === undefined && this.#cookies.length >= maxCookies)) return false;
    if (before === undefined) {
      this.#cookies.push(cookie);
      if (this.#formerNames.includes(cookie.name)) {
        this.#formerNames = this.#formerNames.filter((name) => name !== cookie.name);
      }
    } else this.#cookies[at] = cookie;
    this.#bytes = bytes;
    this.#changes += 1;
    return true;
  }

  #drop(cookie: KeptCookie): void {
    const at = this.#indexOf(cookie);
    const [before] = at === -1 ? [] : this.#cookies.splice(at, 1);
    if (before === undefined) return;
    this.#bytes -= sizeOf(before);
    this.#changes += 1;
    this.#rememberFormerName(before.name);
  }

  /** Name and path identify a cookie. */
  #indexOf({ name, path }: KeptCookie): number {
    return this.#cookies.findIndex((cookie) => cookie.name === name && cookie.path === path);
  }
}

/** Returns the path of a request target, without its query. */
export function pathOf(target: string): string {
  const end = target.search(/[?#]/);
  return end === -1 ? target : target.slice(0, end);
}

function sizeOf(cookie: KeptCookie): number {
  return Buffer.byteLength(cookie.name) + Buffer.byteLength(cookie.value) + Buffer.byteLength(cookie.path);
}

/** RFC 6265, 5.1.4. */
function pathMatches(requestPath: string, cookiePath: string): boolean {
  if (requestPath === cookiePath) return true;
  if (!requestPath.startsWith(cookiePath)) return false;
  return cookiePath.endsWith('/') || requestPath[cookiePath.length] === '/';
}

function defaultPath(requestPath: string): string {
  const path = pathOf(requestPath);
  const lastSlash = path.lastIndexOf('/');
  return lastSlash <= 0 ? '/' : path.slice(0, lastSlash);
}

interface ParsedSetCookie {
  readonly cookie: KeptCookie;
  readonly httpOnly: boolean;
  readonly expired: boolean;
  /** The line for the browser: the cookie is for our host only, whatever domain the backend named. */
  readonly lineWithoutDomain: string;
}

/** RFC 6265, 5.2. */
function parseSetCookie(line: string, requestPath: string, nowMs: number): ParsedSetCookie | undefined {
  const [pair = '', ...attributes] = line.split(';');
  const equals = pair.indexOf('=');
  if (equals === -1) return undefined;
  const name = pair.slice(0, equals).trim();
  const value = pair.slice(equals + 1).trim();
  if (!httpToken.test(name) || !fieldText.test(value)) return undefined;

  let path = defaultPath(requestPath);
  let httpOnly = false;
  let expiresMs = 0;
  let maxAgeMs: number | undefined;
  const passedOn: string[] = [];
  for (const attribute of attributes) {
    const at = attribute.indexOf('=');
    const key = (at === -1 ? attribute : attribute.slice(0, at)).trim().toLowerCase();
    const text = at === -1 ? '' : attribute.slice(at + 1).trim();
    if (!fieldText.test(attribute)) return undefined;
    if (key !== 'domain') passedOn.push(attribute);
    if (key === 'httponly') httpOnly = true;
    else if (key === 'path' && text.startsWith('/')) path = text;
    else if (key === 'max-age' && /^-?\d{1,12}$/.test(text)) maxAgeMs = Number(text) * 1000;
    else if (key === 'expires') {
      const at = Date.parse(text);
      // 0 means "as long as the session" here, but most servers write the epoch to delete a cookie.
      if (!Number.isNaN(at)) expiresMs = Math.max(at, 1);
    }
  }
  if (maxAgeMs !== undefined) expiresMs = nowMs + maxAgeMs;
  return {
    cookie: { name, value, path, expiresMs },
    httpOnly,
    expired: (maxAgeMs !== undefined && maxAgeMs <= 0) || (expiresMs !== 0 && expiresMs <= nowMs),
    lineWithoutDomain: [`${name}=${value}`, ...passedOn].join(';'),
  };
}

/** Returns Set-Cookie lines that expire every cookie that a webmail set in the browser. */
export function expiredCookieLines(jar: CookieJar, secure: boolean): string[] {
  return Array.from(
    jar.browserCookies,
    ([name, path]) =>
      `${name}=; Path=${path}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0${secure ? '; Secure' : ''}`,
  );
}
