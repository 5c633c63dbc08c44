import { once } from 'node:events';
import { type IncomingHttpHeaders, IncomingMessage, request as sendRequest } from 'node:http';

export interface DavAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface DavAsk {
  readonly depth?: string;
  readonly type?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A calendar or address book program: it gives name and password with each request, and keeps no cookies. */
export class DavClient {
  readonly #origin: string;
  readonly #authorization: string | undefined;
  readonly #address: string;

  /** @param network the client's own /24, so that no penalty hits another client */
  constructor(origin: string, network: number, credentials?: { readonly user: string; readonly password: string }) {
    this.#origin = origin;
    this.#address = `10.77.${network}.7`;
    this.#authorization =
      credentials === undefined
        ? undefined
        : `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`;
  }

  async ask(
    method: string,
    target: string,
    { depth, type = 'application/xml', body, headers }: DavAsk = {},
  ): Promise<DavAnswer> {
    const bytes = Buffer.from(body ?? '');
    const request = sendRequest(this.#origin + target, {
      method,
      headers: {
        host: 'mail.example.test',
        'x-forwarded-proto': 'https',
        'x-forwarded-for': this.#address,
        'user-agent': 'DAV/1',
        ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
        ...(depth === undefined ? {} : { depth }),
        ...(body === undefined ? {} : { 'content-type': type, 'content-length': bytes.length }),
        ...headers,
      },
    });
    request.end(bytes);
    const [response]: unknown[] = await once(request, 'response');
    if (!(response instanceof IncomingMessage)) throw new TypeError('a request is answered by a message');
    const answer = Buffer.concat(await response.toArray()).toString();
    return { status: response.statusCode ?? 0, headers: response.headers, body: answer };
  }
}
