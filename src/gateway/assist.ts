import type { Audit } from '../core/audit.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { BackendName } from '../core/names.ts';
import type { OpenedMailbox } from '../http/assist-pages.ts';
import { createImpersonation, type Impersonation, type ImpersonationDeps } from '../support/impersonation.ts';
import { createPermission } from '../support/permission.ts';
import { createTelling, type Telling, type TellingDeps } from '../support/telling.ts';
import type { AuthenticationDeps, Home } from '../login/authentication.ts';
import type { SupportStanding } from './support.ts';

export interface AssistDeps extends Pick<AuthenticationDeps, 'parseName' | 'directory' | 'homeOf'> {
  readonly support: SupportStanding;
  /** A configured backend with its driver, in whatever state. */
  readonly configured: (name: BackendName) => Home | undefined;
  readonly checkMaster: ImpersonationDeps['checkMaster'];
  readonly appendMessage: TellingDeps['appendMessage'];
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
}

/** What one configuration makes of support. */
export interface Assist {
  readonly impersonation: Impersonation;
  readonly telling: Telling;
  /** Tells the user of an opened mailbox, as the operator decided. */
  tell(opened: OpenedMailbox): Promise<void>;
}

export function createAssist(settings: NonNullable<Config['support']>, deps: AssistDeps): Assist {
  const { support, configured, clock } = deps;
  const permission = createPermission({
    parseName: deps.parseName,
    directory: deps.directory,
    duty: support.duty,
    neverOpened: settings.neverOpened,
    masterEntryOf: (name) => configured(name)?.driver.masterEntry,
  });
  const impersonation = createImpersonation({
    ...deps,
    permission,
    duty: support.duty,
    links: support.links,
    placeOf: deps.homeOf,
    assistOrigin: settings.assist.origin,
  });
  const telling = createTelling({ ...deps, policy: settings.notice, notices: support.notices });
  return {
    impersonation,
    telling,
    async tell({ opening, backend, host: hostName }) {
      const { subject, actor, reason, minutes } = opening;
      const host = configured(backend)?.backend.hosts.find(({ name }) => name === hostName);
      if (host !== undefined) await telling.tell(subject, { actor, reason, minutes, atMs: clock.nowMs() }, host);
    },
  };
}
