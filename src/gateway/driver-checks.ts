import type { DriverChecks } from '../config/cross-checks.ts';

/** What the drivers themselves say of their settings. A driver is loaded when the configuration names it. */
export const driverChecks: DriverChecks = {
  async source(settings) {
    const { checkSource } = await import('../directory/registry.ts');
    return checkSource(settings);
  },
  async webmail(driver, settings) {
    const { driverProblems, isDriverName } = await import('../webmail/registry.ts');
    return isDriverName(driver) ? driverProblems(driver, settings) : [];
  },
  async masterEntry({ driver, driverSettings, master }) {
    const { isDriverName, masterEntryOf } = await import('../webmail/registry.ts');
    return isDriverName(driver)
      ? masterEntryOf(driver, driverSettings, master)
      : { kind: 'impossible', why: 'there is no such driver' };
  },
};
