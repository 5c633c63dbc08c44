import { randomBytes } from 'node:crypto';
import type { StateReplica } from '../backends/state-replica.ts';
import type { Config } from '../config/config.ts';
import type { Audit } from '../core/audit.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { BackendName } from '../core/names.ts';
import type { RecordKey, SessionStore } from '../core/session.ts';
import type { MasterEntry } from '../core/webmail.ts';
import type { ConsolePagesDeps } from '../http/console/routes.ts';
import type { Locales } from '../http/locales.ts';
import { newReference } from '../http/request-context.ts';
import type { AuthenticationDeps, Home } from '../login/authentication.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import {
  createImpersonation,
  type Impersonation,
  type ImpersonationDeps,
  type OpenedWebmail,
} from '../support/impersonation.ts';
import { createMailboxExpiry, parseOpenedMailbox } from '../support/mailbox-expiry.ts';
import { createMasterMailboxes, noMaster } from '../support/master-mailboxes.ts';
import {
  createNoticeDelivery,
  createNotices,
  type NoticeDelivery,
  type NoticeDeliveryDeps,
  parseNotices,
} from '../support/notices.ts';
import { createOneTimeLinks, parseLink } from '../support/one-time-links.ts';
import { createPermission } from '../support/permission.ts';
import { createRememberedRoleOf, createStaffChecks } from '../support/roles.ts';
import { lookUpFresh } from './explain.ts';
import type { ClusterState, ConfigHolder, NodeConsole, NodeSupport, SharedParts, SupportTables } from './parts.ts';

/** To be called before the replica is opened. */
export function supportTables(state: Pick<StateReplica, 'table'>): SupportTables {
  return {
    links: state.table('links', parseLink),
    opened: state.table('opened', parseOpenedMailbox),
    notices: state.table('notices', parseNotices),
  };
}

interface NodeSupportOptions {
  readonly cluster: ClusterState;
  readonly store: SessionStore;
  readonly keys: Pick<ServerKeys, 'current'>;
  readonly sessions: Pick<NodeSessions, 'end'>;
  readonly console: NodeConsole;
  readonly holder: ConfigHolder;
  readonly log: Log;
}

/** Opens what a node keeps for its staff over every reload. */
export function openSupport({ cluster, store, keys, sessions, console, holder, log }: NodeSupportOptions): NodeSupport {
  const { audit, support: tables } = cluster;
  const staff = console.parts;
  const clock = systemClock;
  const staffChecks = createStaffChecks(staff.roleOf, staff.sessions);
  // Of a role that is used each second the directory is asked each minute.
  const rememberedRoleOf = createRememberedRoleOf({
    settings: () => holder.config.support,
    nameRules: () => holder.config.directory.nameRules,
    lookupFresh: (user, signal) => lookUpFresh(holder.current, user, signal),
    clock,
  });
  const links = createOneTimeLinks({
    table: tables.links,
    keys: () => keys.current().all.map((key) => key.subkey('assist link')),
    clock,
    randomBytes,
  });
  const mailboxExpiry = createMailboxExpiry({
    staffChecks: createStaffChecks(rememberedRoleOf, staff.sessions),
    isNeverOpened: (user) => holder.config.support?.neverOpened.has(user) === true,
    opened: tables.opened,
    links,
    endOf: async (session: RecordKey) => {
      const found = await store.read(session);
      if (found.kind === 'found') return undefined;
      return found.kind === 'ended' ? found.reason : 'unknown';
    },
    end: (key, reason) => sessions.end(key, reason),
    audit,
    clock,
    log,
  });
  return {
    staffChecks,
    links,
    notices: createNotices(tables.notices),
    mailboxExpiry,
    refresh: () => cluster.state.refresh(),
    [Symbol.asyncDispose]: () => mailboxExpiry[Symbol.asyncDispose](),
  };
}

interface AssistDeps extends Pick<AuthenticationDeps, 'parseName' | 'directory' | 'homeOf'> {
  readonly support: NodeSupport;
  /** A configured backend with its driver, in whatever state. */
  readonly configured: (name: BackendName) => Home | undefined;
  readonly checkMaster: ImpersonationDeps['checkMaster'];
  readonly appendMessage: NoticeDeliveryDeps['appendMessage'];
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
}

/** What one configuration makes of support. */
interface Assist {
  readonly impersonation: Impersonation;
  readonly telling: NoticeDelivery;
  /** Tells the user of an opened mailbox, as the operator decided. */
  tell(opened: OpenedWebmail): Promise<void>;
}

function createAssist(settings: NonNullable<Config['support']>, deps: AssistDeps): Assist {
  const { support, configured, clock } = deps;
  const permission = createPermission({
    parseName: deps.parseName,
    directory: deps.directory,
    staffChecks: support.staffChecks,
    neverOpened: settings.neverOpened,
    masterEntryOf(name) {
      const home = configured(name);
      return home === undefined ? undefined : openingOf(home);
    },
  });
  const impersonation = createImpersonation({
    ...deps,
    permission,
    staffChecks: support.staffChecks,
    links: support.links,
    placeOf: deps.homeOf,
    assistOrigin: settings.assist.origin,
  });
  const telling = createNoticeDelivery({
    ...deps,
    policy: settings.notice,
    notices: support.notices,
    refresh: support.refresh,
  });
  return {
    impersonation,
    telling,
    async tell({ grant, backend, host: hostName }) {
      const { subject, actor, reason, minutes } = grant;
      const host = configured(backend)?.backend.hosts.find(({ name }) => name === hostName);
      if (host !== undefined) await telling.tell(subject, { actor, reason, minutes, atMs: clock.nowMs() }, host);
    },
  };
}

/** The mail server is asked as the master, too, whatever the webmail wants. */
function openingOf({ backend: { name, master }, driver: { masterEntry } }: Home): MasterEntry {
  if (master !== undefined || masterEntry.kind === 'impossible') return masterEntry;
  return { kind: 'impossible', why: noMaster({ name }) };
}

/** Undefined if the configuration has no support. */
export function assistOf(
  { support: settings, backends, login, publicUrls }: Config,
  deps: SharedParts & Omit<AssistDeps, 'support' | 'checkMaster' | 'appendMessage'>,
  locales: Locales,
) {
  const { support } = deps;
  if (settings === undefined || support === undefined) return undefined;
  const first = locales.choose(login.branding.defaultLocale, undefined);
  const masterMailboxes = createMasterMailboxes({
    mailboxes: deps.mailServers.mailboxes,
    backendOf: ({ name }) => [...backends.values()].find(({ hosts }) => hosts.some((host) => host.name === name)),
    newReference: () => newReference(deps.randomBytes),
    newMessageId: () => deps.randomBytes(16).toString('hex'),
    site: () => ({ name: login.branding.name, domain: new URL(publicUrls[0].origin).hostname }),
    languages: () => [first, ...locales.all.filter(({ tag }) => tag !== first.tag)],
  });
  return {
    ...createAssist(settings, { ...deps, ...masterMailboxes, support }),
    mailboxExpiry: support.mailboxExpiry,
    consoleOrigin: settings.console.origin,
  };
}

const refusesAll = async () => ({ kind: 'refused', why: 'not-support' }) as const;

/** Opening mailboxes from the console; a gateway without support has no console, and refuses. */
export function consoleImpersonation(assist: ReturnType<typeof assistOf>): ConsolePagesDeps['impersonation'] {
  if (assist === undefined) {
    return { permission: refusesAll, start: refusesAll, openedBy: () => [], stop: async () => {} };
  }
  return {
    permission: assist.impersonation.permission,
    start: (...asked) => assist.impersonation.start(...asked),
    openedBy: (actor) => assist.mailboxExpiry.of(actor),
    stop: (session) => assist.mailboxExpiry.stop(session),
  };
}
