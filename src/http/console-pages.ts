import type { ErrorPageDeps } from './error-page.ts';
import { createOwnApp, type Pages } from './own-app.ts';

/** Builds the console of the staff: everything under its host name. */
export function createConsolePages(deps: ErrorPageDeps): Pages {
  return createOwnApp(deps, () => {});
}
