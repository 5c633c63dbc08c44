import type { SettingProblem } from '../core/backend.ts';
import type { Follows } from './chain.ts';
import { readDomains, Settings } from './settings.ts';
import type { SourceDriver } from './source.ts';

type Loader = () => Promise<{ readonly driver: SourceDriver }>;

/** Every type of source, and how its driver is loaded: a client library costs time and memory only where it is used. */
const loaders: ReadonlyMap<string, Loader> = new Map<string, Loader>([
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

/** The driver of a type of source, or undefined if there is no such type. */
async function loadDriver(type: string): Promise<SourceDriver | undefined> {
  return (await loaders.get(type)?.())?.driver;
}

/** A source as the operator wrote it: `type`, what the chain does with it, and the driver's own settings. */
export type SourceSettings = Readonly<Record<string, unknown>>;

/** One source as the configuration describes it, not opened yet. */
export interface ConfiguredSource extends Follows {
  readonly type: string;
  readonly serves: (domain: string) => boolean;
  readonly timeoutMs: number;
  readonly open: ReturnType<SourceDriver['configure']>;
}

/**
 * Reads the settings of one source, without any I/O but loading its driver.
 *
 * Keys for all types: `type`, `domains`, `timeout`, `on_found`, `on_unknown`, `on_tempfail`. File names must already be
 * absolute, and secrets be read.
 */
export async function configureSource(
  settings: SourceSettings,
  timeoutMs: number,
): Promise<
  | { readonly kind: 'ok'; readonly source: ConfiguredSource }
  | { readonly kind: 'problems'; readonly problems: readonly SettingProblem[] }
> {
  const reader = new Settings(settings);
  const type = reader.text('type');
  const driver = await loadDriver(type);
  if (driver === undefined) {
    return { kind: 'problems', problems: [{ path: ['type'], message: `write one of ${sourceTypes.join(', ')}` }] };
  }
  const source: ConfiguredSource = {
    type,
    serves: readDomains(reader, 'domains'),
    timeoutMs: reader.durationMs('timeout', timeoutMs),
    onFound: reader.choice('on_found', ['answer', 'next'], 'answer'),
    onUnknown: reader.choice('on_unknown', ['next', 'refuse'], 'next'),
    onTempfail: reader.choice('on_tempfail', ['fail', 'next'], 'fail'),
    open: driver.configure(reader),
  };
  const problems = reader.finish();
  return problems.length === 0 ? { kind: 'ok', source } : { kind: 'problems', problems };
}

/** Problems with the settings of one source; empty if there are none. */
export async function checkSource(settings: SourceSettings): Promise<readonly SettingProblem[]> {
  const configured = await configureSource(settings, 1);
  return configured.kind === 'ok' ? [] : configured.problems;
}
