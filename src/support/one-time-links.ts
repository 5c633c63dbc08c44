import { createHash, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { parseJson } from '../core/json.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { RecordKey } from '../core/session.ts';
import type { ReplicatedTable } from '../core/state-store.ts';

/** A link as the store holds it: under a hash of its token, with what only a server key can have vouched for. */
export interface StoredLink {
  /** What the link opens, as JSON. */
  readonly opening: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
  readonly mac: string;
}

interface LinksDeps {
  readonly table: Pick<ReplicatedTable<StoredLink>, 'all' | 'set' | 'take'>;
  /** Keys that all nodes share: the first vouches, all verify. */
  readonly keys: () => readonly KeyObject[];
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * Links that open a mailbox once, within a minute, on whatever node. Each call rejects when the store cannot be asked.
 */
export interface OneTimeLinks {
  /** The token of a new link: its first use grants `opening`. */
  issue(opening: ImpersonationGrant): Promise<string>;
  /** Redeems a token for one caller; undefined if it was used, is over a minute old, or is not genuine. */
  use(token: string): Promise<ImpersonationGrant | undefined>;
  /** Removes links that nobody used in time. */
  sweep(): Promise<void>;
}

const lifetimeMs = 60_000;
/** So much the clocks of two nodes may differ. A link from further ahead is one of before a clock was set back. */
const skewMs = 60_000;
const tokenText = /^[\w-]{43}$/;

/**
 * Keeps links in the state that all nodes share. Neither the store nor a link opens anything alone: an entry is found
 * only with the token, and counts only with the MAC of a server key.
 */
export function createOneTimeLinks({ table, keys, clock, randomBytes }: LinksDeps): OneTimeLinks {
  function isInTime({ expiresAtMs }: StoredLink): boolean {
    const leftMs = expiresAtMs - clock.nowMs();
    return leftMs >= 0 && leftMs <= lifetimeMs + skewMs;
  }

  return {
    async issue(opening) {
      const [key] = keys();
      if (key === undefined) throw new TypeError('there is no key to vouch for links with');
      const token = Buffer.from(randomBytes(32)).toString('base64url');
      const link = { opening: JSON.stringify(opening), expiresAtMs: clock.nowMs() + lifetimeMs };
      await table.set(linkName(token), { ...link, mac: linkMac(key, token, link).toString('base64url') });
      return token;
    },

    async use(token) {
      if (!tokenText.test(token)) return undefined;
      const link = await table.take(linkName(token));
      if (link === undefined || !isInTime(link)) return undefined;
      const mac = Buffer.from(link.mac, 'base64url');
      const isGenuine = keys().some((key) => isSame(linkMac(key, token, link), mac));
      const opening = isGenuine ? parseJson(link.opening) : undefined;
      return isImpersonationGrant(opening) ? opening : undefined;
    },

    async sweep() {
      const old = [...table.all()].filter(([, link]) => !isInTime(link));
      for (const [name] of old) await table.take(name);
    },
  };
}

/** Reads an entry of the table. */
export function parseLink(text: string): StoredLink | undefined {
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const { opening, expiresAtMs, mac }: Partial<Record<keyof StoredLink, unknown>> = value;
  return typeof opening === 'string' && typeof expiresAtMs === 'number' && typeof mac === 'string'
    ? { opening, expiresAtMs, mac }
    : undefined;
}

function linkName(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function linkMac(key: KeyObject, token: string, { opening, expiresAtMs }: Omit<StoredLink, 'mac'>): Buffer {
  return createHmac('sha256', key)
    .update(JSON.stringify(['assist link', token, opening, expiresAtMs]))
    .digest();
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** For how many minutes a mailbox may be opened. */
export const impersonationMinutes = [5, 15, 30, 60] as const;
type ImpersonationMinutes = (typeof impersonationMinutes)[number];

/** A granted request of a member of staff: whose mailbox, why, for how long. */
export interface ImpersonationGrant {
  readonly actor: CanonicalUser;
  /** The staff member's own session: what is opened ends with it. */
  readonly staffSession: RecordKey;
  readonly subject: CanonicalUser;
  readonly reason: string;
  /** Empty where there is none. */
  readonly ticket: string;
  readonly minutes: ImpersonationMinutes;
}

/** Whether a value that was stored is an opening. */
function isImpersonationGrant(value: unknown): value is ImpersonationGrant {
  if (typeof value !== 'object' || value === null) return false;
  const { actor, staffSession, subject, reason, ticket, minutes }: Partial<Record<keyof ImpersonationGrant, unknown>> =
    value;
  return (
    [actor, staffSession, subject, reason, ticket].every((text) => typeof text === 'string') &&
    impersonationMinutes.some((known) => known === minutes)
  );
}
