/**
 * What a member of staff may do. `support`: open mailboxes of users; `operator`: see and act on backends; `auditor`:
 * read the audit, and nothing else.
 */
export const staffRoles = ['support', 'operator', 'auditor'] as const;
type StaffRole = (typeof staffRoles)[number];

/** What was granted to one member of staff. It comes from the configuration or the directory, never from a form. */
export interface StaffGrant {
  readonly roles: readonly StaffRole[];
  /** The domains whose users `support` may see and open; nothing stands for all of them. */
  readonly domains?: readonly string[];
}

/** How a user learns that staff opened the mailbox. */
export const noticePolicies = ['never', 'at-sign-in', 'message'] as const;
export type NoticePolicy = (typeof noticePolicies)[number];
