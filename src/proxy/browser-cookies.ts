import type { CookieJar } from '../core/cookie-jar.ts';

/** RFC 6265 token: what a cookie's name may be made of. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * The Cookie field for the backend: the jar's cookies for `target`, then those of the browser whose names the jar does
 * not keep. Empty when there are none.
 *
 * @param rest the browser's Cookie field without the gateway's own cookies
 */
export function cookiesForBackend(jar: CookieJar, rest: string, target: string, nowMs: number): string {
  const kept = jar.header(target, nowMs);
  if (rest === '') return kept;
  const passed: string[] = [];
  for (const pair of rest.split(';')) {
    const text = pair.trim();
    const equals = text.indexOf('=');
    if (equals < 1) continue;
    const name = text.slice(0, equals);
    if (token.test(name) && !jar.keeps(name) && !jar.keeps(asPhpReadsIt(name))) passed.push(text);
  }
  if (passed.length === 0) return kept;
  // The jar's come first: of two cookies of one name PHP takes the first.
  return kept === '' ? passed.join('; ') : `${kept}; ${passed.join('; ')}`;
}

/** PHP turns dots into underscores: `roundcube.sessid` from a browser would be read as `roundcube_sessid`. */
function asPhpReadsIt(name: string): string {
  return name.includes('.') ? name.replaceAll('.', '_') : name;
}

/** The name in a Set-Cookie line, as a browser would read it. */
export function nameInSetCookie(line: string): string {
  const [pair = ''] = line.split(';');
  const equals = pair.indexOf('=');
  return (equals === -1 ? '' : pair.slice(0, equals)).trim();
}
