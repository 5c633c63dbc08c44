import type { WebmailDriver } from '../core/webmail.ts';
import type { SettingProblem } from './form-settings.ts';
import type { DriverParts } from './visit.ts';

interface DriverModule {
  create(parts: DriverParts & { readonly settings: Readonly<Record<string, unknown>> }): WebmailDriver;
}

/** Every webmail driver, by its name in the configuration. A driver is loaded when a backend names it. */
const drivers = {
  roundcube: () => import('./roundcube.ts'),
  form: () => import('./form.ts'),
  none: () => import('./none.ts'),
} as const satisfies Readonly<Record<string, () => Promise<DriverModule>>>;

export type DriverName = keyof typeof drivers;

export function isDriverName(name: string): name is DriverName {
  return Object.hasOwn(drivers, name);
}

/** Makes the driver of this name for one backend. Its settings must have passed {@link driverProblems}. */
export async function loadDriver(
  name: DriverName,
  parts: DriverParts & { readonly settings: Readonly<Record<string, unknown>> },
): Promise<WebmailDriver> {
  const module: DriverModule = await drivers[name]();
  return module.create(parts);
}

/** What is wrong with the settings of a driver; empty when nothing is. */
export async function driverProblems(
  name: DriverName,
  settings: Readonly<Record<string, unknown>>,
): Promise<readonly SettingProblem[]> {
  if (name !== 'form') return [];
  const { parseFormSettings } = await import('./form-settings.ts');
  const parsed = parseFormSettings(settings);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}
