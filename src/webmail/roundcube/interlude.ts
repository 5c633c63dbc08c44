import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { type CookieJar, pathOf } from '../../core/cookie-jar.ts';
import type { RequestHead } from '../../core/http.ts';
import type { Interlude } from '../../core/webmail.ts';
import type { Browser } from '../browser.ts';
import { lostAnswer, pageAnswer } from './lost-answer.ts';
import { isScriptRequest, roundcubeQuery } from './pages.ts';

/*
 * A plugin (second factor, captcha, expired password) may answer the right password with a page of its own. The page
 * comes only once, as the answer to the sign-in form, so the gateway keeps it in the jar until the browser asks for it.
 */

const pageName = 'roundcube_page';
/** The value after the user has gone on from the page, until a tab asks for another page. */
const leftPage = '-';
const maxPage = 256 * 1024;

/** Whether the answer to a sign-in is a Roundcube page from which the user goes on. */
export function isRoundcubePage(html: string): boolean {
  return html.includes('new rcube_webmail()');
}

/** Keeps the page for the browser. The jar drops a page that is too long; the browser then gets the landing page. */
export function keepPage(browser: Browser, html: string): void {
  browser.keep(pageName, deflateRawSync(html).toString('base64url'));
}

/** Answers every tab with the kept page until it sends its form: any other request would end Roundcube's interlude. */
export const interlude: Interlude = {
  answer(request, jar) {
    const kept = jar.value(pageName);
    if (kept === undefined) return undefined;
    const query = roundcubeQuery(request.target);
    if (kept === leftPage || query.task === 'logout') {
      if (isTab(request)) keepInJar(jar, '');
      return undefined;
    }
    const html = inflateRawSync(Buffer.from(kept, 'base64url'), { maxOutputLength: maxPage }).toString('utf8');
    if (isTab(request)) return pageAnswer(html);
    const goesOn = request.method === 'POST' || isScriptRequest(request, query);
    if (!goesOn || isOlder(request, html)) return lostAnswer(request, pathOf(request.target));
    keepInJar(jar, leftPage);
    return undefined;
  },
  isForm: (request, jar) => request.method === 'POST' && jar.value(pageName) === leftPage,
};

function keepInJar(jar: CookieJar, value: string): void {
  jar.absorb(`${pageName}=${value}; Path=/-/; HttpOnly${value === '' ? '; Max-Age=0' : ''}`, '/-/', 0);
}

function isTab(request: RequestHead): boolean {
  if (request.method !== 'GET') return false;
  const destination = request.header('sec-fetch-dest');
  if (destination !== undefined) return destination === 'document';
  return /\btext\/html\b/i.test(request.header('accept') ?? '') && request.header('x-requested-with') === undefined;
}

/** Whether the request carries the token of another page. */
function isOlder(request: RequestHead, html: string): boolean {
  const token = request.header('x-roundcube-request');
  return token !== undefined && !html.includes(`"request_token":${JSON.stringify(token)}`);
}
