import type { IncomingMessage } from 'node:http';
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
