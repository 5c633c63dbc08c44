import { randomBytes } from 'node:crypto';
import type { StateReplica } from '../backends/state-replica.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { type BackendName, type RecordKey, newReference } from '../core/names.ts';
import type { MasterEntry } from '../core/webmail.ts';
import { createAssistPages } from '../http/assist-pages.ts';
import { type ConsolePagesDeps, createConsolePages } from '../http/console/routes.ts';
import type { FormTokens } from '../http/forms.ts';
import type { Views } from '../http/views.ts';
import type { AuthenticationDeps, Home } from '../login/authentication.ts';
import { createImpersonation } from '../support/impersonation.ts';
import { createMailboxExpiry, parseOpenedMailbox } from '../support/mailbox-expiry.ts';
import { createMasterMailboxes, noMaster } from '../support/master-mailboxes.ts';
import { createNoticeDelivery, createNotices, parseNotices } from '../support/notices.ts';
import { createOneTimeLinks, parseLink } from '../support/one-time-links.ts';
import { type AskPermission, createPermission } from '../support/permission.ts';
import { createRememberedRoleOf, createStaffChecks } from '../support/roles.ts';
import { type ConsoleOptions, openConsole } from './console.ts';
import { lookUpFresh } from './explain.ts';
import type { NodeSupport, SharedParts, SupportTables } from './parts.ts';

/** Declares the replicated tables of support. Must be called before the replica is opened. */
export function supportTables(state: Pick<StateReplica, 'table'>): SupportTables {
  return {
    links: state.table('links', parseLink),
    opened: state.table('opened', parseOpenedMailbox),
    notices: state.table('notices', parseNotices),
  };
}

/** Opens what a node keeps for its staff over every reload: the console, and the mailboxes that are open. */
export function openSupport(tables: SupportTables, given: Omit<ConsoleOptions, 'links'>): NodeSupport {
  const options = { ...given, links: tables.links };
  const { cluster, store, keys, sessions, holder, log } = options;
  const { audit } = cluster;
  const opened = new AsyncDisposableStack();
  const console = opened.use(openConsole(options));
  const staff = console.parts;
  const clock = systemClock;
  const staffChecks = createStaffChecks(staff.roleOf, staff.sessions);
  // A role may be used each second; the directory is asked once a minute.
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
  const mailboxExpiry = opened.use(
    createMailboxExpiry({
      staffChecks: createStaffChecks(rememberedRoleOf, staff.sessions),
      isNeverOpened: (user) => holder.config.support?.neverOpened.has(user) === true,
      opened: tables.opened,
      links,
      endOf: async (session: RecordKey) => {
        const found = await store.read(session);
        if (found.kind === 'found') return undefined;
        return found.kind === 'ended' ? found.reason : 'unknown';
      },
      end: (key, reason, by) => sessions.end(key, reason, by),
      audit,
      clock,
      log,
    }),
  );
  return {
    console,
    staffChecks,
    links,
    notices: createNotices(tables.notices),
    mailboxExpiry,
    refresh: () => cluster.state.refresh(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface SupportDeps extends SharedParts, Pick<AuthenticationDeps, 'parseName' | 'directory' | 'homeOf'> {
  readonly support: NodeSupport;
  /** A configured backend with its driver, in whatever state. */
  readonly configured: (name: BackendName) => Home | undefined;
  readonly staffLogin: ConsolePagesDeps['staffLogin'];
  readonly views: Views;
  readonly tokens: FormTokens;
}

type SupportSettings = NonNullable<Config['support']>;

/** Builds what one configuration makes of support: the pages under both of its host names, and the notices to users. */
export function createSupport(config: Config, settings: SupportSettings, deps: SupportDeps) {
  const { support, configured, views, clock } = deps;
  const masterMailboxes = masterMailboxesOf(config, deps);
  const impersonation = createImpersonation({
    ...deps,
    ...masterMailboxes,
    permission: permissionOf(settings, deps),
    staffChecks: support.staffChecks,
    links: support.links,
    placeOf: deps.homeOf,
    assistOrigin: settings.assist.origin,
  });
  const notices = createNoticeDelivery({
    ...deps,
    ...masterMailboxes,
    policy: settings.notice,
    notices: support.notices,
    refresh: support.refresh,
  });
  const console = createConsolePages({
    ...support.console.parts,
    staffLogin: deps.staffLogin,
    serviceName: config.login.branding.name,
    impersonation: {
      permission: impersonation.permission,
      start: (...asked) => impersonation.start(...asked),
      openedBy: (actor) => support.mailboxExpiry.of(actor),
      stop: (session) => support.mailboxExpiry.stop(session),
    },
    views,
  });
  const assist = createAssistPages({
    ...deps,
    impersonation,
    async tell({ grant, backend, host: hostName }) {
      const { subject, actor, reason, minutes } = grant;
      const host = configured(backend)?.backend.hosts.find(({ name }) => name === hostName);
      if (host !== undefined) await notices.tell(subject, { actor, reason, minutes, atMs: clock.nowMs() }, host);
    },
    mailboxExpiry: support.mailboxExpiry,
    consoleOrigin: settings.console.origin,
  });
  return { notices, pages: { console, assist } };
}

function permissionOf(
  { neverOpened }: SupportSettings,
  { parseName, directory, support: { staffChecks }, configured }: SupportDeps,
): AskPermission {
  return createPermission({
    parseName,
    directory,
    staffChecks,
    neverOpened,
    masterEntryOf(name) {
      const home = configured(name);
      return home === undefined ? undefined : masterEntryAt(home);
    },
  });
}

/** The mail server is asked as the master, too, whatever the webmail wants. */
function masterEntryAt({ backend: { name, master }, driver: { masterEntry } }: Home): MasterEntry {
  if (master !== undefined || masterEntry.kind === 'impossible') return masterEntry;
  return { kind: 'impossible', why: noMaster({ name }) };
}

function masterMailboxesOf(
  { backends, login, publicUrls }: Config,
  { mailServers, randomBytes, views: { locales } }: SupportDeps,
) {
  const first = locales.choose(login.branding.defaultLocale, undefined);
  return createMasterMailboxes({
    mailboxes: mailServers.mailboxes,
    backendOf: ({ name }) => [...backends.values()].find(({ hosts }) => hosts.some((host) => host.name === name)),
    newReference: () => newReference(randomBytes),
    newMessageId: () => randomBytes(16).toString('hex'),
    site: () => ({ name: login.branding.name, domain: new URL(publicUrls[0].origin).hostname }),
    languages: () => [first, ...locales.all.filter(({ tag }) => tag !== first.tag)],
  });
}
