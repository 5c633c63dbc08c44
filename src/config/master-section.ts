import type { MasterIdentity } from '../core/backend.ts';
import { leaf, secret, section, text } from './leaves.ts';
import type { Outside } from './outside.ts';
import { read, shown, wrong } from './reading.ts';

const userRemedy = 'write the name of a master user such as postern, without spaces, / and \\';
const separatorRemedy = 'write one character in quotes, such as "*"';

/** Who may open the mailboxes of a backend without their users' passwords. */
export function masterSection(outside: Outside) {
  return section({
    // An IMAP library that meets one of these signs the master itself in.
    user: leaf({
      what: 'a name',
      remedy: userRemedy,
      examples: ['postern'],
      parse: (name) =>
        /^[^\s/\\\p{C}]{1,254}$/u.test(name) ? read(name) : wrong(`${shown(name)} cannot be a master: ${userRemedy}`),
    }).describe('The name of the master: a master user of Dovecot, or one of `proxyservers` in Cyrus.'),
    password: secret(outside).describe('Its password: `{ file: NAME }`. It opens every mailbox of the backend.'),
    separator: text('a character', separatorRemedy)
      .refine((given) => /^[^\s\p{C}@]$/u.test(given), { error: `is not one character: ${separatorRemedy}` })
      .prefault('*')
      .describe('What Dovecot’s `auth_master_user_separator` is, where `master_login` of a driver needs it.'),
  })
    .transform((master): MasterIdentity => master)
    .optional()
    .describe(
      'Who may open mailboxes of this backend without their users’ passwords, over IMAP and, with `master_login`, in ' +
        'the webmail: for support.',
    );
}
