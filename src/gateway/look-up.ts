import type { HomeLookup } from '../core/directory.ts';
import type { CanonicalUser, LoginName } from '../core/names.ts';
import type { Site } from './site.ts';

const never = new AbortController().signal;

/** Where a user lives, overrides and caches counted. Rejects when that could not be asked in time. */
export function lookUpHome({ homes }: Site, user: CanonicalUser, signal = never): Promise<HomeLookup> {
  return homes.lookup(asLoginName(user), signal);
}

/** What the directory says of a user now, past all that is remembered. Rejects when that could not be asked in time. */
export function lookUpFresh({ directory }: Site, user: CanonicalUser, signal = never): Promise<HomeLookup> {
  return directory.lookupFresh(asLoginName(user), signal);
}

/** A canonical user is a login name, too. */
function asLoginName(user: CanonicalUser): LoginName;
function asLoginName(user: string): string {
  return user;
}
