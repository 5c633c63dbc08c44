import { z } from 'zod';
import { noticePolicies, rolesWithoutLimit, type StaffGrant, staffRoles } from '../core/identity.ts';
import { defined } from '../core/objects.ts';
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
    'The address of the console, under a host name of its own, so that browsers isolate it from the webmail.',
  ),
  assist: publicUrl('https://assist.example.org').describe(
    'The address under which opened mailboxes are shown, under a third host name.',
  ),
  listen: listenAddress('127.0.0.1:8081')
    .optional()
    .describe(
      'A separate listener for the console, for example in the network of the staff. Left out: the public listener.',
    ),
  staff: z
    .record(z.string(), grant(), { error: 'is not a map of names: write { sam@example.org: support }' })
    .prefault({})
    .describe(
      'The staff, by the names of their own mailboxes: a role, roles such as `{ roles: [support, operator] }`, or `{ roles: [support], domains: [example.org] }`. ' +
        '`support` opens mailboxes, `operator` sees and acts on backends, sessions and moves, `viewer` sees the same and changes nothing, `auditor` reads the audit.',
    ),
  roles_from_directory: yesOrNo()
    .prefault(false)
    .describe(
      'Whether roles from the directory count, too. A source answers with a role, or with `support example.org` to name ' +
        'domains. It is asked again at every step, and each minute while the role is in use.',
    ),
  never_opened: arrayOf(userName(), 'names such as head@example.org')
    .prefault([])
    .describe('Users whose mailboxes nobody may open. Mailboxes of staff are never opened anyway.'),
  notice: oneOf(noticePolicies)
    .prefault('at-sign-in')
    .describe(
      'How users learn that their mailbox was opened: `never`, `at-sign-in` (a page, shown once) or `message` (in the INBOX).',
    ),
  idle_timeout: duration({ atLeastMs: 1000 })
    .prefault('15 min')
    .describe('A staff session ends after this time without use, and closes the mailboxes that it opened.'),
  absolute_timeout: duration({ atLeastMs: 1000 })
    .prefault('8h')
    .describe('A staff session ends this long after its sign-in.'),
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
  .describe('Lets staff open users’ mailboxes. Left out: nobody can, and there is no console.');

/** A mailbox name. cross-checks.ts checks its spelling, once the site's rules are known. */
function userName() {
  return text('a name', 'write a mailbox by its full name, such as sam@example.org');
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
      .describe(
        'The domains whose users `support` may see and whose mailboxes it may open, if that is the only role. Left out: all.',
      ),
  });
  return z
    .union([role, whole], {
      error: `is not a role: write ${either(staffRoles)}, or { roles: [support], domains: [example.org] }`,
    })
    .transform((given): StaffGrant => {
      if (typeof given === 'string') return { roles: [given] };
      const { roles, domains } = given;
      return { roles, ...defined({ domains }) };
    })
    .superRefine(({ roles, domains }, context) => {
      const [role] = rolesWithoutLimit(roles);
      if (domains === undefined || role === undefined) return;
      const message = `limits only support, and ${role} sees every domain: leave out domains, or the role ${role}`;
      context.addIssue({ code: 'custom', path: ['domains'], message });
    });
}
