import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';

/** The page at the end of all redirects. */
export interface Landed {
  readonly path: string;
  readonly status: number;
  readonly body: Buffer;
}

const byPerson = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
const byScript = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };

/**
 * A browser for the tests: it keeps cookies, follows redirects on its own site, and marks navigations, which `fetch`
 * does not allow.
 */
export class Browser {
  readonly #origin: string;
  readonly cookies = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  get cookieField(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  async open(path: string): Promise<Landed> {
    return this.#send('GET', path, undefined);
  }

  async text(path: string): Promise<string> {
    return (await this.open(path)).body.toString();
  }

  async submit(path: string, form: URLSearchParams | FormData): Promise<Landed> {
    return this.#send('POST', path, form);
  }

  /** What a script of the page gets from `fetch`. */
  async fetched(path: string): Promise<Landed> {
    return this.#send('GET', path, undefined, byScript);
  }

  async #send(
    method: string,
    path: string,
    form: URLSearchParams | FormData | undefined,
    initiator: Readonly<Record<string, string>> = byPerson,
  ): Promise<Landed> {
    const encoded = new Response(form ?? null);
    const content = Buffer.from(await encoded.arrayBuffer());
    const request = sendRequest(this.#origin + path, {
      method,
      headers: {
        'sec-fetch-site': 'same-origin',
        ...initiator,
        ...(this.cookies.size === 0 ? {} : { cookie: this.cookieField }),
        ...(method === 'GET' ? {} : { origin: this.#origin, 'content-length': content.length }),
        ...(form === undefined ? {} : { 'content-type': encoded.headers.get('content-type') ?? '' }),
      },
    });
    request.end(content);
    const [response]: IncomingMessage[] = await once(request, 'response');
    assert.ok(response !== undefined);
    this.#keepCookies(response.headers['set-cookie'] ?? []);
    const body = Buffer.concat(await response.toArray());
    const { statusCode: status = 0 } = response;
    const { location } = response.headers;
    if (location === undefined || status < 300 || status > 399) return { path, status, body };
    const target = new URL(location, this.#origin + path);
    assert.equal(target.origin, this.#origin);
    return this.open(target.pathname + target.search);
  }

  #keepCookies(lines: readonly string[]): void {
    for (const line of lines) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
}

/** The inputs of a page with their values. */
export function fieldsIn(page: string): URLSearchParams {
  const fields = new URLSearchParams();
  for (const [input] of page.matchAll(/<input\b[^>]*>/g)) {
    const name = /\bname="([^"]*)"/.exec(input)?.[1];
    if (name !== undefined) fields.set(name, /\bvalue="([^"]*)"/.exec(input)?.[1] ?? '');
  }
  return fields;
}
