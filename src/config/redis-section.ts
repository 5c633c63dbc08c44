import { z } from 'zod';
import type { RedisServer, StoreConfig } from './config.ts';
import { parseHost } from './hosts.ts';
import { atLeastOne, certificates, count, leaf, list, secret, section, text, yesOrNo } from './leaves.ts';
import type { Outside } from './outside.ts';
import { type Reading, read, shown, wrong } from './reading.ts';
import { parseRedisUrl, redisRemedy } from './urls.ts';

const remedy = `${redisRemedy}; or { sentinels: [HOST, HOST, HOST], name: mymaster }; or { cluster: [HOST, HOST, HOST] }`;

/** One Redis, those that Sentinels watch, or a Cluster. */
export function redisSection(outside: Outside) {
  return z
    .union([redisUrl(), redisMap(outside)], {
      error: `is neither a URL nor a map with a url, sentinels or a cluster: ${remedy}`,
    })
    .transform((redis): StoreConfig => (typeof redis === 'string' ? { kind: 'redis', url: redis } : redis));
}

function redisMap(outside: Outside) {
  return section({
    url: redisUrl()
      .optional()
      .describe('`redis://` or `rediss://` (TLS), host, port, database number, and a user where there is one.'),
    sentinels: servers(26_379)
      .optional()
      .describe('Instead of `url`: the Sentinels that know the master, as HOST or HOST:PORT; needs `name`.'),
    name: text('a name', 'write the name under which the Sentinels watch the master')
      .optional()
      .describe('The name under which the Sentinels watch the master.'),
    cluster: servers(6379)
      .optional()
      .describe('Instead of `url`: some nodes of a Redis Cluster, as HOST or HOST:PORT; the others are found.'),
    user: text('a user', 'write the name of the ACL user')
      .optional()
      .describe('The ACL user, beside `sentinels` or `cluster`; in a `url` it stands there.'),
    password: secret(outside).optional().describe('The password: `{ file: NAME }` or `{ env: VARIABLE }`.'),
    sentinel_password: secret(outside).optional().describe('The password of the Sentinels, where they have one.'),
    database: count({ atLeast: 0, atMost: 9999 })
      .optional()
      .describe('The database number, beside `sentinels`; in a `url` it stands there.'),
    tls: yesOrNo().optional().describe('Whether to speak TLS, beside `sentinels` or `cluster`.'),
    tls_ca_file: certificates(outside)
      .optional()
      .describe('PEM certificates of the authorities to trust instead of the system’s; for TLS.'),
  }).transform((map, context): StoreConfig => {
    const { url, sentinels, name, cluster, user, password, database = 0, tls = false, tls_ca_file: ca } = map;
    const complain = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    const access = {
      ...(password === undefined ? {} : { password }),
      ...(ca === undefined ? {} : { ca }),
    };
    const named = { ...access, ...(user === undefined ? {} : { user }), tls };
    const kind = 'redis';
    if ([url, sentinels, cluster].filter((place) => place !== undefined).length !== 1) {
      context.addIssue({ code: 'custom', message: `names no Redis, or more than one: ${remedy}` });
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
    return {
      kind,
      sentinels,
      name,
      database,
      ...named,
      ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    };
  });
}

/** What only another form than the one that is written knows. */
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

function servers(standardPort: number) {
  const remedy = `write HOST or HOST:PORT; without a port it is ${standardPort}`;
  const server = leaf({
    what: 'a server',
    remedy,
    examples: [`redis1.internal:${standardPort}`],
    parse: (value) => parseServer(value, standardPort, remedy),
  });
  return list(server, 'servers such as redis1.internal')
    .min(1, { error: `is empty: ${remedy}` })
    .transform(atLeastOne);
}

function parseServer(value: string, standardPort: number, remedy: string): Reading<RedisServer> {
  const [, hostText = '', portText] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(value) ?? [];
  const host = parseHost(hostText);
  const port = portText === undefined ? standardPort : Number(portText);
  if (host === undefined || port === 0 || port > 65_535) return wrong(`${shown(value)} is not a server: ${remedy}`);
  return read({ host, port });
}
