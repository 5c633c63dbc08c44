import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Request, RequestHandler, Response } from 'express';
import type { Clock } from '../core/clock.ts';
import { ingressOf } from './request-context.ts';

const maxFormBodyBytes = 8 * 1024;

/**
 * Reads a plain form of at most 8 KiB, or `maxBytes`, into `request.body`; anything else is refused at once, with a status.
 *
 * Not body-parser: it reads a body to its end before it refuses it. And not `querystring`: it leaves bytes that are no
 * UTF-8 percent-encoded, so that another password than was typed would be tried; URLSearchParams shows them as U+FFFD,
 * which no name and no password may hold.
 */
export function createFormBody(maxBytes = maxFormBodyBytes): RequestHandler {
  return async (request, _response, next) => {
    // `is`: false means another type, null no body at all.
    const type = request.is('application/x-www-form-urlencoded');
    if (type === false || request.headers['content-encoding'] !== undefined)
      throw formRefusal(415, 'the body is not a form');
    // A server that optimises empty requests gives those no end to wait for.
    const bytes = type === null ? Buffer.alloc(0) : await readFormBody(request, maxBytes);
    request.body = new URLSearchParams(bytes.toString('utf8'));
    next();
  };
}

async function readFormBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw formRefusal(413, 'the form is too long');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= maxBytes) return;
      request.removeAllListeners('data').pause();
      reject(formRefusal(413, 'the form is too long'));
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => reject(formRefusal(400, 'the form ended early')));
  });
}

function formRefusal(status: 400 | 413 | 415, message: string): Error {
  return Object.assign(new Error(message), { status });
}

/** The one value of a field, or undefined if the form has none or several. */
export function formField(body: unknown, name: string): string | undefined {
  return body instanceof URLSearchParams ? onlyValue(body, name) : undefined;
}

/** The one value of a query parameter, or undefined if there is none or several. */
export function queryParameter(url: string, name: string): string | undefined {
  return onlyValue(queryOf(url), name);
}

/** The query of a request target. */
export function queryOf(url: string): URLSearchParams {
  const start = url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : url.slice(start));
}

function onlyValue(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

/**
 * The value of the cookie that the forms of this browser are bound to; undefined without exactly one well-formed
 * cookie. Two mean that another site set one.
 */
function readFormCookie(request: Request): string | undefined {
  const name = cookieName(ingressOf(request).publicUrl.secure);
  const values = (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [value] = values;
  return values.length === 1 && value !== undefined && /^[\w-]{22}$/.test(value) ? value : undefined;
}

/** Gives the browser the cookie, or the one it has for longer, so that a second tab does not spoil the first. */
export function writeFormCookie(request: Request, response: Response, randomBytes: (size: number) => Buffer): string {
  const { secure } = ingressOf(request).publicUrl;
  const value = readFormCookie(request) ?? randomBytes(16).toString('base64url');
  const flags = { path: '/', httpOnly: true, sameSite: 'lax', secure, maxAge: formLifetimeMs } as const;
  response.cookie(cookieName(secure), value, flags);
  return value;
}

/**
 * The problem with a sign-in form. `stale`: too old, or made for another browser. `no-cookie`: young, but the browser
 * did not send its cookie.
 */
export function formProblemOf(
  request: Request,
  tokens: Pick<FormTokens, 'check' | 'isRecent'>,
  bindingOf: (cookie: string) => string,
): 'stale' | 'no-cookie' | undefined {
  const { origin, secure } = ingressOf(request).publicUrl;
  if (requestInitiator(request.headers, origin) === 'foreign') return 'stale';
  const token = formField(request.body, 'token');
  const cookie = readFormCookie(request);
  if (cookie !== undefined) return tokens.check(token, bindingOf(cookie)) ? undefined : 'stale';
  const hasSome = (request.headers.cookie ?? '').includes(`${cookieName(secure)}=`);
  return !hasSome && tokens.isRecent(token) ? 'no-cookie' : 'stale';
}

/** A browser takes a `__Host-` cookie from this very host over HTTPS only: no other host can plant one. */
function cookieName(secure: boolean): string {
  return secure ? '__Host-postern-form' : 'postern-form';
}

/** A form may stay open for so long, and its cookie lives as long. */
export const formLifetimeMs = 2 * 60 * 60 * 1000;

/**
 * Which origin made a request. Sec-Fetch-Site decides if it is sent, else Origin, since browsers omit Sec-Fetch-Site
 * over plain http. Clients that send neither run no foreign page: the token alone decides.
 */
export function requestInitiator(headers: IncomingHttpHeaders, origin: string): 'own' | 'foreign' | 'unknown' {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' ? 'own' : 'foreign';
  if (headers.origin !== undefined) return headers.origin === origin ? 'own' : 'foreign';
  return 'unknown';
}

/**
 * Makes and checks the tokens of our forms: a time and an HMAC over it and what the form is bound to.
 *
 * No token is stored, so every node knows every node's tokens. `keys` gives the shared keys: the first signs, all
 * verify.
 */
export interface FormTokens {
  issue(boundTo: string): string;
  check(token: unknown, boundTo: string): boolean;
  /** Whether it bears the time of a form that is not too old. Proves nothing: anybody can write such a text. */
  isRecent(token: unknown): boolean;
  /** A lasting mark of what it is bound to, which only the gateway can make or read. */
  mark(boundTo: string): string;
  isMark(mark: string, boundTo: string): boolean;
}

/** Makes and checks form tokens: a time and a MAC under the newest server key. */
export function createFormTokens(keys: () => readonly KeyObject[], clock: Clock): FormTokens {
  function partsOf(token: unknown): { readonly issued: string; readonly mac: string } | undefined {
    const [, issued, mac] = (typeof token === 'string' && /^([0-9a-z]{1,11})\.([\w-]{43})$/.exec(token)) || [];
    if (issued === undefined || mac === undefined) return undefined;
    const ageMs = clock.nowMs() - Number.parseInt(issued, 36);
    // The clocks of two nodes may differ by a little.
    return ageMs > formLifetimeMs || ageMs < -60_000 ? undefined : { issued, mac };
  }

  function signingKey(): KeyObject {
    const [key] = keys();
    if (key === undefined) throw new TypeError('there is no key to sign forms with');
    return key;
  }

  return {
    issue(boundTo) {
      const issued = clock.nowMs().toString(36);
      return `${issued}.${sign(signingKey(), issued, boundTo)}`;
    },
    check(token, boundTo) {
      const parts = partsOf(token);
      if (parts === undefined) return false;
      const { issued, mac } = parts;
      return keys().some((key) => timingSafeEqual(Buffer.from(sign(key, issued, boundTo)), Buffer.from(mac)));
    },
    isRecent: (token) => partsOf(token) !== undefined,
    mark: (boundTo) => sign(signingKey(), 'mark', boundTo),
    isMark: (mark, boundTo) => keys().some((key) => sign(key, 'mark', boundTo) === mark),
  };
}

function sign(key: KeyObject, issued: string, boundTo: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify(['form', issued, boundTo]))
    .digest('base64url');
}

const maxTargetLength = 4096;
/** Only characters that headers, URL parsers and proxies all read alike. */
const plainTarget = /^\/(?![/\\])[^\\\p{Cc}\p{Cf}\p{Z}\p{Co}\p{Cn}\ufffd]*$/u;

/**
 * The target on this origin that `next` names, ready for a Location field: path, query and fragment; undefined if it is
 * none.
 *
 * Also undefined for `/`, and for our own sign-in and sign-out. ASCII comes back byte for byte. `value` comes from a
 * query parser: anything but one string is refused.
 */
export function nextTarget(value: unknown, origin: string): string | undefined {
  if (typeof value !== 'string' || value.length > maxTargetLength || value === '/' || !plainTarget.test(value))
    return undefined;
  if (!value.isWellFormed() || !URL.canParse(value, origin)) return undefined;
  const url = new URL(value, origin);
  // `/.//evil.example` becomes the path `//evil.example`, which the next reader takes for another host.
  if (url.origin !== origin || url.pathname.startsWith('//')) return undefined;
  if (/^\/-\/log(?:in|out)(?:\/|$)/.test(url.pathname)) return undefined;
  return /^[!-~]+$/.test(value) ? value : `${url.pathname}${url.search}${url.hash}`;
}

/** Leads the browser on after a form. */
export function seeOther(response: Response, location: string): void {
  response.statusCode = 303;
  response.setHeader('Location', location);
  response.end();
}

/** The longest time for which browsers keep a cookie. */
const keptMs = 400 * 24 * 60 * 60 * 1000;

/**
 * Notes in the browser who signs in there, by a mark that only the gateway can read. Returns whether the last one was
 * another user: the cache may hold what that user read. A browser without a note has nothing of ours, or no cookies,
 * which browsers clear with their cache.
 */
export function noteLastUser(request: Request, response: Response, tokens: FormTokens, user: string): boolean {
  const { secure } = ingressOf(request).publicUrl;
  const name = secure ? '__Host-postern-last' : 'postern-last';
  const boundTo = `last user ${user}`;
  const notes = (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const flags = { path: '/', httpOnly: true, sameSite: 'lax', secure, maxAge: keptMs } as const;
  response.cookie(name, tokens.mark(boundTo), flags);
  return notes.some((note) => !tokens.isMark(note, boundTo));
}
