import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Ingress } from '../core/http.ts';

const known = new WeakMap<IncomingMessage, Ingress>();

/** Tells the pages where a request came in. Express would work that out anew from headers that a client can send. */
export function setIngress(request: IncomingMessage, ingress: Ingress): void {
  known.set(request, ingress);
}

/** Throws a TypeError for a request that {@link setIngress} never saw: a fault of the caller. */
export function ingressOf(request: IncomingMessage): Ingress {
  const ingress = known.get(request);
  if (ingress === undefined) throw new TypeError('a request reached the pages without its ingress');
  return ingress;
}

/** Aborted when the client leaves before it has its answer. */
export function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** Crockford's alphabet: what is read out on the telephone comes back as the same characters. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new reference id such as `7K3F-9QXM`: 40 bits, shown to the user and written to the log. */
export function newReference(randomBytes: (size: number) => Uint8Array): string {
  let reference = '';
  for (const byte of randomBytes(8)) {
    if (reference.length === 4) reference += '-';
    reference += alphabet.charAt(byte & 31);
  }
  return reference;
}
