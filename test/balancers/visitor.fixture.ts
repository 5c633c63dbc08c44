import { once } from 'node:events';
import { Agent, type IncomingMessage, request as sendPlain } from 'node:http';
import { Agent as TlsAgent, request as sendOverTls } from 'node:https';
import type { Readable } from 'node:stream';
import { alice } from '../../demo/people.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A browser that uses one origin, and reaches the gateway or its load balancer at a port of loopback. */
export class Visitor implements Disposable {
  readonly #origin: URL;
  readonly #port: number;
  readonly #from: string;
  readonly #isTls: boolean;
  readonly #agent: Agent;
  readonly cookies = new Map<string, string>();
  /** The number of connections that were made. */
  connections = 0;

  /** `isTls`: whether the port takes TLS; as the origin says, if left out. */
  constructor(origin: string, port: number, from = '127.0.0.1', isTls = origin.startsWith('https:')) {
    this.#origin = new URL(origin);
    this.#port = port;
    this.#from = from;
    this.#isTls = isTls;
    this.#agent = isTls ? new TlsAgent({ keepAlive: true, rejectUnauthorized: false }) : new Agent({ keepAlive: true });
  }

  /** Sends one request. Rejects if the connection fails before the answer is complete. */
  async send(
    method: string,
    path: string,
    options: { headers?: Record<string, string>; body?: string | Readable } = {},
  ): Promise<Reply> {
    const { body } = options;
    const isText = typeof body === 'string';
    const request = (this.#isTls ? sendOverTls : sendPlain)({
      host: '127.0.0.1',
      port: this.#port,
      localAddress: this.#from,
      servername: this.#origin.hostname,
      agent: this.#agent,
      method,
      path,
      headers: {
        host: this.#origin.host,
        accept: 'text/html',
        'sec-fetch-site': 'same-origin',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        ...(this.cookies.size === 0 ? {} : { cookie: this.#cookieField() }),
        ...(method === 'GET' ? {} : { origin: this.#origin.origin }),
        ...(isText ? { 'content-length': String(Buffer.byteLength(body)) } : {}),
        ...options.headers,
      },
    });
    request.once('socket', (socket) => {
      if (!request.reusedSocket) this.connections += 1;
      socket.setNoDelay();
    });
    if (body === undefined || isText) request.end(body);
    else body.pipe(request);
    const [response]: IncomingMessage[] = await once(request, 'response');
    if (response === undefined) throw new Error('a response has a message');
    this.#keepCookies(response.headers['set-cookie'] ?? []);
    const text = Buffer.concat(await response.toArray()).toString();
    return { status: response.statusCode ?? 0, headers: response.headers, body: text };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send('GET', path, { headers });
  }

  /** Signs in a user, by default Alice. Resolves with the answer to the form. */
  async signIn(password: string = alice.password, user: string = alice.address): Promise<Reply> {
    const page = await this.get('/-/login');
    const token = /name="token" value="([^"]*)"/.exec(page.body)?.[1] ?? '';
    const form = new URLSearchParams({ token, user, password });
    return this.send('POST', '/-/login', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    });
  }

  /** The request as the webmail received it. */
  async arrived(headers: Record<string, string> = {}): Promise<Readonly<Record<string, string>>> {
    const { status, body } = await this.get('/arrived', headers);
    if (status !== 200) throw new Error(`expected the webmail, got ${status}: ${body}`);
    return JSON.parse(body).headers;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #cookieField(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #keepCookies(lines: readonly string[]): void {
    for (const line of lines) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
}
