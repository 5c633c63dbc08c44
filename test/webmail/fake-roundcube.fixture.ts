import { readFileSync } from 'node:fs';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import { field, responseOf } from './scripted-exchange.fixture.ts';

/** A page or answer of a real Roundcube, or the first 8 KiB of a long one. */
export function recorded(name: string): string {
  return readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8');
}

const removal = 'roundcube_sessauth=-del-; expires=Sun, 22 Nov 2020 08:58:15 GMT; Max-Age=0; path=/; HttpOnly';
const page = { 'content-type': 'text/html; charset=UTF-8' };
const tokenOfForm = /name="_token" value="([^"]+)"/.exec(recorded('sign-in-page.html'))?.[1] ?? '';

/** Answers as a real Roundcube did, under `base`; everybody's password is `right`. */
export function fakeRoundcube(base = '/'): (request: ExchangeRequest) => ExchangeResponse {
  return (request) => {
    const cookie = field(request, 'cookie') ?? '';
    if (request.method === 'POST') return signIn(base, cookie, new URLSearchParams(request.body));
    if (request.target === `${base}?_task=login`) {
      return responseOf(200, recorded('sign-in-page.html'), page, ['roundcube_sessid=s0; path=/; HttpOnly']);
    }
    if (!cookie.includes('roundcube_sessauth=auth1')) return responseOf(200, recorded('lost-page.html'), page);
    if (request.target === `${base}?_task=logout&_token=T1`) return responseOf(200, '<html>', page, [removal]);
    return responseOf(200, '<script>rcmail.set_env({"task":"settings","request_token":"T1"});</script>', page);
  };
}

function signIn(base: string, cookie: string, form: URLSearchParams): ExchangeResponse {
  if (form.get('_token') !== tokenOfForm || !cookie.includes('roundcube_sessid=s0')) {
    return responseOf(401, recorded('invalid-request.html'), page, [removal]);
  }
  if (form.get('_pass') !== 'right') return responseOf(401, recorded('login-failed.html'), page, [removal, removal]);
  const location = { location: `${base}?_task=mail&_token=T1` };
  return responseOf(302, '', location, [
    removal,
    'roundcube_sessid=s1; path=/; secure; HttpOnly',
    'roundcube_sessauth=auth1-1795312500; path=/; secure; HttpOnly',
  ]);
}
