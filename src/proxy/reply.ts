import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Answer } from '../core/http.ts';

/** How long a client may keep sending an unwanted body, so that it sees the answer instead of a reset. */
const lingerMs = 5000;

/** Sends an answer of the gateway's own, with further fields. The answer to HEAD has no body. */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  more: readonly (readonly [name: string, value: string])[] = [],
): void {
  if (response.headersSent || response.destroyed) return;
  // A client that got no 100 may send its body or not, so what follows could be read in two ways (RFC 9110, 10.1.1).
  if (!request.complete && request.headers.expect !== undefined) response.shouldKeepAlive = false;
  const body = Buffer.from(answer.body);
  const fields: string[] = [];
  for (const [name, value] of answer.headers) fields.push(name, value);
  for (const [name, value] of more) fields.push(name, value);
  if (answer.status !== 204) fields.push('Content-Length', String(body.length));
  response.writeHead(answer.status, fields);
  response.end(request.method === 'HEAD' ? undefined : body);
  discardBody(request);
}

/** Discards the rest of a request's body, for a few seconds at most. */
export function discardBody(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  const timer = setTimeout(() => request.socket.destroy(), lingerMs);
  timer.unref();
  request.once('close', () => clearTimeout(timer));
  request.once('end', () => clearTimeout(timer));
  request.resume();
}

/** A short plain-text answer, which caches must not store. */
export function textAnswer(status: number, text: string): Answer {
  return {
    status,
    headers: [
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
    ],
    body: `${text}\n`,
  };
}

/**
 * Redirects the browser on our own origin. `location` is absolute: a target such as `//host/` would leave the origin.
 */
export function redirectAnswer(status: 303 | 308, location: string): Answer {
  return {
    status,
    headers: [
      ['Location', location],
      ['Cache-Control', 'no-store'],
    ],
    body: '',
  };
}

/** Answers on a bare socket without a response object, and closes it. `fields`: names and values in turn. */
export function sendRawAnswer(socket: Duplex, status: number, text: string, fields: readonly string[] = []): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const body = Buffer.from(`${text}\n`);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    'Cache-Control: no-store',
    `Content-Length: ${body.length}`,
  ];
  for (let i = 0; i + 1 < fields.length; i += 2) lines.push(`${fields[i] ?? ''}: ${fields[i + 1] ?? ''}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.end(body);
  endWithin(socket, 2000);
}

/** Destroys a socket that the other side does not close within `ms` after we ended it. */
export function endWithin(socket: Duplex, ms: number): void {
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), ms);
  socket.once('close', () => clearTimeout(timer));
}
