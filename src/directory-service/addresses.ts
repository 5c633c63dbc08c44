import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';

/** Dependencies of the cache of resolved addresses. */
interface AddressesDeps {
  /** Resolves a name to one address; rejects when it cannot. */
  readonly resolve: (hostname: string) => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Resolves host names, because proxies such as nginx take addresses only. */
export interface Addresses {
  /** Rejects with ERR_DIRECTORY_UNAVAILABLE when a name cannot be resolved and never could. */
  of(hostname: string): Promise<string>;
}

interface ResolvedAddress {
  readonly address: string;
  readonly atMs: number;
}

const freshMs = 30_000;
/** Up to this age an old address is returned while it is resolved again; later the caller waits. */
const patientMs = 300_000;

/** Resolves a name as the system does. */
export async function resolveByTheSystem(hostname: string): Promise<string> {
  return (await lookup(hostname)).address;
}

/**
 * Remembers what names resolve to, and asks again every half a minute; while the resolver is away the last address
 * stands.
 */
export function createAddresses({ resolve, clock, log }: AddressesDeps): Addresses {
  const known = new Map<string, ResolvedAddress>();
  const asking = new Map<string, Promise<string>>();

  function ask(hostname: string): Promise<string> {
    const running = asking.get(hostname) ?? askAnew(hostname).finally(() => asking.delete(hostname));
    asking.set(hostname, running);
    return running;
  }

  async function askAnew(hostname: string): Promise<string> {
    try {
      const address = await resolve(hostname);
      known.set(hostname, { address, atMs: clock.nowMs() });
      return address;
    } catch (cause) {
      const last = known.get(hostname)?.address;
      log.warn('mail-server-unresolved', { hostname, last, err: cause });
      if (last !== undefined) return last;
      const message = `${hostname} cannot be resolved: does it exist in the DNS?`;
      throw new PosternError('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true, cause });
    }
  }

  return {
    async of(hostname) {
      if (isIP(hostname) !== 0) return hostname;
      const entry = known.get(hostname);
      const ageMs = entry === undefined ? Number.POSITIVE_INFINITY : Math.abs(clock.nowMs() - entry.atMs);
      if (entry === undefined || ageMs >= patientMs) return ask(hostname);
      // With a known address `ask` never rejects.
      if (ageMs >= freshMs) void ask(hostname);
      return entry.address;
    },
  };
}
