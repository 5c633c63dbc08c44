import type { Dispatcher } from 'undici';
import type { IncomingHead } from './request-head.ts';
import type { Upload } from './upload.ts';

interface UpstreamParts {
  /** In the place of the one that the client asked for. */
  readonly target?: string;
  /** Names and values in turn, rebuilt. */
  readonly headers: string[];
  readonly body: Upload | undefined;
  /** How long the backend may take to begin its answer, and between any two parts of it. */
  readonly firstByteMs: number;
}

/** A request as undici sends it: the target byte for byte (but for a token of the webmail's), a rebuilt head, and how long it may take. */
export function upstreamRequest(
  head: IncomingHead,
  { target = head.target, headers, body, firstByteMs }: UpstreamParts,
): Dispatcher.DispatchOptions {
  // Event streams may be silent for as long as they like.
  const patient = head.header('accept')?.includes('text/event-stream') === true;
  const patienceMs = patient ? 0 : firstByteMs;
  const options = {
    path: target,
    method: head.method,
    headers,
    body: body ?? null,
    headersTimeout: patienceMs,
    bodyTimeout: patienceMs,
    // Else undici takes it from the Host field, and connects anew whenever another public name is asked.
    servername: 'backend',
  };
  return options;
}
