import { Agent as HttpAgent, type IncomingMessage, request as requestHttp, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { explainFailure } from '../../core/connection-failure.ts';
import { defined } from '../../core/objects.ts';
import { badAnswer, couldNotAsk } from '../source.ts';

/** One HTTP request to a source. */
export interface HttpQuestion {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A source's HTTP answer. */
export interface HttpReply {
  readonly status: number;
  /** The only field of this name (given in lower case); throws {@link badAnswer} if there are two. */
  header(name: string): string | undefined;
  readonly body: string;
}

/** A client for the requests of one source. */
interface HttpClient extends AsyncDisposable {
  /** Rejects with {@link couldNotAsk} if no answer comes, with {@link badAnswer} if it is larger than 64 KiB. */
  send(question: HttpQuestion, signal: AbortSignal): Promise<HttpReply>;
}

const maxReplyBodyBytes = 64 * 1024;

/**
 * Asks a server of the directory over HTTP: kept connections, no redirects, no cookies. Node's own client is enough
 * here; `undici` is for the data plane.
 */
export function createHttpClient(options: { readonly label: string; readonly ca: string | undefined }): HttpClient {
  const limits = { keepAlive: true, maxSockets: 16 };
  const plain = new HttpAgent(limits);
  const secure = new HttpsAgent({ ...limits, ...defined({ ca: options.ca }) });

  function open(question: HttpQuestion, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const { method, headers, body } = question;
    const settings: RequestOptions = { method, headers, signal };
    const request = question.url.startsWith('https:')
      ? requestHttps(question.url, { ...settings, agent: secure }, resolve)
      : requestHttp(question.url, { ...settings, agent: plain }, resolve);
    request.on('error', reject).end(body);
    return promise;
  }

  return {
    async send(question, signal) {
      try {
        const response = await open(question, signal);
        const body = await readReplyBody(response);
        if (body === undefined) throw badAnswer(`${options.label} answered with more than ${maxReplyBodyBytes} bytes`);
        return {
          status: response.statusCode ?? 0,
          header: (name) => {
            const values = response.headersDistinct[name] ?? [];
            if (values.length > 1) throw badAnswer(`${options.label} answered with more than one field ${name}`);
            return values[0];
          },
          body,
        };
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Error) || !('code' in error) || error.code === 'ERR_DIRECTORY_ANSWER') throw error;
        throw couldNotAsk(`${options.label} did not answer: ${explainFailure(error)}`, error);
      }
    },
    async [Symbol.asyncDispose]() {
      plain.destroy();
      secure.destroy();
    },
  };
}

/** The whole body as UTF-8; undefined if it is too large. */
async function readReplyBody(response: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a body comes in buffers');
    size += chunk.length;
    if (size > maxReplyBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
