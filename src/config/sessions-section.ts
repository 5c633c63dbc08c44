import { z } from 'zod';
import { isoTime } from '../core/clock.ts';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { arrayOf, atLeastOne, duration, integer, leaf, section, text, time, yesOrNo } from '../schema/scalars.ts';
import {
  bracketed,
  parseHostPort,
  parseRedisUrl,
  read,
  type Reading,
  redisRemedy,
  shownValue,
  wrong,
} from '../schema/value-parsers.ts';
import { certificates, ownFile, type ReferencedFiles, secret } from './referenced-files.ts';

/** Schema of `sessions`. */
export function sessionsSection(referenced: ReferencedFiles) {
  return section({
    redis: redisSection(referenced)
      .optional()
      .describe(
        'The Redis that all nodes share: a URL, or a map with `url`, with `sentinels` and `name`, or with `cluster`. Left ' +
          'out: an embedded store in `store_file`, for one process on one machine.',
      ),
    store_file: ownFile(referenced)
      .prefault('state/postern.sqlite')
      .describe('The file of the embedded store. Not used if `redis` is set.'),
    keys_file: ownFile(referenced)
      .prefault('state/keys')
      .describe(
        'The server keys that sign cookies and seal credentials, shared by all nodes. Created, with mode 0600, only if ' +
          'no node has registered a key in the store yet. `postern keys` adds, promotes and retires keys.',
      ),
    idle_timeout: duration({ atLeastMs: 1000 })
      .prefault('30 min')
      .describe('A session ends after this time without use.'),
    absolute_timeout: duration({ atLeastMs: 1000 })
      .prefault('12h')
      .describe('A session ends this long after its sign-in, however much it is used.'),
    serve_stale: duration({ atLeastMs: 0 })
      .prefault('10 min')
      .describe('How long a node continues to serve the sessions that it knows while Redis does not answer.'),
    accept_unsigned_until: time()
      .optional()
      .describe(
        'During an upgrade from 0.1.0: until when its sessions and state entries count, which nobody vouches for. Write ' +
          'the time of the upgrade plus `absolute_timeout`; see [upgrade.md](upgrade.md).',
      ),
    max_per_user: integer({ atLeast: 1, atMost: 1000 })
      .prefault(20)
      .describe('How many sessions one user may have; with one more, the oldest ends.'),
    forget_password: yesOrNo()
      .prefault(false)
      .describe(
        'Whether the password is forgotten after the check. Every backend must let a master identity open the user’s own account: ' +
          'see [security.md](security.md#without-a-password-in-the-session).',
      ),
    idle_counts_polls: yesOrNo()
      .prefault(true)
      .describe('Whether the automatic polls of a webmail’s page count as use of a session.'),
  })
    .superRefine((sessions, context) => {
      if (sessions.idle_timeout <= sessions.absolute_timeout) return;
      context.addIssue({
        code: 'custom',
        path: ['idle_timeout'],
        message: 'is longer than absolute_timeout, so it would never be reached: write a shorter one',
      });
    })
    .transform((sessions) => ({
      ...defined({ acceptUnsignedUntilMs: sessions.accept_unsigned_until }),
      store: sessions.redis ?? ({ kind: 'embedded', file: sessions.store_file } satisfies StoreConfig),
      keysFile: sessions.keys_file,
      idleTimeoutMs: sessions.idle_timeout,
      absoluteTimeoutMs: sessions.absolute_timeout,
      serveStaleMs: sessions.serve_stale,
      maxPerUser: sessions.max_per_user,
      idleCountsPolls: sessions.idle_counts_polls,
      forgetPassword: sessions.forget_password,
    }))
    .prefault({})
    .describe('The gateway’s own sessions: where they are stored and how long they last.');
}

/** Schema of `state`. */
export function stateSection(referenced: ReferencedFiles) {
  return section({
    redis: redisSection(referenced)
      .optional()
      .describe(
        'A separate Redis, written as under `sessions`; it should write to disk (`appendonly yes`) and never evict. Left out: ' +
          'states and moves are stored with the sessions.',
      ),
  })
    .transform(({ redis }) => defined({ redis }))
    .prefault({})
    .describe('Data that must survive: states of backends, failovers, moves and overrides.');
}

/** Schema of `moves`. */
export function movesSection(referenced: ReferencedFiles) {
  return section({
    before: ownFile(referenced)
      .optional()
      .describe(
        'A program that runs before a user is switched to another backend, with the arguments USER FROM TO. It moves ' +
          'the mailbox while the user waits. It may run again after a failure.',
      ),
    after: ownFile(referenced)
      .optional()
      .describe('A program that runs after the switch, with the same arguments, for example to update the directory.'),
    hook_timeout: duration({ atLeastMs: 1000 })
      .prefault('10 min')
      .describe('Time limit for each of the two programs; after that it is stopped and the move has failed.'),
  })
    .transform(({ before, after, hook_timeout: hookTimeoutMs }) => ({ ...defined({ before, after }), hookTimeoutMs }))
    .prefault({})
    .describe('What happens when a user is moved: see [move-users.md](move-users.md).');
}

/** Where sessions or states live: Redis for several nodes, a file for one process. */
export type StoreConfig =
  | ({ readonly kind: 'redis'; readonly password?: Secret; readonly ca?: string } & RedisPlace)
  | { readonly kind: 'embedded'; readonly file: string };

/** One server, those that Sentinels watch, or a Cluster. */
type RedisPlace =
  /** `redis:` or `rediss:`, with the user and the database where they were given; never with a password. */
  | { readonly url: string }
  | {
      readonly sentinels: ServerAddresses;
      readonly name: string;
      readonly database: number;
      readonly sentinelPassword?: Secret;
      readonly user?: string;
      readonly tls: boolean;
    }
  | { readonly cluster: ServerAddresses; readonly user?: string; readonly tls: boolean };

type ServerAddresses = readonly [RedisAddress, ...RedisAddress[]];

interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

const placeRemedy = `${redisRemedy}; or { sentinels: [HOST, HOST, HOST], name: mymaster }; or { cluster: [HOST, HOST, HOST] }`;

/** One Redis, those that Sentinels watch, or a Cluster. */
function redisSection(referenced: ReferencedFiles) {
  return z
    .union([redisUrl(), redisMap(referenced)], {
      error: `is neither a URL nor a map with a url, sentinels or a cluster: ${placeRemedy}`,
    })
    .transform((redis): StoreConfig => (typeof redis === 'string' ? { kind: 'redis', url: redis } : redis));
}

function redisMap(referenced: ReferencedFiles) {
  return section({
    url: redisUrl()
      .optional()
      .describe('`redis://` or `rediss://` (TLS), host, port, database number, and a user where there is one.'),
    sentinels: redisServers(26_379)
      .optional()
      .describe('Instead of `url`: the Sentinels that know the master, as HOST or HOST:PORT; needs `name`.'),
    name: text('a name', 'write the name under which the Sentinels watch the master')
      .optional()
      .describe('The name under which the Sentinels watch the master.'),
    cluster: redisServers(6379)
      .optional()
      .describe('Instead of `url`: some nodes of a Redis Cluster, as HOST or HOST:PORT; the others are found.'),
    user: text('a user', 'write the name of the ACL user')
      .optional()
      .describe('The ACL user, with `sentinels` or `cluster`; a `url` contains it.'),
    password: secret(referenced).optional().describe('The password: `{ file: NAME }` or `{ env: VARIABLE }`.'),
    sentinel_password: secret(referenced).optional().describe('The password of the Sentinels, if they have one.'),
    database: integer({ atLeast: 0, atMost: 9999 })
      .optional()
      .describe('The database number, with `sentinels`; a `url` contains it.'),
    tls: yesOrNo().optional().describe('Whether to use TLS, with `sentinels` or `cluster`.'),
    tls_ca_file: certificates(referenced)
      .optional()
      .describe('CA certificates (PEM) for TLS, instead of those of the system.'),
  }).transform((map, context): StoreConfig => {
    const { url, sentinels, name, cluster, user, password, database = 0, tls = false, tls_ca_file: ca } = map;
    const complain = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    const access = defined({ password, ca });
    const named = { ...access, ...defined({ user }), tls };
    const kind = 'redis';
    if ([url, sentinels, cluster].filter((place) => place !== undefined).length !== 1) {
      context.addIssue({ code: 'custom', message: `names no Redis, or more than one: ${placeRemedy}` });
      return z.NEVER;
    }
    for (const key of keysOutOfPlace(map)) complain(key, 'does not belong here: remove it');
    if (url !== undefined) return { kind, url, ...access };
    if (cluster !== undefined) return { kind, cluster, ...named };
    if (sentinels === undefined || name === undefined) {
      complain('name', 'is missing: write the name under which the Sentinels watch the master, such as mymaster');
      return z.NEVER;
    }
    const { sentinel_password: sentinelPassword } = map;
    return { kind, sentinels, name, database, ...named, ...defined({ sentinelPassword }) };
  });
}

/** Keys that belong to another form of address than the one that is written. */
function keysOutOfPlace(map: Readonly<Record<string, unknown>>): readonly string[] {
  const onlySentinels = ['name', 'sentinel_password', 'database'];
  const foreign = map['sentinels'] !== undefined ? [] : onlySentinels;
  return [...foreign, ...(map['url'] === undefined ? [] : ['user', 'tls'])].filter((key) => map[key] !== undefined);
}

function redisUrl() {
  return leaf({
    what: 'a Redis URL',
    remedy: redisRemedy,
    examples: ['redis://127.0.0.1:6379/0'],
    parse: parseRedisUrl,
  });
}

function redisServers(standardPort: number) {
  const remedy = `write HOST or HOST:PORT; without a port it is ${standardPort}`;
  const server = leaf({
    what: 'a server',
    remedy,
    examples: [`redis1.internal:${standardPort}`],
    parse: (value) => parseServer(value, standardPort, remedy),
  });
  return arrayOf(server, 'servers such as redis1.internal')
    .min(1, { error: `is empty: ${remedy}` })
    .transform(atLeastOne);
}

function parseServer(value: string, standardPort: number, remedy: string): Reading<RedisAddress> {
  const server = parseHostPort(value);
  if (server === undefined) return wrong(`${shownValue(value)} is not a server: ${remedy}`);
  return read({ host: server.host, port: server.port ?? standardPort });
}

/** Says until when what nobody vouches for counts, and what that means at this time; undefined if it never does. */
export function unsignedAccepted(
  { acceptUnsignedUntilMs: untilMs }: { readonly acceptUnsignedUntilMs?: number },
  nowMs: number,
): { readonly until: string; readonly why: string } | undefined {
  if (untilMs === undefined) return undefined;
  const why =
    untilMs <= nowMs
      ? 'this time is over, and the key does nothing: remove it'
      : 'sessions and state entries that nobody vouches for count until then: remove it when the upgrade from 0.1.0 is over';
  return { until: isoTime(untilMs), why };
}

/** Formats the address of a Redis. */
export function redisAddress(store: StoreConfig & { readonly kind: 'redis' }): string {
  if ('url' in store) return store.url;
  if ('cluster' in store) return `cluster ${redisServerList(store.cluster)}`;
  return `${store.name} of sentinels ${redisServerList(store.sentinels)}`;
}

function redisServerList(servers: readonly { readonly host: string; readonly port: number }[]): string {
  return servers.map(({ host, port }) => `${bracketed(host)}:${port}`).join(', ');
}
