/** What `/-/ready` says: `degraded` names what is missing while the node still serves. */
export interface Readiness {
  readonly ready: boolean;
  readonly degraded: readonly string[];
}

/**
 * Status and text of `/-/ready`, the same on both listeners. A missing store degrades a node and does not take it out:
 * a 503 of all nodes at once would turn its outage into a full one.
 */
export function readinessAnswer(readiness: Readiness): { readonly status: number; readonly text: string } {
  if (!readiness.ready) return { status: 503, text: 'not ready\n' };
  if (readiness.degraded.length > 0) return { status: 200, text: `degraded: ${readiness.degraded.join(', ')}\n` };
  return { status: 200, text: 'ready\n' };
}
