import type { DirectorySource } from '../core/directory.ts';
import type { StaffGrant } from '../core/identity.ts';
import type { BackendName, CanonicalUser, LoginNameParser } from '../core/names.ts';
import type { MasterEntry } from '../core/webmail.ts';
import type { StaffChecks } from './roles.ts';

/**
 * The reason for a refusal. `not-support`: the staff member lacks this role; `domain`: the role does not cover the
 * user; `oneself`, `staff`, `never-opened`: nobody may open this mailbox; `unknown-user`: there is no such user;
 * `suspended`: the directory refuses the user, with its reason in `detail`; `no-entry`: the webmail cannot be entered
 * without the password, with the cause in `detail`.
 */
export type PermissionRefusal =
  | { readonly why: 'not-support' | 'domain' | 'oneself' | 'staff' | 'never-opened' | 'unknown-user' }
  | { readonly why: 'suspended' | 'no-entry'; readonly detail: string };

/** Whether a staff member may open the mailbox. `note`: it is opened as another account, which staff must know. */
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

/** A member of staff with the present roles. */
type StaffAsker = StaffGrant & { readonly user: CanonicalUser };

/**
 * Says whether a member of staff may open a user's mailbox now. It is called when the page is shown, when the mailbox
 * is requested, and when it is opened. Rejects if the directory could not be asked.
 */
export type AskPermission = (staff: StaffAsker, typed: string, signal: AbortSignal) => Promise<Permission>;

/** Creates the check whether a member of staff may open a user's mailbox. */
export function createPermission(deps: PermissionDeps): AskPermission {
  return async (staff, typed, signal) => {
    if (!staff.roles.includes('support')) return permissionRefused('not-support');
    const parsed = deps.parseName(typed);
    if (parsed.kind === 'malformed') return permissionRefused('unknown-user');
    const found = await deps.directory.lookup(parsed.name, signal);
    // Staff must not learn whether users of domains outside their role exist.
    if (!covers(staff, found.kind === 'found' ? found.user : parsed.name)) return permissionRefused('domain');
    // A referred user can be found by the user's own password only.
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

/** Whether a grant covers this user's domain. */
export function covers({ domains }: StaffGrant, user: string): boolean {
  return domains === undefined || domains.includes(user.slice(user.lastIndexOf('@') + 1));
}

function permissionRefused(why: Exclude<PermissionRefusal['why'], 'suspended' | 'no-entry'>): Permission {
  return { kind: 'refused', why };
}
