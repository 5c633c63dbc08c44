import { randomBytes } from 'node:crypto';
import type { StateMirror } from '../backends/state-replica.ts';
import type { Audit } from '../core/audit.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { EndReason, RecordKey, SessionStore } from '../core/session.ts';
import type { MirroredTable } from '../core/state-store.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import { createDuty, type Duty } from '../support/duty.ts';
import { createUpkeep, type Upkeep } from '../support/mailbox-expiry.ts';
import { createNotices, type Notice, type Notices, parseNotices } from '../support/notices.ts';
import { createLinks, type Links, parseLink, type StoredLink } from '../support/one-time-links.ts';
import { type OpenedMailbox, parseOpenedMailbox } from '../support/opened-mailboxes.ts';
import { createRememberedRoleOf, type RoleOf } from '../support/roles.ts';
import type { StaffSessions } from '../support/staff-sessions.ts';
import { lookUpFresh } from './look-up.ts';
import type { Site } from './site.ts';

/** What all nodes know of opened mailboxes. */
export interface SupportTables {
  readonly links: MirroredTable<StoredLink>;
  readonly opened: MirroredTable<OpenedMailbox>;
  readonly notices: MirroredTable<readonly Notice[]>;
}

/** To be called before the mirror is opened. */
export function supportTables(state: Pick<StateMirror, 'table'>): SupportTables {
  return {
    links: state.table('links', parseLink),
    opened: state.table('opened', parseOpenedMailbox),
    notices: state.table('notices', parseNotices),
  };
}

/** What a node keeps for its staff over every reload. */
export interface SupportStanding extends AsyncDisposable {
  readonly duty: Duty;
  readonly links: Links;
  readonly notices: Notices;
  readonly upkeep: Upkeep;
  /** Reads what other nodes wrote of all of this. Rejects when the state store cannot be asked. */
  readonly refresh: () => Promise<void>;
}

export interface SupportStandingOptions {
  readonly tables: SupportTables;
  readonly refresh: () => Promise<void>;
  readonly store: SessionStore;
  readonly keys: Pick<ServerKeys, 'current'>;
  readonly audit: Audit;
  /** Ends a session on all nodes. */
  readonly end: (session: RecordKey, reason: EndReason) => Promise<void>;
  readonly staff: { readonly roleOf: RoleOf; readonly sessions: StaffSessions };
  readonly site: () => Site;
  readonly log: Log;
}

export function openSupport(options: SupportStandingOptions): SupportStanding {
  const { tables, store, keys, audit, site, log, staff } = options;
  const clock = systemClock;
  const duty = createDuty(staff.roleOf, staff.sessions);
  // Of a role that is used each second the directory is asked each minute.
  const rememberedRoleOf = createRememberedRoleOf({
    settings: () => site().config.support,
    nameRules: () => site().config.directory.nameRules,
    lookupFresh: (user, signal) => lookUpFresh(site(), user, signal),
    clock,
  });
  const links = createLinks({
    table: tables.links,
    keys: () => keys.current().all.map((key) => key.subkey('assist link')),
    clock,
    randomBytes,
  });
  const upkeep = createUpkeep({
    duty: createDuty(rememberedRoleOf, staff.sessions),
    isNeverOpened: (user) => site().config.support?.neverOpened.has(user) === true,
    opened: tables.opened,
    links,
    endOf: async (session: RecordKey) => {
      const found = await store.read(session);
      if (found.kind === 'found') return undefined;
      return found.kind === 'ended' ? found.reason : 'unknown';
    },
    end: options.end,
    audit,
    clock,
    log,
  });
  return {
    duty,
    links,
    notices: createNotices(tables.notices),
    upkeep,
    refresh: options.refresh,
    [Symbol.asyncDispose]: () => upkeep[Symbol.asyncDispose](),
  };
}
