import type { AuditEvent } from '../../src/core/audit.ts';
import type { HomeLookup } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import type { StaffGrant } from '../../src/core/identity.ts';
import type { BackendName, CanonicalUser, LoginName, RecordKey } from '../../src/core/names.ts';
import type { StaffChecks, StaffMember } from '../../src/support/roles.ts';

export const user = (name: string) => name as CanonicalUser;
export const backend = (name: string) => name as BackendName;
export const session = (name: string) => name.padEnd(43, '-') as RecordKey;

/** A member of staff as the console passes one on. */
export function staffMember(name: string, grant: StaffGrant, provenAtMs = 0): StaffMember {
  return { user: user(name), session: session(name), address: '192.0.2.9', provenAtMs, ...grant };
}

/** The checks on staff for a test, which may change grants, end sessions, and cause an outage. */
export interface StaffChecksForTests extends StaffChecks {
  readonly grants: Map<string, StaffGrant>;
  readonly ended: Set<string>;
  /** The users whose mailbox nobody may open. */
  readonly excluded: Set<string>;
  readonly worked: string[];
  away: boolean;
  asked: number;
}

export function staffChecksForTests(grants: Readonly<Record<string, StaffGrant>>): StaffChecksForTests {
  const staffChecks: StaffChecksForTests = {
    grants: new Map(Object.entries(grants)),
    ended: new Set(),
    excluded: new Set(),
    worked: [],
    away: false,
    asked: 0,
    async grantOf(name) {
      staffChecks.asked += 1;
      if (staffChecks.away)
        throw new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'away', { source: 'directory', retryable: true });
      return staffChecks.grants.get(name);
    },
    isSignedIn: async (key) => !staffChecks.ended.has(key),
    keepAlive: (key) => void staffChecks.worked.push(key),
  };
  return staffChecks;
}

/** A directory of a few users. */
export function directoryOf(users: Readonly<Record<string, HomeLookup>>) {
  return {
    lookup: async (name: LoginName): Promise<HomeLookup> => users[name] ?? { kind: 'unknown-user' },
  };
}

export function livesOn(name: string, home: string): HomeLookup {
  return { kind: 'found', user: user(name), backend: backend(home) };
}

/** An audit in memory that a test can make fail. */
export function auditForTests() {
  const lines: AuditEvent[] = [];
  const audit = {
    lines,
    full: false,
    async record(event: AuditEvent): Promise<void> {
      if (audit.full) {
        throw new PosternError('ERR_AUDIT_UNAVAILABLE', 'the disk is full', { source: 'audit', retryable: true });
      }
      lines.push(event);
    },
    events: () => lines.map(({ event, actor, subject }) => `${event} ${actor} ${subject ?? ''}`.trim()),
  };
  return audit;
}
