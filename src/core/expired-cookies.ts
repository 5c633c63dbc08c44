import type { CookieJar } from './cookie-jar.ts';

/** Set-Cookie lines that take back from the browser every cookie that a webmail gave it. */
export function expiredCookieLines(jar: CookieJar, secure: boolean): string[] {
  return Array.from(
    jar.browserCookies,
    ([name, path]) =>
      `${name}=; Path=${path}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0${secure ? '; Secure' : ''}`,
  );
}
