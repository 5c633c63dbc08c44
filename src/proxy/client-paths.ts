import type { Backend, ClientPath } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';

/** The paths under which clients give name and password with each request. */
export interface ClientPaths {
  /** Whether the target lies under one of any backend: whose it is, only the credentials tell. */
  covers(target: string): boolean;
  /** The one that serves the target on this backend; nothing when it has none there. */
  of(backend: Backend, target: string): ClientPath | undefined;
}

/** A dot segment, or what some server takes for one, could lead out of the path that the operator opened. */
const dotSegment = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?=[/\\;]|%2f|%5c|$)/i;

export function createClientPaths(backends: Iterable<Backend>): ClientPaths {
  const prefixes = new Set<string>();
  for (const { clientPaths = [] } of backends) for (const { prefix } of clientPaths) prefixes.add(prefix);

  return {
    covers(target) {
      if (prefixes.size === 0) return false;
      const path = pathOf(target);
      for (const prefix of prefixes) {
        if (liesUnder(path, prefix)) return !dotSegment.test(path);
      }
      return false;
    },
    of({ clientPaths = [] }, target) {
      const path = pathOf(target);
      let longest: ClientPath | undefined;
      for (const one of clientPaths) {
        if (liesUnder(path, one.prefix) && one.prefix.length > (longest?.prefix.length ?? 0)) longest = one;
      }
      return longest;
    },
  };
}

function liesUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/');
}
