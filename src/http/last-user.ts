import type { Request, Response } from 'express';
import type { FormTokens } from './forms.ts';
import { ingressOf } from './request-context.ts';

/** As long as browsers keep a cookie. */
const keptMs = 400 * 24 * 60 * 60 * 1000;

/**
 * Notes in the browser, by a mark that only the gateway can read, who signs in there. Returns whether it was somebody
 * else the last time: the cache may hold what that user read. A browser without a note has nothing of ours, or no
 * cookies, which browsers clear with their cache.
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
