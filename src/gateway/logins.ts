import type { Config } from '../config/config.ts';
import type { BackendHost } from '../core/backend.ts';
import type { BackendName } from '../core/names.ts';
import type { Placement } from '../core/placement.ts';
import { newReference } from '../http/request-context.ts';
import { createLoginLog, type LoginEvent } from '../login/attempt.ts';
import type { Home } from '../login/authentication.ts';
import { createClientAuthentication, createClientCheckLog } from '../login/basic-login.ts';
import { systemWait } from '../login/limits.ts';
import { createLogin, createStaffLogin, type LoginDeps } from '../login/login.ts';
import type { MailServers } from '../login/mail-servers.ts';
import type { SharedParts } from './parts.ts';

/** Where users are signed in now: by the page, and where they come with each request. */
export function createSignInHomes(
  homes: ReadonlyMap<BackendName, Home>,
  placement: Placement,
  mailServers: Pick<MailServers, 'isSilent' | 'isSomeReferrerSilent'>,
): SignInHomes {
  const isSilent = ({ name }: BackendHost): boolean => mailServers.isSilent(name);

  /** A host that can be asked about passwords while nobody is signed in. */
  function judgeOf(home: Home): Home | undefined {
    const host = placement.passwordHosts(home.backend).find((each) => !isSilent(each));
    return host === undefined ? undefined : { ...home, host };
  }

  /** Of a pool, each host has users of its own. */
  function hasSilence({ backend }: Home): boolean {
    const hosts = placement.passwordHosts(backend);
    return hosts.length === 0 || hosts.some(isSilent);
  }

  const homeOf: LoginDeps['homeOf'] = (name, user, stays) => {
    const home = homes.get(name);
    if (home === undefined) return undefined;
    const place = placement.forSignIn(home.backend, user, stays);
    if (place.kind === 'here') return { ...home, host: place.host };
    const judge = judgeOf(home);
    return { closure: place.closure, ...(judge === undefined ? {} : { home: judge }) };
  };
  return {
    homeOf,
    clientHomeOf(name, user) {
      const home = homes.get(name);
      const found = homeOf(name, user);
      const drains =
        found !== undefined && 'closure' in found && found.closure.kind === 'drain' && found.home !== undefined;
      // A client that comes with each request is no new session: while a backend drains, it goes on.
      return drains && home !== undefined ? { ...home, host: placement.activeHost(home.backend) } : found;
    },
    isSomeHomeSilent: () => mailServers.isSomeReferrerSilent() || [...homes.values()].some(hasSilence),
  };
}

interface SignInHomes {
  readonly homeOf: LoginDeps['homeOf'];
  /** For clients that come with each request. */
  readonly clientHomeOf: LoginDeps['homeOf'];
  readonly isSomeHomeSilent: LoginDeps['isSomeHomeSilent'];
}

/** The ways to sign in: by the page, at the console, and with each request. */
export function createLogins(
  { refusalAfterMs, deadlineMs }: Config['login'],
  parts: SharedParts &
    Pick<LoginDeps, 'parseName' | 'directory' | 'homeOf' | 'isSomeHomeSilent'> & {
      readonly clientHomeOf: LoginDeps['homeOf'];
    },
) {
  const { clock, log, clientChecks, mailServers } = parts;
  const logLogin = createLoginLog(log, clock, refusalAfterMs);
  const logClientCheck = createClientCheckLog(log);
  const common = { ...parts, passdb: mailServers.passdb, wait: systemWait, deadlineMs, refusalAfterMs };
  const observe = (event: LoginEvent): void => {
    logLogin(event);
    parts.loginFinished(event);
  };
  return {
    login: createLogin({ ...common, observe }),
    // Who has a mailbox on a backend that drains can still be the one to look after it.
    staffLogin: createStaffLogin({ ...common, homeOf: parts.clientHomeOf, observe }),
    clientAuthentication: createClientAuthentication({
      ...common,
      homeOf: parts.clientHomeOf,
      checks: clientChecks,
      newReference: () => newReference(parts.randomBytes),
      observe(event) {
        logClientCheck(event);
        parts.clientChecked(event);
      },
    }),
  };
}
