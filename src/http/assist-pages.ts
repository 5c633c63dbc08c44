import type { ErrorPageDeps } from './error-page.ts';
import { createOwnApp, type Pages } from './own-app.ts';

/** Builds the gateway's own pages under the host name of opened mailboxes. */
export function createAssistPages(deps: ErrorPageDeps): Pages {
  return createOwnApp(deps, () => {});
}
