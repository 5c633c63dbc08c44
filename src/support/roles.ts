import { type Clock, isRecent } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { rolesWithoutLimit, type StaffGrant, staffRoles } from '../core/identity.ts';
import { type CanonicalUser, domainOfUsers, type LoginNameRules, type RecordKey } from '../core/names.ts';
import type { StaffSessions } from './staff-sessions.ts';

/** The current configuration of staff. */
export interface StaffSettings {
  readonly staff: ReadonlyMap<string, StaffGrant>;
  readonly rolesFromDirectory: boolean;
}

/** Dependencies of createRoleOf. */
interface RolesDeps {
  /** The current settings; undefined if there is no staff. */
  readonly settings: () => StaffSettings | undefined;
  /** The current rules, which resolve aliases of domains. */
  readonly nameRules: () => LoginNameRules;
  /** The directory's answer now, past its caches. Rejects if the directory could not be asked. */
  readonly lookupFresh: (user: CanonicalUser, signal: AbortSignal) => Promise<HomeLookup>;
}

/**
 * Looks up the present roles of a member of staff; undefined for a user who is not staff. The configuration decides for
 * the users that it names. For others the directory is asked each time, if it may grant roles. Rejects if it could not
 * be asked: an outage neither grants nor withdraws a role.
 */
export type RoleOf = (user: CanonicalUser, signal: AbortSignal) => Promise<StaffGrant | undefined>;

const roleCacheMs = 60_000;

/** Creates the lookup of a user's staff roles. */
export function createRoleOf({ settings, nameRules, lookupFresh }: RolesDeps): RoleOf {
  return async (user, signal) => {
    const now = settings();
    const configured = now?.staff.get(user);
    if (now === undefined || configured !== undefined || !now.rolesFromDirectory) return configured;
    const found = await lookupFresh(user, signal);
    // The directory may resolve an alias to another user, whose role must not count for this one.
    return found.kind === 'found' && found.user === user ? grantIn(found.role, nameRules()) : undefined;
  };
}

/**
 * Creates a lookup that caches the directory's answer for a minute, for checks that repeat while a role is used. Roles
 * of the configuration and failed lookups are not cached.
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
 * Parses a grant of the directory: a role, and the domains to which `support` is limited, such as `support example.org`.
 * An alias of a domain means that domain. Undefined for a text that is not wholly understood, or that limits a role that
 * has no limit: a limit that does not hold must not become no limit.
 */
export function grantIn(text: string | undefined, rules: LoginNameRules): StaffGrant | undefined {
  const [name, ...listed] = (text ?? '').trim().split(/[\s,]+/);
  const role = staffRoles.find((one) => one === name?.toLowerCase());
  if (role === undefined) return undefined;
  const domains = listed.flatMap((domain) => domainOfUsers(domain, rules) ?? []);
  if (domains.length < listed.length) return undefined;
  if (domains.length === 0) return { roles: [role] };
  return rolesWithoutLimit([role]).length === 0 ? { roles: [role], domains } : undefined;
}

/** A member of staff at the console, signed in with the second factor at the time of the request. */
export interface StaffMember extends StaffGrant {
  readonly user: CanonicalUser;
  readonly session: RecordKey;
  /** The address of the browser. */
  readonly address: string;
  /** The time of the last second factor; milliseconds since the epoch. */
  readonly provenAtMs: number;
}

/** The checks on staff at every step. */
export interface StaffChecks {
  /** The user's present roles; undefined for a user who is not staff. Rejects if the directory could not be asked. */
  grantOf(user: CanonicalUser, signal: AbortSignal): Promise<StaffGrant | undefined>;
  /** Whether this staff session lives, with its second factor shown. Rejects if the store could not be asked. */
  isSignedIn(session: RecordKey): Promise<boolean>;
  /** Notes use of the staff session, so that it does not become idle. */
  keepAlive(session: RecordKey): void;
}

/** Creates the checks on staff: the role by `roleOf`, and the session. */
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
