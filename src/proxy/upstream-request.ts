import type { Dispatcher } from 'undici';
import { driverFieldsOf, type Passage } from './passage.ts';
import type { RequestHeaders } from './request-headers.ts';
import type { Upload } from './upload.ts';

/** The request as undici sends it: the target byte for byte, a rebuilt head, and how long it may take. */
export function upstreamRequest(
  passage: Passage,
  requestHeaders: RequestHeaders,
  body: Upload | undefined,
  nowMs: number,
): Dispatcher.DispatchOptions {
  const { head, ingress, session, cookieRest, backend, driver } = passage;
  const driverFields = driverFieldsOf(driver, passage);
  // Event streams may be silent for as long as they like.
  const patient = head.header('accept')?.includes('text/event-stream') === true;
  const patienceMs = patient ? 0 : backend.limits.webmailFirstByteMs;
  const options = {
    path: head.target,
    method: head.method,
    headers: requestHeaders(head, { ingress, jar: session.jar, cookieRest, driverFields, nowMs }),
    body: body ?? null,
    headersTimeout: patienceMs,
    bodyTimeout: patienceMs,
    // Else undici takes it from the Host field, and connects anew whenever another public name is asked.
    servername: 'backend',
  };
  return options;
}
