import { z } from 'zod';
import { defined } from '../core/defined.ts';
import { noticePolicies, type StaffGrant, staffRoles } from '../core/identity.ts';
import {
  arrayOf,
  duration,
  either,
  listenAddress,
  mailDomain,
  oneOf,
  publicUrl,
  section,
  text,
  yesOrNo,
} from '../schema/scalars.ts';

/** Support: the console of the staff, and the mailboxes that they open. */
export const supportSection = section({
  console: publicUrl('https://support.example.org').describe(
    'The address of the console, under a host name of its own: browsers keep it apart from what a webmail may run.',
  ),
  assist: publicUrl('https://assist.example.org').describe(
    'The address under which opened mailboxes are shown, under a third host name.',
  ),
  listen: listenAddress('127.0.0.1:8081')
    .optional()
    .describe('A listener of its own for the console, say in a network of the staff. Left out: the public one.'),
  staff: z
    .record(z.string(), grant(), { error: 'is not a map of names: write { sam@example.org: support }' })
    .prefault({})
    .describe(
      'Who is staff, by the name of the own mailbox: a role, or `{ roles: [support, operator], domains: [example.org] }`. ' +
        '`support` opens mailboxes, `operator` sees and acts on backends, `auditor` reads the audit.',
    ),
  roles_from_directory: yesOrNo()
    .prefault(false)
    .describe(
      'Whether the role that a source of the directory answers counts, too: a role, or `support example.org` with its ' +
        'domains. It is asked again at every step, and each minute while it is used.',
    ),
  never_opened: arrayOf(userName(), 'names such as head@example.org')
    .prefault([])
    .describe('Users whose mailboxes nobody opens. Those of staff are never opened anyway.'),
  notice: oneOf(noticePolicies)
    .prefault('at-sign-in')
    .describe(
      'How users learn that their mailbox was opened: `never`, `at-sign-in` (a page, once), or `message` (in the INBOX).',
    ),
  idle_timeout: duration({ atLeastMs: 1000 })
    .prefault('15 min')
    .describe('A staff member’s session that is not used for so long ends, and with it what it opened.'),
  absolute_timeout: duration({ atLeastMs: 1000 })
    .prefault('8h')
    .describe('A staff member’s session ends so long after its sign-in.'),
})
  .transform(({ console, assist, listen, ...rest }) => ({
    console,
    assist,
    ...defined({ listen }),
    staff: new Map(Object.entries(rest.staff)),
    rolesFromDirectory: rest.roles_from_directory,
    neverOpened: new Set(rest.never_opened),
    notice: rest.notice,
    idleTimeoutMs: rest.idle_timeout,
    absoluteTimeoutMs: rest.absolute_timeout,
  }))
  .optional()
  .describe(
    'Staff who open users’ mailboxes, and what they need for it. Left out: nobody does, and there is no console.',
  );

/** The spelling is checked once the rules of the site are known, in cross-checks.ts. */
function userName() {
  return text('a name', 'write the name of a mailbox as it is known here, such as sam@example.org');
}

function grant() {
  const role = oneOf(staffRoles);
  const whole = section({
    roles: arrayOf(role, 'roles such as support')
      .min(1, { error: `is empty: write ${either(staffRoles)}` })
      .describe('What the member of staff may do.'),
    domains: arrayOf(mailDomain(), 'domains such as example.org')
      .min(1, { error: 'is empty: list domains, or leave the key out for all of them' })
      .optional()
      .describe('The domains whose users `support` may see and open. Left out: all of them.'),
  });
  return z
    .union([role, whole], {
      error: `is not a role: write ${either(staffRoles)}, or { roles: [support], domains: [example.org] }`,
    })
    .transform((given): StaffGrant => {
      if (typeof given === 'string') return { roles: [given] };
      const { roles, domains } = given;
      return { roles, ...defined({ domains }) };
    });
}
