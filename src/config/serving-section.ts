import { z } from 'zod';
import type { MasterIdentity } from '../core/backend.ts';
import { arrayOf, duration, integer, leaf, oneOf, section, text } from '../schema/scalars.ts';
import { read, shownValue, wrong } from '../schema/value-parsers.ts';
import { type ReferencedFiles, secret } from './referenced-files.ts';

const healthKeys = {
  path: leaf({
    what: 'a path',
    remedy: 'write the path of a small file that starts no session, such as /robots.txt',
    examples: ['/robots.txt'],
    parse: (text) =>
      /^\/[!-~]*$/.test(text) ? read(text) : wrong(`${shownValue(text)} is not a path: begin it with a slash`),
  })
    .optional()
    .describe(
      'The path that the HTTP check requests; any answer below 500 is good. Default: the choice of the driver.',
    ),
  http_interval: duration({ atLeastMs: 0 }).describe('How often the webmail is checked; 0s is never.'),
  imap_interval: duration({ atLeastMs: 0 }).describe('How often IMAP is checked; 0s is never.'),
  timeout: duration({ atLeastMs: 50 }).describe('Time limit for a check.'),
  fall: integer({ atLeast: 1, atMost: 100 }).describe('How many checks in a row must fail before a host is DOWN.'),
  rise: integer({ atLeast: 1, atMost: 100 }).describe('How many checks in a row must succeed before it is up again.'),
};

/** An account of the operator's own. */
function testAccount(referenced: ReferencedFiles) {
  return section({
    user: leaf({
      what: 'a user',
      remedy: 'write the account as users are named here, such as probe@example.org',
      examples: ['probe@example.org'],
      parse: (text) => (/^[^\s\p{C}]{1,254}$/u.test(text) ? read(text) : wrong(`${shownValue(text)} is not a user`)),
    }).describe('The account, with its domain. Servers get the name in the form of `login_name`, as for users.'),
    password: secret(referenced).describe('Its password: `{ file: NAME }` or `{ env: VARIABLE }`.'),
    interval: duration({ atLeastMs: 1000 }).prefault('60s').describe('How often it signs in on each host.'),
  })
    .meta({ title: 'map' })
    .optional();
}

/** Defaults for the hosts of every backend. */
export const servingDefaults = (referenced: ReferencedFiles) => ({
  choice: oneOf(['rendezvous', 'least-sessions'])
    .prefault('rendezvous')
    .describe(
      'How a backend of several `hosts` chooses one for a new session: `rendezvous` gives a user the same host each ' +
        'time, by weight; `least-sessions` the host with the fewest sessions on this node, by weight.',
    ),
  failover: oneOf(['automatic', 'manual'])
    .prefault('automatic')
    .describe(
      'Whether a `standby` takes over automatically when the primary is down; use `manual` for copies that lag behind. The ' +
        'way back always needs an operator: `postern backend activate`.',
    ),
  health: section({
    path: healthKeys.path,
    http_interval: healthKeys.http_interval.prefault('2s'),
    imap_interval: healthKeys.imap_interval.prefault('10s'),
    timeout: healthKeys.timeout.prefault('1s'),
    fall: healthKeys.fall.prefault(3),
    rise: healthKeys.rise.prefault(2),
  })
    .prefault({})
    .describe('How the hosts are checked.'),
  test_account: testAccount(referenced).describe(
    'An account of your own that signs in on each host, to IMAP and webmail, and out again. It finds what no check can see. ' +
      'Three attempts in a row without an answer from the webmail count like requests of users.',
  ),
});

/** The same keys at one backend. */
export const ownServing = (referenced: ReferencedFiles) => ({
  choice: oneOf(['rendezvous', 'least-sessions']).optional().describe('As under backend_defaults, for this backend.'),
  failover: oneOf(['automatic', 'manual']).optional().describe('As under backend_defaults, for this backend.'),
  health: section(healthKeys)
    .partial()
    .meta({ title: 'map' })
    .prefault({})
    .describe('As under backend_defaults, for this backend.'),
  test_account: testAccount(referenced).describe('As under backend_defaults, for this backend.'),
});

/** Further hosts: `place` has the keys that say where one is. */
export function furtherHosts<Place extends z.core.$ZodLooseShape>(place: Place, parseHost: z.ZodType<string>) {
  const remedy = 'write a host, or a map such as { imap: imaps://HOST, webmail: http://HOST/ }';
  // Its keys stand in the reference already, under the backend itself.
  const standby = section(place).meta({ title: 'map' });
  const equal = section({
    ...place,
    weight: integer({ atLeast: 1, atMost: 1000 })
      .prefault(1)
      .describe('Its share of the users, relative to the other hosts.'),
  }).meta({ title: 'map' });
  const orHost = <Map extends z.ZodType>(map: Map) =>
    z.union([parseHost.transform((host) => map.parse({ host })), map], {
      error: (issue) => `${shownValue(issue.input)} is not a host: ${remedy}`,
    });
  return {
    standby: arrayOf(orHost(standby), 'hosts')
      .prefault([])
      .describe(
        'The standbys of this host, in order: each a host name, or a map of `imap`, `webmail` and so on as here.',
      ),
    hosts: arrayOf(orHost(equal), 'hosts')
      .prefault([])
      .describe(
        'Instead of one machine: hosts of equal rank, such as a webmail farm with one database. Each is a host name, or a ' +
          'map as here with a `weight` (1). Settings that they share, such as `imap`, may stand at the backend.',
      ),
  };
}

const userRemedy = 'write the name of a master user such as postern, without spaces, / and \\';
const separatorRemedy = 'write one character in quotes, such as "*"';

/** Schema of `master`, the identity that opens a backend's mailboxes without their users' passwords. */
export function masterSection(referenced: ReferencedFiles) {
  return section({
    // An IMAP library that meets one of these signs the master itself in.
    user: leaf({
      what: 'a name',
      remedy: userRemedy,
      examples: ['postern'],
      parse: (name) =>
        /^[^\s/\\\p{C}]{1,254}$/u.test(name)
          ? read(name)
          : wrong(`${shownValue(name)} is not a valid master name: ${userRemedy}`),
    }).describe('The name of the master: a master user of Dovecot, or one of the `admins` of Cyrus.'),
    password: secret(referenced).describe('Its password, which opens every mailbox of the backend: `{ file: NAME }`.'),
    separator: text('a character', separatorRemedy)
      .refine((given) => /^[^\s\p{C}@]$/u.test(given), { error: `is not one character: ${separatorRemedy}` })
      .prefault('*')
      .describe('The value of Dovecot’s `auth_master_user_separator`, if `master_login` of a driver needs it.'),
  })
    .transform((master): MasterIdentity => master)
    .optional()
    .describe(
      'The identity that may open mailboxes of this backend without the users’ passwords, over IMAP and, with `master_login`, in ' +
        'the webmail, for support.',
    );
}
