import { lab } from './lab.ts';

/** Holds the lab over a whole run of the tests, so that it is started and stopped once (`--test-global-setup`). */
export async function globalSetup(): Promise<void> {
  await lab('join', String(process.pid), 'a', 'b');
}

export async function globalTeardown(): Promise<void> {
  await lab('leave', String(process.pid));
}
