import type { DirectorySource } from '../core/directory.ts';
import type { StaffGrant } from '../core/identity.ts';
import type { BackendName, CanonicalUser, LoginNameParser } from '../core/names.ts';
import type { MasterEntry } from '../core/webmail.ts';
import type { StaffChecks } from './roles.ts';

/**
 * Why a mailbox is not opened. `not-support`: the staff member has no such role; `domain`: it does not cover the user;
 * `oneself`, `staff`, `never-opened`: nobody may; `unknown-user`: there is none; `suspended`: the directory refuses the
 * user, `detail` says why; `no-entry`: the webmail cannot be entered without the password, `detail` says what is in the
 * way.
 */
export type PermissionRefusal =
  | { readonly why: 'not-support' | 'domain' | 'oneself' | 'staff' | 'never-opened' | 'unknown-user' }
  | { readonly why: 'suspended' | 'no-entry'; readonly detail: string };

/**
 * Whether one may open the mailbox. `note`: it is opened as the second best, and this is what staff must know of it.
 */
export type Permission =
  | {
      readonly kind: 'allowed';
      readonly subject: CanonicalUser;
      readonly backend: BackendName;
      readonly note?: string;
    }
  | ({ readonly kind: 'refused' } & PermissionRefusal);

/** Dependencies of createPermission. */
interface PermissionDeps {
  readonly parseName: LoginNameParser;
  readonly directory: Pick<DirectorySource, 'lookup'>;
  readonly staffChecks: Pick<StaffChecks, 'grantOf'>;
  readonly neverOpened: ReadonlySet<string>;
  /** The account that a backend's webmail opens without a password; undefined for one that is not configured. */
  readonly masterEntryOf: (backend: BackendName) => MasterEntry | undefined;
}

/** A member of staff, with the present roles. */
type StaffAsker = StaffGrant & { readonly user: CanonicalUser };

/**
 * Says whether a member of staff may open a user's mailbox, as things are now: asked when the page is shown, when the
 * mailbox is asked for, and when it is opened. Rejects when the directory could not be asked.
 */
export type AskPermission = (staff: StaffAsker, typed: string, signal: AbortSignal) => Promise<Permission>;

/** Makes the check whether a member of staff may open a user's mailbox. */
export function createPermission(deps: PermissionDeps): AskPermission {
  return async (staff, typed, signal) => {
    if (!staff.roles.includes('support')) return permissionRefused('not-support');
    const parsed = deps.parseName(typed);
    if (parsed.kind === 'malformed') return permissionRefused('unknown-user');
    const found = await deps.directory.lookup(parsed.name, signal);
    // What the directory says of users of other domains is not this member's to see.
    if (!covers(staff, found.kind === 'found' ? found.user : parsed.name)) return permissionRefused('domain');
    // Who is referred is found with the own password only.
    if (found.kind === 'unknown-user' || found.kind === 'referred') return permissionRefused('unknown-user');
    if (found.kind === 'refused') return { kind: 'refused', why: 'suspended', detail: found.reason };
    const { user: subject, backend } = found;
    if (subject === staff.user) return permissionRefused('oneself');
    if ((await deps.staffChecks.grantOf(subject, signal)) !== undefined) return permissionRefused('staff');
    if (deps.neverOpened.has(subject)) return permissionRefused('never-opened');
    const entry = deps.masterEntryOf(backend);
    if (entry === undefined) return permissionRefused('unknown-user');
    if (entry.kind === 'impossible') return { kind: 'refused', why: 'no-entry', detail: entry.why };
    const allowed = { kind: 'allowed', subject, backend } as const;
    return entry.kind === 'other-account' ? { ...allowed, note: entry.why } : allowed;
  };
}

/** Whether the role of a member of staff covers this user. */
export function covers({ domains }: StaffGrant, user: string): boolean {
  return domains === undefined || domains.includes(user.slice(user.lastIndexOf('@') + 1));
}

function permissionRefused(why: Exclude<PermissionRefusal['why'], 'suspended' | 'no-entry'>): Permission {
  return { kind: 'refused', why };
}
