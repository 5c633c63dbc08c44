import type { StaffGrant } from '../core/identity.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { RecordKey } from '../core/session.ts';
import type { RoleOf } from './roles.ts';
import type { StaffSessions } from './staff-sessions.ts';

/** A member of staff at the console: signed in, with the second factor, for this very request. */
export interface StaffOnDuty extends StaffGrant {
  readonly user: CanonicalUser;
  readonly session: RecordKey;
  /** The address of the browser. */
  readonly address: string;
  /** When the second factor was last shown; milliseconds since the epoch. */
  readonly provenAtMs: number;
}

/** The checks on staff at every step. */
export interface Duty {
  /** The user's present roles; undefined for a user who is not staff. Rejects when the directory could not be asked. */
  grantOf(user: CanonicalUser, signal: AbortSignal): Promise<StaffGrant | undefined>;
  /** Whether this session of a staff member still lives. Rejects when the store could not be asked. */
  isOnDuty(session: RecordKey): Promise<boolean>;
  /** Notes that the staff member is at work, so that the session does not grow idle. */
  atWork(session: RecordKey): void;
}

/** Makes the checks on staff: the role by `roleOf`, and the session. */
export function createDuty(roleOf: RoleOf, sessions: Pick<StaffSessions, 'isOnDuty' | 'atWork'>): Duty {
  return {
    grantOf: roleOf,
    isOnDuty: (session) => sessions.isOnDuty(session),
    atWork: (session) => sessions.atWork(session),
  };
}
