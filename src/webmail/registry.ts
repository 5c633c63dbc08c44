import type { z } from 'zod';
import type { DriverSettings, MasterIdentity, SettingProblem } from '../core/backend.ts';
import type { MasterEntry, WebmailDriver } from '../core/webmail.ts';
import type { ConfiguredParts } from './browser.ts';
import { parseSettings } from './driver-settings.ts';

/** What every file of a driver exports. */
interface DriverModule {
  /** What it is, for the reference. */
  readonly about: string;
  /** The schema of its settings. */
  readonly settings: z.ZodType;
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

/** Whether a webmail driver has this name. */
export function isDriverName(name: string): name is DriverName {
  return Object.hasOwn(drivers, name);
}

/** Makes the driver of this name for one backend. Its settings must have passed {@link driverProblems}. */
export async function loadDriver(name: DriverName, parts: ConfiguredParts): Promise<WebmailDriver> {
  const module = await loadModule(name);
  return module.create(parts);
}

/**
 * The account that a driver opens without a password, with settings that have passed {@link driverProblems}; it asks
 * nobody.
 */
export async function masterEntryOf(
  name: DriverName,
  settings: DriverSettings,
  master: MasterIdentity | undefined,
): Promise<MasterEntry> {
  return (await idleDriver(name, settings, master)).masterEntry;
}

/**
 * What the health checks of a driver ask for, with settings that have passed {@link driverProblems}; it asks nobody.
 */
export async function healthTargetOf(
  name: DriverName,
  settings: DriverSettings,
  master: MasterIdentity | undefined,
): Promise<string | undefined> {
  return (await idleDriver(name, settings, master)).healthTarget;
}

/** A driver that is only asked what it can. */
function idleDriver(
  name: DriverName,
  settings: DriverSettings,
  master: MasterIdentity | undefined,
): Promise<WebmailDriver> {
  const exchange = { send: () => Promise.reject(new TypeError('only asked what it can')) };
  return loadDriver(name, {
    exchange,
    clock: { nowMs: () => 0 },
    settings,
    ...(master === undefined ? {} : { master }),
  });
}

/** What is wrong with the settings of a driver; empty if nothing is. */
export async function driverProblems(name: DriverName, settings: DriverSettings): Promise<readonly SettingProblem[]> {
  const parsed = parseSettings((await loadModule(name)).settings, settings);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}

/** The module of a driver: what it is, and the schema of its settings. */
function loadModule(name: DriverName): Promise<DriverModule> {
  return drivers[name]();
}
