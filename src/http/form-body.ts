import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';

const maxBytes = 8 * 1024;

/**
 * Reads a plain form of at most 8 KiB into `request.body`; anything else is refused at once, with a status.
 *
 * Not body-parser: it reads a body to its end before it refuses it. And not `querystring`: it leaves bytes that are no
 * UTF-8 percent-encoded, so that another password than was typed would be tried; URLSearchParams shows them as U+FFFD,
 * which no name and no password may hold.
 */
export function createFormBody(): RequestHandler {
  return async (request, _response, next) => {
    // `is`: false means another type, null no body at all.
    const type = request.is('application/x-www-form-urlencoded');
    if (type === false || request.headers['content-encoding'] !== undefined) throw refusal(415, 'the body is no form');
    // A server that optimises empty requests gives those no end to wait for.
    const bytes = type === null ? Buffer.alloc(0) : await readBody(request);
    request.body = new URLSearchParams(bytes.toString('utf8'));
    next();
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw refusal(413, 'the form is too long');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= maxBytes) return;
      request.removeAllListeners('data').pause();
      reject(refusal(413, 'the form is too long'));
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => reject(refusal(400, 'the form ended early')));
  });
}

function refusal(status: 400 | 413 | 415, message: string): Error {
  return Object.assign(new Error(message), { status });
}

/** The one value of a field, or nothing when the form has none or several. */
export function formField(body: unknown, name: string): string | undefined {
  return body instanceof URLSearchParams ? onlyValue(body, name) : undefined;
}

/** The one value of a query parameter, or nothing when there is none or several. */
export function queryParameter(url: string, name: string): string | undefined {
  return onlyValue(queryOf(url), name);
}

/** The query of a request target. */
export function queryOf(url: string): URLSearchParams {
  const start = url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : url.slice(start));
}

function onlyValue(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  return values.length === 1 ? values[0] : undefined;
}
