import { refusalBy, withLocks, withOverrides } from '../backends/user-orders.ts';
import type { Config } from '../config/config.ts';
import type { Backend, BackendHost, BackendLimits } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { HostKind } from '../core/http.ts';
import { createNetworkMatch } from '../core/ip-networks.ts';
import { type BackendName, createLoginNameParser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Placement } from '../core/placement.ts';
import { createMailRoutes } from '../directory-service/mail-routes.ts';
import type { Pages } from '../http/app.ts';
import { createBanner } from '../http/banner.ts';
import { createFormTokens } from '../http/forms.ts';
import { createAnswers } from '../http/gateway-answers.ts';
import { createPages } from '../http/pages.ts';
import { createViews } from '../http/views.ts';
import { createBasicLoginLog, createLoginLog, type LoginEvent } from '../login/attempt.ts';
import type { Home } from '../login/authentication.ts';
import { createBasicAuthentication } from '../login/basic-login.ts';
import { systemWait } from '../login/limits.ts';
import { createLogin, createStaffLogin, type LoginDeps } from '../login/login.ts';
import type { MailServers } from '../login/mail-servers.ts';
import { type BasicPaths, createBasicPaths } from '../proxy/basic-requests.ts';
import { createIngress } from '../proxy/ingress.ts';
import { createRequestHeaders } from '../proxy/request-headers.ts';
import type { BackendRoute } from '../proxy/session-requests.ts';
import { loadDrivers } from './drivers.ts';
import type { ConfigSnapshot, SharedParts } from './parts.ts';
import { openDirectory, openPenalty } from './stores.ts';

/** Builds a snapshot. Rejects if a driver cannot be loaded or the directory cannot be opened; nothing stays open then. */
export async function buildSnapshot(config: Config, parts: SharedParts): Promise<ConfigSnapshot> {
  const { clock, log } = parts;
  const { drivers, byBackend } = await loadDrivers(config.backends, parts);
  // Loaded before anything is opened, so that a failure leaves nothing open.
  const supportModule = config.support === undefined ? undefined : await import('./support.ts');
  const service = config.directoryService;
  const createDelivery =
    service?.socketmap === undefined && service?.tcpTable === undefined
      ? undefined
      : (await import('../directory-service/delivery.ts')).createDelivery;
  const homeOf: ConfigSnapshot['homeOf'] = (name) => byBackend.get(name);
  const names = new Map<string, Backend>(config.backends);
  const backendNamed: ConfigSnapshot['backendNamed'] = (name) => names.get(name);
  const views = createViews(config.login.branding);
  const directory = await openDirectory(config, log, parts);
  const overridden = withOverrides(directory, {
    overrides: parts.overrides,
    backendNamed: (name) => backendNamed(name)?.name,
  });
  const basicPaths = createBasicPaths(config.backends.values());
  const parseName = createLoginNameParser(config.directory.nameRules);
  const signInHomes = createLoginHomes(byBackend, parts.placement, parts.mailServers);
  const networkLock = (address: string) => {
    const lock = parts.locks.count === 0 ? undefined : parts.locks.ofAddress(address);
    return lock === undefined ? undefined : refusalBy(lock);
  };
  const common = {
    ...parts,
    parseName,
    directory: withLocks(overridden, parts.lockDirectory),
    networkLock,
    ...signInHomes,
  };
  const { login, staffLogin, basicAuthentication } = await createLogins(config, { ...common, arrived: parts.arrived });
  // A lock keeps nobody's mail away.
  const mailRoutes = { ...parts, parseName, directory: overridden, backends: config.backends };
  const tokens = createFormTokens(parts.formKeys, clock);
  const support =
    config.support === undefined || parts.support === undefined
      ? undefined
      : supportModule?.createSupport(config, config.support, {
          ...common,
          // Staff may look into a mailbox that is locked.
          directory: overridden,
          support: parts.support,
          configured: homeOf,
          staffLogin,
          views,
          tokens,
        });
  const tellsOfOpened = config.support !== undefined && config.support.notice !== 'never';
  const pages = createPages({ ...parts, login, views, notices: support?.notices ?? noNotices, tellsOfOpened });
  return {
    config,
    directory,
    homes: overridden,
    parseName,
    requestRules: createRequestRules(config, parts, basicPaths),
    pages: support === undefined ? pages : createAllPages({ ...support.pages, public: pages }),
    bannerOf: createBanner({ ...parts, assets: views.assistAssets, locales: views.locales, tokens }),
    answers: createAnswers(views, clock),
    basicPaths,
    basicAuthentication,
    drivers,
    homeOf,
    backendNamed,
    forgetHome: (user) => directory.drop(user),
    routes: createRoutes(byBackend, parts.placement),
    routeMail: createMailRoutes({ ...common, backends: config.backends }),
    ...(service === undefined || createDelivery === undefined
      ? {}
      : { askDelivery: createDelivery({ ...mailRoutes, service, nameRules: config.directory.nameRules }) }),
    mayAskForRoutes: createNetworkMatch(config.directoryService?.allow ?? []),
    backendOfHost: createBackendOfHost(config.backends),
    limitsOf: createLimits(config.backends),
    isTrustedProxy: createNetworkMatch(config.trustedProxies),
    isExempt: createNetworkMatch(config.login.exemptNetworks),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

const noNotices = { pending: () => [], pendingNow: async () => [], read: () => Promise.resolve() };

/** The gateway's own pages by the kind of host name. */
function createAllPages(pages: Readonly<Record<HostKind, Pages>>): Pages {
  return (request, response, ingress) => pages[ingress.hostKind](request, response, ingress);
}

/** The rules of each listener: the console is served on the public one, or has one of its own. */
function createRequestRules(
  { publicUrls, trustedProxies, support, requests }: Config,
  parts: SharedParts,
  basicPaths: BasicPaths | undefined,
): ConfigSnapshot['requestRules'] {
  const shared = {
    maxFields: requests.headerFields,
    basicPaths,
    requestHeaders: createRequestHeaders({ alsoDropped: requests.dropHeaders }),
  };
  const common = { ...parts, trustedProxies };
  const console = defined({ console: support?.console });
  const assist = defined({ assist: support?.assist });
  return {
    public: {
      ...shared,
      ingress: createIngress({
        ...common,
        publicUrls,
        ...assist,
        ...(support?.listen === undefined ? console : {}),
      }),
    },
    console: { ...shared, ingress: createIngress({ ...common, publicUrls: [], ...console }) },
  };
}

function createRoutes(homes: ReadonlyMap<BackendName, Home>, placement: Placement): ConfigSnapshot['routes'] {
  const routes = new Map<BackendName, BackendRoute>();
  for (const [name, { backend, driver }] of homes) {
    routes.set(name, { backend, driver, placement });
  }
  return routes;
}

function createBackendOfHost(backends: Config['backends']): ConfigSnapshot['backendOfHost'] {
  const names = new Map<string, BackendName>();
  for (const backend of backends.values()) for (const { name } of backend.hosts) names.set(name, backend.name);
  return (host) => names.get(host);
}

function createLimits(backends: Config['backends']): ConfigSnapshot['limitsOf'] {
  const limits = new Map<string, BackendLimits>();
  for (const backend of backends.values()) for (const { name } of backend.hosts) limits.set(name, backend.limits);
  return ({ name }) => {
    const found = limits.get(name);
    if (found === undefined) throw unconfigured(name);
    return found;
  };
}

/** A session or a login may outlive its host. */
function unconfigured(host: string): PosternError {
  const message = `the host ${host} is not configured any more`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', message, { source: 'webmail', retryable: false });
}

/** The homes for logins: through the form, and of Basic clients. */
export function createLoginHomes(
  homes: ReadonlyMap<BackendName, Home>,
  placement: Placement,
  mailServers: Pick<MailServers, 'isSilent' | 'isSomeReferrerSilent'>,
): SignInHomes {
  const isSilent = ({ name }: BackendHost): boolean => mailServers.isSilent(name);

  /** A host that can check passwords while the backend accepts no logins. */
  function checkingHomeOf(home: Home): Home | undefined {
    const host = placement.passwordHosts(home.backend).find((each) => !isSilent(each));
    return host === undefined ? undefined : { ...home, host };
  }

  /** In a pool each user has one host, so one silent host leaves some users unchecked. */
  function hasSilence({ backend }: Home): boolean {
    const hosts = placement.passwordHosts(backend);
    return hosts.length === 0 || hosts.some(isSilent);
  }

  const homeOf: LoginDeps['homeOf'] = (name, user, stays) => {
    const home = homes.get(name);
    if (home === undefined) return undefined;
    const place = placement.forSignIn(home.backend, user, stays);
    if (place.kind === 'here') return { ...home, host: place.host };
    const checking = checkingHomeOf(home);
    return { closure: place.closure, ...defined({ home: checking }) };
  };
  return {
    homeOf,
    clientHomeOf(name, user) {
      const home = homes.get(name);
      const found = homeOf(name, user);
      const drains =
        found !== undefined && 'closure' in found && found.closure.kind === 'drain' && found.home !== undefined;
      // A Basic request is not a new session: it is served while a backend drains.
      return drains && home !== undefined ? { ...home, host: placement.activeHost(home.backend) } : found;
    },
    isSomeHomeSilent: () => mailServers.isSomeReferrerSilent() || [...homes.values()].some(hasSilence),
  };
}

interface SignInHomes {
  readonly homeOf: LoginDeps['homeOf'];
  /** For Basic clients. */
  readonly clientHomeOf: LoginDeps['homeOf'];
  readonly isSomeHomeSilent: LoginDeps['isSomeHomeSilent'];
}

/** Creates the logins: through the form, at the console, and of Basic clients. */
async function createLogins(
  config: Config,
  parts: SharedParts &
    Pick<LoginDeps, 'parseName' | 'directory' | 'networkLock' | 'homeOf' | 'isSomeHomeSilent'> & {
      readonly clientHomeOf: LoginDeps['homeOf'];
    },
) {
  const { clock, log, clientChecks, mailServers } = parts;
  const { refusalAfterMs, deadlineMs } = config.login;
  const penalty = await openPenalty(config, parts);
  const logLogin = createLoginLog(log, clock, refusalAfterMs);
  const logBasicLogin = createBasicLoginLog(log);
  const common = { ...parts, penalty, passdb: mailServers.passdb, wait: systemWait, deadlineMs, refusalAfterMs };
  const observe = (event: LoginEvent): void => {
    logLogin(event);
    parts.loginFinished(event);
  };
  return {
    login: parts.countedLogin(
      createLogin({
        ...common,
        observe(event) {
          observe(event);
          parts.noteLogin('web', event);
        },
      }),
    ),
    // Staff with a mailbox on a draining backend may be the ones who look after it.
    staffLogin: parts.countedLogin(createStaffLogin({ ...common, homeOf: parts.clientHomeOf, observe })),
    basicAuthentication: createBasicAuthentication({
      ...common,
      homeOf: parts.clientHomeOf,
      checks: clientChecks,
      observe(event) {
        logBasicLogin(event);
        if (event.isChecked === true) return;
        parts.clientChecked(event);
        parts.noteLogin('program', event);
      },
    }),
  };
}
