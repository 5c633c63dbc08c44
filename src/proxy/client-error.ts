import type { Duplex } from 'node:stream';
import { rawReply } from './raw-reply.ts';
import { endBehind, type Turn } from './turns.ts';

/**
 * Answers bytes that are no HTTP, once the answers that the connection still owes are out, and closes it. An answer to
 * broken bytes must never be taken for the answer to the request before them.
 */
export function answerClientError(error: Error, socket: Duplex, last: Turn | undefined): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  if (last === undefined || last.response.writableFinished) {
    const { status, text } = statusOf(error);
    rawReply(socket, status, text);
    return;
  }
  const { request, response } = last;
  if (request.complete) {
    // Garbage behind a good request, which still gets its answer.
    endBehind(response, socket);
    return;
  }
  // Its own body is broken. Without a socket the response still waits behind an earlier one.
  if (response.headersSent || response.socket === null) {
    socket.destroy();
    return;
  }
  const { status, text } = statusOf(error);
  rawReply(socket, status, text);
}

function statusOf(error: Error): { readonly status: 400 | 408 | 413 | 431; readonly text: string } {
  switch ('code' in error ? error.code : undefined) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, text: 'The header fields are too large.' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, text: 'The chunk extensions are too large.' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, text: 'The request did not arrive in time.' };
    default:
      return { status: 400, text: 'This is not HTTP.' };
  }
}
