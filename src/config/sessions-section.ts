import type { MovesConfig, SessionsConfig, StateConfig } from './config.ts';
import { count, duration, ownFile, section, yesOrNo } from './leaves.ts';
import type { Outside } from './outside.ts';
import { redisSection } from './redis-section.ts';

export function sessionsSection(outside: Outside) {
  return section({
    redis: redisSection(outside)
      .optional()
      .describe(
        'The Redis that all nodes share: a URL, or a map with `url`, with `sentinels` and `name`, or with `cluster`. Left ' +
          'out: an embedded store in `store_file`, for one process on one machine.',
      ),
    store_file: ownFile(outside)
      .prefault('state/postern.sqlite')
      .describe('The file of the embedded store. It is not used when `redis` is set.'),
    keys_file: ownFile(outside)
      .prefault('state/keys')
      .describe(
        'The server keys that sign cookies and seal credentials, shared by all nodes. Made, with mode 0600, only if ' +
          'no node has registered a key in the store yet. `postern keys` adds, promotes and retires.',
      ),
    idle_timeout: duration({ atLeastMs: 1000 })
      .prefault('30 min')
      .describe('A session that is not used for so long ends.'),
    absolute_timeout: duration({ atLeastMs: 1000 })
      .prefault('12h')
      .describe('A session ends so long after its sign-in, however much it is used.'),
    serve_stale: duration({ atLeastMs: 0 })
      .prefault('10 min')
      .describe('While Redis is away: how long a node goes on serving the sessions that it knows.'),
    max_per_user: count({ atLeast: 1, atMost: 1000 })
      .prefault(20)
      .describe('How many sessions one user may have; with one more, the oldest ends.'),
    forget_password: yesOrNo()
      .prefault(false)
      .describe(
        'Whether the password is forgotten once it was checked, where every backend can be entered by a master identity ' +
          'into the user’s own account: see [security.md](security.md#without-a-password-in-the-session).',
      ),
    idle_counts_polls: yesOrNo()
      .prefault(true)
      .describe('Whether the polls that a webmail’s page makes by itself keep a session from being idle.'),
  })
    .superRefine((sessions, context) => {
      if (sessions.idle_timeout <= sessions.absolute_timeout) return;
      context.addIssue({
        code: 'custom',
        path: ['idle_timeout'],
        message: 'is longer than absolute_timeout, so it would never be reached: write a shorter one',
      });
    })
    .transform(
      (sessions): SessionsConfig => ({
        store: sessions.redis ?? { kind: 'embedded', file: sessions.store_file },
        keysFile: sessions.keys_file,
        idleTimeoutMs: sessions.idle_timeout,
        absoluteTimeoutMs: sessions.absolute_timeout,
        serveStaleMs: sessions.serve_stale,
        maxPerUser: sessions.max_per_user,
        idleCountsPolls: sessions.idle_counts_polls,
        forgetPassword: sessions.forget_password,
      }),
    )
    .prefault({})
    .describe('The gateway’s own sessions: where they live and how long.');
}

export function stateSection(outside: Outside) {
  return section({
    redis: redisSection(outside)
      .optional()
      .describe(
        'A Redis of its own, as under `sessions`; it should write to disk (`appendonly yes`) and never evict. Left out: ' +
          'states and moves live where the sessions do.',
      ),
  })
    .transform(({ redis }): StateConfig => (redis === undefined ? {} : { redis }))
    .prefault({})
    .describe('What must survive: states of backends, failovers, moves and overrides.');
}

export function movesSection(outside: Outside) {
  return section({
    before: ownFile(outside)
      .optional()
      .describe(
        'A program that runs before a user is switched to another backend, with the arguments USER FROM TO: it carries ' +
          'the mailbox. The user waits meanwhile. It may be run again after a failure.',
      ),
    after: ownFile(outside)
      .optional()
      .describe('A program that runs after the switch, with the same arguments: it tells the directory, for example.'),
    hook_timeout: duration({ atLeastMs: 1000 })
      .prefault('10 min')
      .describe('How long each of the two may take; then it is ended, and the move has failed.'),
  })
    .transform(
      ({ before, after, hook_timeout: hookTimeoutMs }): MovesConfig => ({
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
        hookTimeoutMs,
      }),
    )
    .prefault({})
    .describe('What is done when a user is moved: see [move-users.md](move-users.md).');
}
