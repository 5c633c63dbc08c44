import type { Request, Response } from 'express';
import { formLifetimeMs } from './csrf.ts';
import { ingressOf } from './ingress-of.ts';

/**
 * The value of the cookie that the forms of this browser are bound to, or nothing.
 * Only one well-formed cookie of the name counts: two mean that somebody else set one.
 */
export function readFormCookie(request: Request): string | undefined {
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

/** A browser takes a `__Host-` cookie from this very host over HTTPS only: no other host can plant one. */
function cookieName(secure: boolean): string {
  return secure ? '__Host-postern-form' : 'postern-form';
}
