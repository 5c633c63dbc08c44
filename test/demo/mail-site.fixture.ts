import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { createCertificate } from '../../demo/certificate.ts';
import { createDelivery } from '../../demo/delivery.ts';
import { type ImapServer, startImapServer } from '../../demo/imap-server.ts';
import { startWebmail, type Webmail, type WebmailOptions } from '../../demo/webmail.ts';

const keyPair = createCertificate(['127.0.0.1'], Date.now());
/** Alice's password. */
export const oddPassword = 'Paß "wört" \\1 €';

export interface Site {
  readonly imap: ImapServer;
  readonly webmail: Webmail;
}

/** A webmail over an IMAP server for Alice and Bob; both end with the test. */
export async function startSite(t: TestContext, options: Partial<WebmailOptions> = {}): Promise<Site> {
  const users = { 'alice@example.test': oddPassword, 'bob@example.test': 'builder' };
  const imap = await startImapServer({ users, masters: { postman: 'stamps' }, security: 'tls', keyPair });
  t.after(() => imap.close());
  const address = { hostname: imap.hostname, port: imap.port, ca: keyPair.certificate };
  const homes = new Map(Object.keys(users).map((user) => [user, address] as const));
  const deliver = createDelivery({ homes, master: { name: 'postman', password: 'stamps' } });
  const webmail = await startWebmail({ name: 'a', imap: address, deliver, ...options });
  t.after(() => webmail.close());
  return { imap, webmail };
}

/** A browser that follows no redirects and keeps the last value of each cookie. */
export class Visitor {
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#cookies.size > 0) headers.set('cookie', this.cookie);
    const response = await fetch(this.#origin + path, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }

  post(path: string, fields: Record<string, string>): Promise<Response> {
    return this.ask(path, { method: 'POST', body: new URLSearchParams(fields) });
  }

  /** The token in the form of a page. */
  async token(path: string): Promise<string> {
    return tokenIn(await (await this.ask(path)).text());
  }

  async signIn(user = 'alice@example.test', password = oddPassword): Promise<Response> {
    return this.post('/login', { token: await this.token('/login'), user, password });
  }
}

function tokenIn(page: string): string {
  return /name="token" value="([^"]+)"/.exec(page)?.[1] ?? '';
}

/** Like {@link startSite}, with Alice signed in. */
export async function signedIn(
  t: TestContext,
  options: Partial<WebmailOptions> = {},
): Promise<Site & { visitor: Visitor }> {
  const site = await startSite(t, options);
  const visitor = new Visitor(site.webmail.origin);
  assert.equal((await visitor.signIn()).status, 303);
  return { ...site, visitor };
}
