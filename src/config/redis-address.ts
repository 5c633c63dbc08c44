import type { RedisServer, StoreConfig } from './config.ts';
import { bracketed } from './value-parsers.ts';

/** Where a Redis is, for operators to read. */
export function redisAddress(store: StoreConfig & { readonly kind: 'redis' }): string {
  if ('url' in store) return store.url;
  if ('cluster' in store) return `cluster ${listed(store.cluster)}`;
  return `${store.name} of sentinels ${listed(store.sentinels)}`;
}

function listed(servers: readonly RedisServer[]): string {
  return servers.map(({ host, port }) => `${bracketed(host)}:${port}`).join(', ');
}
