import { createHash, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { CanonicalUser, RecordKey } from '../core/names.ts';
import { isObject, parseJson } from '../core/objects.ts';
import type { ReplicatedTable } from '../core/state-store.ts';

/** A link in the store, keyed by a hash of its token and authenticated by a server key. */
export interface StoredLink {
  /** The grant of the link, as JSON. */
  readonly opening: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
  readonly mac: string;
}

interface LinksDeps {
  readonly table: Pick<ReplicatedTable<StoredLink>, 'all' | 'set' | 'take'>;
  /** The keys that all nodes share: the first one signs, and all verify. */
  readonly keys: () => readonly KeyObject[];
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** What a link to the console opens: a session of an operator, under one console address. */
interface ConsoleLinkGrant {
  /** Who made it, such as `root (socket)`. */
  readonly by: string;
  /** The origin of the console for which it was made. */
  readonly consoleOrigin: string;
}

/** Links that open the console once within two minutes, on any node. Each call rejects if the store cannot be asked. */
export interface ConsoleLinks {
  /** The token of a new link, and until when it can be used. */
  issue(grant: ConsoleLinkGrant): Promise<{ readonly token: string; readonly untilMs: number }>;
  /** Redeems a token for one caller at this console; undefined if it was used, is too old, or is not genuine. */
  use(token: string, consoleOrigin: string): Promise<ConsoleLinkGrant | undefined>;
}

/** Links that open a mailbox once within a minute, on any node. Each call rejects if the store cannot be asked. */
export interface OneTimeLinks {
  /** The token of a new link. Its first use returns the grant. */
  issue(grant: ImpersonationGrant): Promise<string>;
  /** Redeems a token for one caller; undefined if it was used, is over a minute old, or is not genuine. */
  use(token: string): Promise<ImpersonationGrant | undefined>;
  /** Removes expired links. */
  sweep(): Promise<void>;
}

const lifetimeMs = 60_000;
const consoleLifetimeMs = 2 * 60_000;
/** How much the clocks of two nodes may differ. A later expiry comes from before a clock was set back. */
const skewMs = 60_000;
const tokenText = /^[\w-]{43}$/;

/**
 * Creates the links, which are kept in the state that all nodes share. Neither the store nor a token opens anything
 * alone: an entry is found by the token only, and is valid only with the MAC of a server key.
 */
export function createOneTimeLinks(deps: LinksDeps): OneTimeLinks {
  return {
    async issue(grant) {
      return (await storeLink(deps, 'assist link', grant, lifetimeMs)).token;
    },

    async use(token) {
      const grant = await takeLink(deps, 'assist link', token, lifetimeMs);
      return isImpersonationGrant(grant) ? grant : undefined;
    },

    async sweep() {
      const old = [...deps.table.all()].filter(([, link]) => !isInTime(deps, link, consoleLifetimeMs));
      for (const [name] of old) await deps.table.take(name);
    },
  };
}

/** Creates the links to the console, which lie in the same table. */
export function createConsoleLinks(deps: LinksDeps): ConsoleLinks {
  return {
    issue: (grant) => storeLink(deps, 'console link', grant, consoleLifetimeMs),

    async use(token, consoleOrigin) {
      const grant = await takeLink(deps, 'console link', token, consoleLifetimeMs);
      return isConsoleLinkGrant(grant) && grant.consoleOrigin === consoleOrigin ? grant : undefined;
    },
  };
}

/** What a link is for. One of another kind is not genuine. */
type LinkKind = 'assist link' | 'console link';

async function storeLink(
  { table, keys, clock, randomBytes }: LinksDeps,
  kind: LinkKind,
  grant: object,
  lastsMs: number,
) {
  const [key] = keys();
  if (key === undefined) throw new TypeError('there is no key to vouch for links with');
  const token = Buffer.from(randomBytes(32)).toString('base64url');
  const untilMs = clock.nowMs() + lastsMs;
  const link = { opening: JSON.stringify(grant), expiresAtMs: untilMs };
  await table.set(linkName(token), { ...link, mac: linkMac(key, kind, token, link).toString('base64url') });
  return { token, untilMs };
}

/** Takes a link from the table. Resolves with its grant; undefined if it is not good. */
async function takeLink(deps: LinksDeps, kind: LinkKind, token: string, lastsMs: number): Promise<unknown> {
  if (!tokenText.test(token)) return undefined;
  const link = await deps.table.take(linkName(token));
  if (link === undefined || !isInTime(deps, link, lastsMs)) return undefined;
  const mac = Buffer.from(link.mac, 'base64url');
  const isGenuine = deps.keys().some((key) => isSame(linkMac(key, kind, token, link), mac));
  return isGenuine ? parseJson(link.opening) : undefined;
}

function isInTime({ clock }: Pick<LinksDeps, 'clock'>, { expiresAtMs }: StoredLink, lastsMs: number): boolean {
  const leftMs = expiresAtMs - clock.nowMs();
  return leftMs >= 0 && leftMs <= lastsMs + skewMs;
}

function isConsoleLinkGrant(value: unknown): value is ConsoleLinkGrant {
  return isObject(value) && typeof value['by'] === 'string' && typeof value['consoleOrigin'] === 'string';
}

/** Parses an entry of the table; undefined for another form. */
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

function linkMac(
  key: KeyObject,
  kind: LinkKind,
  token: string,
  { opening, expiresAtMs }: Omit<StoredLink, 'mac'>,
): Buffer {
  return createHmac('sha256', key)
    .update(JSON.stringify([kind, token, opening, expiresAtMs]))
    .digest();
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The durations in minutes for which a mailbox may be opened. */
export const impersonationMinutes = [5, 15, 30, 60] as const;
type ImpersonationMinutes = (typeof impersonationMinutes)[number];

/** A granted request of a member of staff to open a user's mailbox. */
export interface ImpersonationGrant {
  readonly actor: CanonicalUser;
  /** The staff member's own session, with whose end the opened mailbox is closed. */
  readonly staffSession: RecordKey;
  readonly subject: CanonicalUser;
  readonly reason: string;
  /** Empty if there is none. */
  readonly ticket: string;
  readonly minutes: ImpersonationMinutes;
}

/** Whether a stored value is a grant. */
function isImpersonationGrant(value: unknown): value is ImpersonationGrant {
  if (typeof value !== 'object' || value === null) return false;
  const { actor, staffSession, subject, reason, ticket, minutes }: Partial<Record<keyof ImpersonationGrant, unknown>> =
    value;
  return (
    [actor, staffSession, subject, reason, ticket].every((text) => typeof text === 'string') &&
    impersonationMinutes.some((known) => known === minutes)
  );
}
