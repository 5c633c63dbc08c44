import { readFileSync } from 'node:fs';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import { field, responseOf } from './scripted-exchange.fixture.ts';

/**
 * A page or answer of a real Roundcube, or the first 8 KiB of a long one: of 1.6.5, or below `roundcube-1.7/` of 1.7.3,
 * which no Debian has, so that its code is not in these tests.
 */
export function recorded(name: string): string {
  return readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8');
}

const removal = 'roundcube_sessauth=-del-; expires=Sun, 22 Nov 2020 08:58:15 GMT; Max-Age=0; path=/; HttpOnly';
const html = { 'content-type': 'text/html; charset=UTF-8' };

/** The folder of recordings of a version of Roundcube. */
type Recordings = '' | 'roundcube-1.7/';

/** Answers as a real Roundcube did, under `base`; everybody's password is `right`. */
export function fakeRoundcube(base = '/', recordings: Recordings = ''): (request: ExchangeRequest) => ExchangeResponse {
  const recordedThere = (name: string): string => recorded(recordings + name);
  return (request) => {
    const cookie = field(request, 'cookie') ?? '';
    if (request.method === 'POST') return signIn(base, cookie, new URLSearchParams(request.body), recordedThere);
    if (request.target === `${base}?_task=login`) {
      return responseOf(200, recordedThere('sign-in-page.html'), html, ['roundcube_sessid=s0; path=/; HttpOnly']);
    }
    if (!cookie.includes('roundcube_sessauth=auth1')) return responseOf(200, recordedThere('lost-page.html'), html);
    if (request.target === `${base}?_task=logout&_token=T1`) return responseOf(200, '<html>', html, [removal]);
    return responseOf(200, '<script>rcmail.set_env({"task":"settings","request_token":"T1"});</script>', html);
  };
}

function signIn(base: string, cookie: string, form: URLSearchParams, page: (name: string) => string): ExchangeResponse {
  const tokenOfForm = /name="_token" value="([^"]+)"/.exec(page('sign-in-page.html'))?.[1] ?? '';
  if (form.get('_token') !== tokenOfForm || !cookie.includes('roundcube_sessid=s0')) {
    return responseOf(401, page('invalid-request.html'), html, [removal]);
  }
  if (form.get('_pass') !== 'right') return responseOf(401, page('login-failed.html'), html, [removal, removal]);
  const location = { location: `${base}?_task=mail&_token=T1` };
  return responseOf(302, '', location, [
    removal,
    'roundcube_sessid=s1; path=/; secure; HttpOnly',
    'roundcube_sessauth=auth1-1795312500; path=/; secure; HttpOnly',
  ]);
}
