import type { Request, Response } from 'express';
import { formLifetimeMs, type FormTokens, requestInitiator } from './csrf.ts';
import { formField } from './form-body.ts';
import { ingressOf } from './ingress-of.ts';

/**
 * The value of the cookie that the forms of this browser are bound to, or nothing.
 * Only one well-formed cookie of the name counts: two mean that somebody else set one.
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
 * What is wrong with a sign-in form that came back: it is `stale`, or somebody else's; `no-cookie`: it is young, and the
 * browser did not send the cookie that it was given with the form.
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
