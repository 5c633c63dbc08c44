import type { Duty } from './duty.ts';
import type { RoleOf } from './roles.ts';
import type { StaffSessions } from './staff-sessions.ts';

/** What is asked about staff: of the role by `roleOf`, and of the session. */
export function createDuty(roleOf: RoleOf, sessions: Pick<StaffSessions, 'isOnDuty' | 'atWork'>): Duty {
  return {
    grantOf: roleOf,
    isOnDuty: (session) => sessions.isOnDuty(session),
    atWork: (session) => sessions.atWork(session),
  };
}
