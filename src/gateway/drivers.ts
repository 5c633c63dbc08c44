import type { Config } from '../config/config.ts';
import { type BackendName, type CanonicalUser, nameForServer } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { Home } from '../login/authentication.ts';
import { loadDriver } from '../webmail/registry.ts';
import type { SharedParts } from './parts.ts';

/**
 * Loads the webmail drivers. Backends whose driver has no settings share one, so that 200 Roundcubes are asked once
 * whose script a request is from.
 */
export async function loadDrivers(
  backends: Config['backends'],
  { exchange, clock }: Pick<SharedParts, 'exchange' | 'clock'>,
): Promise<{ readonly drivers: readonly WebmailDriver[]; readonly byBackend: ReadonlyMap<BackendName, Home> }> {
  const drivers: WebmailDriver[] = [];
  const shared = new Map<string, WebmailDriver>();
  const byBackend = new Map<BackendName, Home>();
  for (const backend of backends.values()) {
    const { driver: driverName, driverSettings: settings, master } = backend;
    const plain = Object.keys(settings).length === 0;
    let driver = plain ? shared.get(driverName) : undefined;
    if (driver === undefined) {
      driver = await loadDriver(driverName, { exchange, clock, settings, ...defined({ master }) });
      drivers.push(driver);
      if (plain) shared.set(driverName, driver);
    }
    const named = naming(driver, backend.webmailLoginName);
    byBackend.set(backend.name, { backend, host: backend.hosts[0], driver: named });
  }
  return { drivers, byBackend };
}

/** The driver, with users named by the template. All other parts use the canonical name. */
function naming(driver: WebmailDriver, template: string | undefined): WebmailDriver {
  if (template === undefined || template === '%u') return driver;
  const asKnown = <As extends { readonly user: CanonicalUser }>(as: As): As => ({
    ...as,
    user: nameForServer(as.user, template),
  });
  return {
    ...driver,
    signIn: (host, as, signal) => driver.signIn(host, asKnown(as), signal),
    ...(driver.requestHeaders !== undefined && {
      requestHeaders: (head, as) => driver.requestHeaders?.(head, asKnown(as)) ?? [],
    }),
    ...(driver.pageToken !== undefined && { pageToken: (head, as) => driver.pageToken?.(head, asKnown(as)) }),
  };
}
