import type { z } from 'zod';
import type { DriverSettings, MasterIdentity, SettingProblem } from '../core/backend.ts';
import { defined } from '../core/objects.ts';
import type { MasterEntry, WebmailDriver } from '../core/webmail.ts';
import { atLeastOne } from '../schema/scalars.ts';
import type { ConfiguredParts } from './browser.ts';
import { parseSettings } from '../schema/issues.ts';

/** The exports of a driver's file. */
interface DriverModule {
  /** One sentence for the configuration reference. */
  readonly about: string;
  /** The schema of its settings. Its `examples` are the ways to use the driver, the plainest first. */
  readonly settings: z.ZodType;
  /** Paths of the webmail's own server for Basic clients (DAV, ActiveSync); none when left out. */
  readonly davPaths?: readonly string[];
  create(parts: ConfiguredParts): WebmailDriver;
}

/** Every webmail driver, by its name in the configuration. A driver is loaded when a backend names it. */
const drivers = {
  roundcube: () => import('./roundcube/roundcube.ts'),
  sogo: () => import('./sogo.ts'),
  horde: () => import('./horde.ts'),
  form: () => import('./form.ts'),
  basic: () => import('./basic.ts'),
  header: () => import('./header.ts'),
  none: () => import('./none.ts'),
} as const satisfies Readonly<Record<string, () => Promise<DriverModule>>>;

/** The name of a webmail driver. */
export type DriverName = keyof typeof drivers;

/** The names of all webmail drivers; the first is the one that `postern init` proposes. */
export const driverNames = atLeastOne(Object.keys(drivers).filter(isDriverName));

/** Whether a webmail driver has this name. */
export function isDriverName(name: string): name is DriverName {
  return Object.hasOwn(drivers, name);
}

/** Makes the driver of this name for one backend. Its settings must have passed {@link driverProblems}. */
export async function loadDriver(name: string, parts: ConfiguredParts): Promise<WebmailDriver> {
  return (await loadDriverModule(name)).create(parts);
}

/**
 * The account that a driver opens without a password, with settings that have passed {@link driverProblems}. No server
 * is asked.
 */
export async function configuredMasterEntry(
  name: string,
  settings: DriverSettings,
  master: MasterIdentity | undefined,
): Promise<MasterEntry> {
  return (await idleDriver(name, settings, master)).masterEntry;
}

/**
 * The target of a driver's health checks, with settings that have passed {@link driverProblems}; undefined if it has
 * none of its own. No server is asked.
 */
export async function healthTargetOf(
  name: string,
  settings: DriverSettings,
  master: MasterIdentity | undefined,
): Promise<string | undefined> {
  return (await idleDriver(name, settings, master)).healthTarget;
}

/** A driver that is asked for its properties only. */
function idleDriver(
  name: string,
  settings: DriverSettings,
  master: MasterIdentity | undefined,
): Promise<WebmailDriver> {
  const exchange = { send: () => Promise.reject(new TypeError('only asked what it can')) };
  return loadDriver(name, {
    exchange,
    clock: { nowMs: () => 0 },
    settings,
    ...defined({ master }),
  });
}

/** Problems with the settings of a driver; empty if there are none. */
export async function driverProblems(name: string, settings: DriverSettings): Promise<readonly SettingProblem[]> {
  const parsed = parseSettings((await loadDriverModule(name)).settings, settings);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}

/** The file of a driver. Rejects with a TypeError for a name that the schema of the configuration refuses. */
export async function loadDriverModule(name: string): Promise<DriverModule> {
  if (!isDriverName(name)) throw new TypeError(`there is no webmail driver ${name}`);
  return drivers[name]();
}
