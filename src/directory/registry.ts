import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import { notOneOf } from '../schema/scalars.ts';
import type { Follows } from './chain.ts';
import type { OpenSource, SourceDriver } from './settings.ts';

type SourceLoader = () => Promise<{ readonly driver: SourceDriver }>;

/** The loader of each type of source: a client library costs time and memory only if it is used. */
const loaders: ReadonlyMap<string, SourceLoader> = new Map<string, SourceLoader>([
  ['cdb', () => import('./sources/cdb.ts')],
  ['doveadm', () => import('./sources/doveadm.ts')],
  ['hash', () => import('./sources/hash.ts')],
  ['http', () => import('./sources/http.ts')],
  ['ldap', () => import('./sources/ldap.ts')],
  ['map', () => import('./sources/map.ts')],
  ['mupdate', () => import('./sources/mupdate.ts')],
  ['mysql', () => import('./sources/mysql.ts')],
  ['postgresql', () => import('./sources/postgresql.ts')],
  ['redis', () => import('./sources/redis.ts')],
  ['referral', () => import('./sources/referral.ts')],
  ['regex', () => import('./sources/regex.ts')],
  ['socketmap', () => import('./sources/socketmap.ts')],
  ['static', () => import('./sources/static.ts')],
  ['tcp_table', () => import('./sources/tcp-table.ts')],
]);

/** Every value of a source's `type`. */
export const sourceTypes: readonly string[] = [...loaders.keys()];

/** The driver of a type of source; undefined if there is no such type. */
export async function loadSource(type: string): Promise<SourceDriver | undefined> {
  return (await loaders.get(type)?.())?.driver;
}

/** A source as the operator wrote it: `type`, the rules for its answers, and the driver's own settings. */
export type SourceSettings = DriverSettings;

/** A source that can be opened, with the chain's rules for its answers. */
export interface ConfiguredSource extends Follows {
  readonly type: string;
  /** Whether the source serves a domain; undefined if it serves all. */
  readonly serves: ((domain: string) => boolean) | undefined;
  readonly timeoutMs: number;
  readonly open: OpenSource;
}

/** Parses the settings of one source, and loads its driver; `timeoutMs` is for a source that sets no timeout. */
export async function configureSource(
  settings: SourceSettings,
  timeoutMs: number,
): Promise<
  | { readonly kind: 'ok'; readonly source: ConfiguredSource }
  | { readonly kind: 'problems'; readonly problems: readonly SettingProblem[] }
> {
  const { type } = settings;
  const driver = typeof type === 'string' ? await loadSource(type) : undefined;
  if (driver === undefined) {
    const message = notOneOf(type, sourceTypes, 'a type of source');
    return { kind: 'problems', problems: [{ path: ['type'], message }] };
  }
  const configured = driver.configure(settings);
  if (configured.kind === 'problems') return configured;
  const { common, open } = configured;
  const source: ConfiguredSource = {
    type: common.type,
    serves: common.domains,
    timeoutMs: common.timeout ?? timeoutMs,
    onFound: common.on_found,
    onUnknown: common.on_unknown,
    onTempfail: common.on_tempfail,
    open,
  };
  return { kind: 'ok', source };
}

/** Problems with the settings of one source; empty if there are none. */
export async function checkSource(settings: SourceSettings): Promise<readonly SettingProblem[]> {
  const configured = await configureSource(settings, 1);
  return configured.kind === 'ok' ? [] : configured.problems;
}
