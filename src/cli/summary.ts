import type { Config } from '../config/config.ts';
import { redisAddress } from '../config/redis-address.ts';
import { bracketed, formatDuration, isLoopback, type ListenAddress } from '../config/value-parsers.ts';

/** What a configuration would run, in a few lines. */
export function summarise(config: Config): readonly (readonly [what: string, facts: string])[] {
  const { sessions, directory } = config;
  const store = sessions.store.kind === 'redis' ? redisAddress(sessions.store) : `embedded, ${sessions.store.file}`;
  const drivers = Map.groupBy(config.backends.values(), (backend) => backend.driver);
  const backends = [...drivers].map(([driver, some]) => `${some.length} ${driver}`).join(', ');
  return [
    ['public', config.publicUrls.map((url) => url.origin).join(', ')],
    ['listen', `${addressText(config.listen)}, operators ${addressText(config.operators.listen)}`],
    [
      'sessions',
      `${store}; idle ${formatDuration(sessions.idleTimeoutMs)}, absolute ${formatDuration(sessions.absoluteTimeoutMs)}`,
    ],
    ['directory', directory.sources.map((source, index) => `${index + 1} ${source.type}`).join(', ')],
    ['backends', `${config.backends.size}: ${backends}`],
  ];
}

/** What is allowed, and still worth a second look. */
export function remarks(config: Config): readonly string[] {
  const open = config.publicUrls.filter((url) => !url.secure && !isLoopback(hostOf(url.origin)));
  const isSecure = config.publicUrls.some((url) => url.secure);
  return [
    ...config.exposedSecrets.map((why) => `a secret is not kept: ${why}`),
    ...open.map((url) => `${url.origin} is not HTTPS: passwords cross the network in the clear`),
    ...(isSecure && config.tls.length === 0 && config.trustedProxies.length === 0
      ? [
          'public_url is HTTPS and trusted_proxies is empty: list the load balancer that ends TLS, or it is not believed',
        ]
      : []),
    ...(isLoopback(config.operators.listen.host)
      ? []
      : [`operators.listen ${addressText(config.operators.listen)} is not on loopback: keep others away from it`]),
    ...(config.directoryService === undefined ||
    config.directoryService.key !== undefined ||
    isLoopback(config.directoryService.listen.host)
      ? []
      : ['directory_service has no key_file: whoever has an address of its networks learns who is a user here']),
  ];
}

function addressText({ host, port }: ListenAddress): string {
  return `${bracketed(host)}:${port}`;
}

function hostOf(origin: string): string {
  const { hostname } = new URL(origin);
  return hostname.endsWith('.localhost') ? 'localhost' : hostname.replace(/^\[|\]$/g, '');
}
