import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingHttpHeaders, IncomingMessage, request as sendRequest } from 'node:http';

export const browserName = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';

export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** The fetch metadata of a browser's request. */
const kinds = {
  page: { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html,application/xhtml+xml' },
  frame: { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe', accept: 'text/html,application/xhtml+xml' },
  script: { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: 'application/json' },
} as const;

interface Ask {
  readonly kind?: keyof typeof kinds;
  readonly form?: Readonly<Record<string, string>>;
  readonly content?: { readonly type: string; readonly bytes: Buffer };
  readonly headers?: Readonly<Record<string, string>>;
}

/** A person's browser at the gateway: it keeps cookies over several nodes, and follows redirects only on request. */
export class RoundcubeUser {
  origin: string;
  /** The address, as from a load balancer: each person has a separate network, so no penalty hits another. */
  readonly address = `10.${randomInt(256)}.${randomInt(256)}.7`;
  readonly cookies = new Map<string, string>();
  /** All Set-Cookie lines so far. */
  readonly setCookies: string[] = [];
  /** All answers so far. */
  readonly answers: { readonly target: string; readonly bytes: number }[] = [];
  userAgent = browserName;
  #token = '';

  constructor(origin: string) {
    this.origin = origin;
  }

  async get(target: string, ask: Ask = {}): Promise<Got> {
    return this.#send('GET', target, ask);
  }

  async post(target: string, ask: Ask): Promise<Got> {
    return this.#send('POST', target, ask);
  }

  /** A request of Roundcube's script. */
  async script(target: string, form?: Readonly<Record<string, string>>): Promise<Got> {
    const headers = { 'x-roundcube-request': this.#token, 'x-requested-with': 'XMLHttpRequest' };
    if (form === undefined) return this.get(`${target}&_remote=1`, { kind: 'script', headers });
    return this.post(target, { kind: 'script', headers, form: { ...form, _remote: '1' } });
  }

  /** Opens a page and follows its redirects. */
  async open(target: string): Promise<Got & { readonly target: string }> {
    let got = await this.get(target);
    for (let steps = 0; got.status >= 300 && got.status < 400; steps += 1) {
      assert.ok(steps < 8, 'a redirect loop');
      const url = new URL(got.headers.location ?? '', this.origin + target);
      assert.equal(url.origin, this.origin);
      target = url.pathname + url.search;
      got = await this.get(target);
    }
    this.#token = /"request_token":"(\w+)"/.exec(got.body)?.[1] ?? this.#token;
    return { ...got, target };
  }

  /** Fills in the gateway's own form. */
  async signIn(user: string, password: string, target = '/-/login'): Promise<Got & { readonly target: string }> {
    const page = await this.get(target);
    assert.equal(page.status, 200);
    const token = /name="token" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
    const form = { token, user, password, time_zone: 'Europe/Berlin' };
    const answer = await this.post(target, { form });
    if (answer.status !== 303) return { ...answer, target };
    const url = new URL(answer.headers.location ?? '', this.origin);
    return this.open(url.pathname + url.search);
  }

  /** Roundcube's token against forged requests, of the last page that was opened. */
  get token(): string {
    return this.#token;
  }

  async #send(method: string, target: string, ask: Ask): Promise<Got> {
    const body = ask.form === undefined ? ask.content?.bytes : Buffer.from(new URLSearchParams(ask.form).toString());
    const type = ask.form === undefined ? ask.content?.type : 'application/x-www-form-urlencoded';
    const request = sendRequest(this.origin + target, {
      method,
      headers: {
        'user-agent': this.userAgent,
        'x-forwarded-for': this.address,
        'x-forwarded-proto': 'http',
        'sec-fetch-site': 'same-origin',
        'accept-language': 'en',
        ...kinds[ask.kind ?? 'page'],
        ...ask.headers,
        ...(this.cookies.size === 0 ? {} : { cookie: [...this.cookies].map((pair) => pair.join('=')).join('; ') }),
        ...(method === 'GET' ? {} : { origin: this.origin }),
        ...(body === undefined ? {} : { 'content-length': body.length, 'content-type': type }),
      },
    });
    request.end(body);
    const [response]: unknown[] = await once(request, 'response');
    assert.ok(response instanceof IncomingMessage);
    this.#keepCookies(response.headers['set-cookie'] ?? []);
    const content = Buffer.concat(await response.toArray());
    this.answers.push({ target, bytes: content.length });
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: content.length > 1024 * 1024 ? '' : content.toString(),
      sha256: sha256(content),
      bytes: content.length,
    };
  }

  #keepCookies(lines: readonly string[]): void {
    for (const line of lines) {
      this.setCookies.push(line);
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
