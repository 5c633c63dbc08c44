import { once } from 'node:events';
import { type Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import { browserHeaders } from './wrk.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A small browser for sign-ins: it reads form fields and keeps cookies. */
export class Visitor {
  readonly #origin: string;
  readonly #agent: Agent;
  readonly #cookies: Map<string, string>;

  constructor(origin: string, agent: Agent, cookies: ReadonlyMap<string, string> = new Map()) {
    this.#origin = origin;
    this.#agent = agent;
    this.#cookies = new Map(cookies);
  }

  /** A second browser with a copy of the cookies. */
  twin(): Visitor {
    return new Visitor(this.#origin, this.#agent, this.#cookies);
  }

  get(path: string): Promise<Answer> {
    return this.#send('GET', path, undefined);
  }

  post(path: string, form: Readonly<Record<string, string>>): Promise<Answer> {
    return this.#send('POST', path, new URLSearchParams(form).toString());
  }

  async #send(method: string, path: string, form: string | undefined): Promise<Answer> {
    const request = sendRequest(this.#origin + path, {
      method,
      agent: this.#agent,
      headers: {
        ...browserHeaders,
        // The gateway's own pages answer navigations only.
        'Sec-Fetch-Dest': 'document',
        'Sec-Fetch-Mode': 'navigate',
        'Accept-Encoding': 'identity',
        Origin: this.#origin,
        Cookie: [...this.#cookies].map((pair) => pair.join('=')).join('; '),
        ...(form === undefined
          ? {}
          : { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': Buffer.byteLength(form) }),
      },
    });
    request.end(form);
    const [response]: IncomingMessage[] = await once(request, 'response');
    if (response === undefined) throw new TypeError('a response comes with its event');
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      this.#cookies.set(name, value);
    }
    const body = Buffer.concat(await response.toArray()).toString();
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  }
}

/** Opens the gateway's form. Each call of the returned function sends it for a user without a session. */
export async function openSignInForm(origin: string, agent: Agent) {
  const visitor = new Visitor(origin, agent);
  const page = await visitor.get('/-/login');
  const token = /name="token" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
  return async function signIn(user: string, password: string): Promise<void> {
    const answer = await visitor.twin().post('/-/login', { token, user, password, time_zone: 'Europe/Berlin' });
    if (answer.status !== 303)
      throw new Error(`${user} could not sign in: ${answer.status}\n${answer.body.slice(0, 2000)}`);
  };
}
