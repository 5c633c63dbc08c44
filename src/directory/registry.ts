import type { SourceDriver } from './source.ts';

type Loader = () => Promise<{ readonly driver: SourceDriver }>;

/** Every type of source, and how its driver is loaded: a client library costs time and memory only where it is used. */
const loaders: ReadonlyMap<string, Loader> = new Map<string, Loader>([
  ['cdb', () => import('./cdb.ts')],
  ['doveadm', () => import('./doveadm.ts')],
  ['hash', () => import('./hash.ts')],
  ['http', () => import('./http.ts')],
  ['ldap', () => import('./ldap.ts')],
  ['map', () => import('./map.ts')],
  ['mupdate', () => import('./mupdate.ts')],
  ['mysql', () => import('./mysql.ts')],
  ['postgresql', () => import('./postgresql.ts')],
  ['redis', () => import('./redis.ts')],
  ['referral', () => import('./referral.ts')],
  ['regex', () => import('./regex.ts')],
  ['socketmap', () => import('./socketmap.ts')],
  ['static', () => import('./static.ts')],
  ['tcp_table', () => import('./tcp-table.ts')],
]);

export const sourceTypes: readonly string[] = [...loaders.keys()];

/** The driver of a type of source, or nothing when there is no such type. */
export async function loadDriver(type: string): Promise<SourceDriver | undefined> {
  return (await loaders.get(type)?.())?.driver;
}
