import type { Response } from 'express';

const maxLength = 4096;
/** Only characters that headers, URL parsers and proxies all read alike. */
const plain = /^\/(?![/\\])[^\\\p{Cc}\p{Cf}\p{Z}\p{Co}\p{Cn}\ufffd]*$/u;

/**
 * The place on this very origin that `next` names, ready for a Location field: path, query and fragment; or undefined.
 *
 * Nothing is also the answer to `/`, which is no place but the front door itself, and to our own sign-in and sign-out.
 * What is ASCII comes back byte for byte. `value` is what a query parser gave: anything but one string is refused.
 */
export function nextTarget(value: unknown, origin: string): string | undefined {
  if (typeof value !== 'string' || value.length > maxLength || value === '/' || !plain.test(value)) return undefined;
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
