import { type Clock, isRecent } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { type StaffGrant, staffRoles } from '../core/identity.ts';
import { type CanonicalUser, domainOfUsers, type LoginNameRules } from '../core/names.ts';
import type { RecordKey } from '../core/session.ts';
import type { StaffSessions } from './staff-sessions.ts';

/** The current configuration of staff. */
export interface StaffSettings {
  readonly staff: ReadonlyMap<string, StaffGrant>;
  readonly rolesFromDirectory: boolean;
}

/** Dependencies of createRoleOf. */
interface RolesDeps {
  /** The current settings; undefined if nobody is staff. */
  readonly settings: () => StaffSettings | undefined;
  /** The current rules: a domain may be an alias of the one under which users are known. */
  readonly nameRules: () => LoginNameRules;
  /** What the directory says now, past all that is remembered. Rejects when it could not ask. */
  readonly lookupFresh: (user: CanonicalUser, signal: AbortSignal) => Promise<HomeLookup>;
}

/**
 * Looks up the present roles of a member of staff; undefined for a user who is not staff. What the configuration says
 * of somebody counts; of others the directory is asked anew each time, where it may say so. Rejects when it could not
 * ask: that takes no role away, and gives none.
 */
export type RoleOf = (user: CanonicalUser, signal: AbortSignal) => Promise<StaffGrant | undefined>;

const roleCacheMs = 60_000;

/** Makes the lookup of a user's staff roles. */
export function createRoleOf({ settings, nameRules, lookupFresh }: RolesDeps): RoleOf {
  return async (user, signal) => {
    const now = settings();
    const configured = now?.staff.get(user);
    if (now === undefined || configured !== undefined || !now.rolesFromDirectory) return configured;
    const found = await lookupFresh(user, signal);
    // An alias of a member of staff is another name of the same person; another user is nobody we asked for.
    return found.kind === 'found' && found.user === user ? grantIn(found.role, nameRules()) : undefined;
  };
}

/**
 * Remembers what the directory said for a minute, for whoever asks again and again while a role is used. What the
 * configuration says is never remembered; what could not be asked is asked again.
 */
export function createRememberedRoleOf(deps: RolesDeps & { readonly clock: Clock }): RoleOf {
  const known = new Map<CanonicalUser, { readonly atMs: number; readonly grant: StaffGrant | undefined }>();
  const fresh = createRoleOf(deps);
  return async (user, signal) => {
    const nowMs = deps.clock.nowMs();
    if (deps.settings()?.staff.has(user) !== false || !deps.settings()?.rolesFromDirectory) return fresh(user, signal);
    const before = known.get(user);
    if (before !== undefined && isRecent(before.atMs, roleCacheMs, nowMs)) return before.grant;
    const grant = await fresh(user, signal);
    for (const [name, { atMs }] of known) if (!isRecent(atMs, roleCacheMs, nowMs)) known.delete(name);
    known.set(user, { atMs: nowMs, grant });
    return grant;
  };
}

/**
 * The grant in what a directory calls somebody: a role, and the domains to which it is limited: `support example.org`.
 * A text that is not wholly understood grants nothing: a limit that was misspelt must not be no limit. An alias of a
 * domain means that domain.
 */
export function grantIn(text: string | undefined, rules: LoginNameRules): StaffGrant | undefined {
  const [name, ...listed] = (text ?? '').trim().split(/[\s,]+/);
  const role = staffRoles.find((one) => one === name?.toLowerCase());
  if (role === undefined) return undefined;
  const domains = listed.flatMap((domain) => domainOfUsers(domain, rules) ?? []);
  if (domains.length < listed.length) return undefined;
  return domains.length === 0 ? { roles: [role] } : { roles: [role], domains };
}

/** A member of staff at the console: signed in, with the second factor, for this very request. */
export interface StaffMember extends StaffGrant {
  readonly user: CanonicalUser;
  readonly session: RecordKey;
  /** The address of the browser. */
  readonly address: string;
  /** When the second factor was last shown; milliseconds since the epoch. */
  readonly provenAtMs: number;
}

/** The checks on staff at every step. */
export interface StaffChecks {
  /** The user's present roles; undefined for a user who is not staff. Rejects when the directory could not be asked. */
  grantOf(user: CanonicalUser, signal: AbortSignal): Promise<StaffGrant | undefined>;
  /** Whether this session of a staff member still lives. Rejects when the store could not be asked. */
  isSignedIn(session: RecordKey): Promise<boolean>;
  /** Notes that the staff member is at work, so that the session does not grow idle. */
  keepAlive(session: RecordKey): void;
}

/** Makes the checks on staff: the role by `roleOf`, and the session. */
export function createStaffChecks(
  roleOf: RoleOf,
  sessions: Pick<StaffSessions, 'isSignedIn' | 'keepAlive'>,
): StaffChecks {
  return {
    grantOf: roleOf,
    isSignedIn: (session) => sessions.isSignedIn(session),
    keepAlive: (session) => sessions.keepAlive(session),
  };
}
