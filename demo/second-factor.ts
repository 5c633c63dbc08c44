import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { Secret, TOTP } from 'otpauth';
import type { AskApi } from '../src/cli/api-client.ts';
import type { Person } from './people.ts';

/** The authenticator app of a member of staff. */
export interface AuthenticatorApp {
  /** The code of this half minute and the next one, which the gateway takes already, and when they change. */
  codes(nowMs: number): { readonly current: string; readonly next: string; readonly changesInMs: number };
}

const periodMs = 30_000;

/**
 * Enrols a member of staff as an operator and the person do it: the operator makes a one-time code at the API, the
 * person signs in to the console with it, reads the key and confirms it.
 */
export async function enrol(person: Person, consoleOrigin: string, ask: AskApi): Promise<AuthenticatorApp> {
  const { body } = await ask('POST', `/staff/${encodeURIComponent(person.address)}/enrolment`, {});
  const browser = new ConsoleBrowser(consoleOrigin);
  await browser.get('/-/login');
  await browser.post('/-/login', { user: person.address, password: person.password });
  await browser.get('/-/enrol');
  await browser.post('/-/enrol', { invitation: String(body['code']) });
  const [, key = ''] = /<code>([A-Z2-7 ]+)<\/code>/.exec(await browser.get('/-/enrol')) ?? [];
  const secret = Secret.fromBase32(key.replaceAll(' ', ''));
  const codeAt = (timestamp: number): string => TOTP.generate({ secret, timestamp });
  // Each code is good once. That of the half minute before still counts, and leaves the current one for the person.
  const confirmed = await browser.post('/-/enrol', { code: codeAt(Date.now() - periodMs) });
  if (!confirmed.includes('recovery codes')) throw new Error('the second factor of the demo could not be set up');
  await browser.get('/-/users');
  await browser.post('/-/logout', {});
  return {
    codes: (nowMs) => ({
      current: codeAt(nowMs),
      next: codeAt(nowMs + periodMs),
      changesInMs: periodMs - (nowMs % periodMs),
    }),
  };
}

/** As much of a browser as the console's forms need. It asks 127.0.0.1, whatever the name of the console resolves to. */
class ConsoleBrowser {
  readonly #origin: URL;
  readonly #cookies = new Map<string, string>();
  #token = '';

  constructor(origin: string) {
    this.#origin = new URL(origin);
  }

  get(path: string): Promise<string> {
    return this.#send('GET', path, '');
  }

  post(path: string, fields: Readonly<Record<string, string>>): Promise<string> {
    return this.#send('POST', path, new URLSearchParams({ token: this.#token, ...fields }).toString());
  }

  async #send(method: 'GET' | 'POST', path: string, form: string): Promise<string> {
    const headers = {
      host: this.#origin.host,
      'sec-fetch-site': method === 'GET' ? 'none' : 'same-origin',
      cookie: [...this.#cookies].map((pair) => pair.join('=')).join('; '),
    };
    const posted = { origin: this.#origin.origin, 'content-type': 'application/x-www-form-urlencoded' };
    const request = sendRequest({
      host: '127.0.0.1',
      port: this.#origin.port,
      method,
      path,
      headers: method === 'GET' ? headers : { ...headers, ...posted, 'content-length': Buffer.byteLength(form) },
    });
    request.end(form);
    const [response]: IncomingMessage[] = await once(request, 'response');
    if (response === undefined) throw new TypeError('a response event carries a response');
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      this.#cookies.set(name, value);
    }
    const text = Buffer.concat(await response.toArray()).toString();
    this.#token = /name="token" value="([^"]*)"/.exec(text)?.[1] ?? this.#token;
    return text;
  }
}
