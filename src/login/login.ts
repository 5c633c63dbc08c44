import type { BackendHost } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import {
  type AuthenticationRefusal,
  type LoginAttempt,
  type LoginAttemptsDeps,
  createLoginAttempts,
  type LoginOutcome,
  type PasswordAttempt,
} from './attempt.ts';
import { type AuthenticationDeps, requireConfigured, createAuthenticate, type Home } from './authentication.ts';

/** A login by the form: the password attempt, and the facts about the browser that the webmail needs. */
export interface LoginForm extends PasswordAttempt {
  readonly publicOrigin: string;
  readonly timeZone: string | undefined;
}

/** Dependencies of createLogin. */
export interface LoginDeps extends AuthenticationDeps, LoginAttemptsDeps {
  /**
   * Completes a move that waits for this login, once the password was right. Resolves with the backend of the user's
   * override; undefined if the user has none. Without it no move waits.
   */
  readonly arrived?: (user: CanonicalUser) => Promise<BackendName | undefined>;
}

/** Signs one user in. Rejects with the signal's reason when the client is gone. */
export type Login = (attempt: LoginForm, gone: AbortSignal) => Promise<LoginOutcome>;

/**
 * The use case of signing in: refuse malformed input, find the home, wait out the penalty, check the password, sign in
 * to the webmail.
 */
export function createLogin(deps: LoginDeps): Login {
  const run = createLoginAttempts(deps);
  const authenticate = createAuthenticate(deps);

  async function signIn(login: LoginAttempt, attempt: LoginForm): Promise<LoginOutcome> {
    const authenticated = await authenticate(login);
    if (authenticated.kind !== 'authenticated') return authenticated;
    const { user } = authenticated;
    const settled = await settledHome(login, user, authenticated.home);
    if ('closure' in settled) return { kind: 'closed', closure: settled.closure };
    login.times.enter('webmail');
    login.trace.backend = settled.backend.name;
    login.trace.host = settled.host.name;
    return enterWebmail(login, attempt, user, settled);
  }

  /** Completes a waiting move first. If that takes too long, the home is asked for again: the user is being moved. */
  async function settledHome(login: LoginAttempt, user: CanonicalUser, home: Home) {
    const { name } = home.backend;
    try {
      const override = await login.within('webmail', async () => deps.arrived?.(user));
      // Not asked for twice: the first answer knew of open sessions, and may have taken a down host's only trial.
      if (override === undefined || override === name) return home;
      return requireConfigured(override, deps.homeOf(override, user));
    } catch (error) {
      if (login.gone.aborted || !(error instanceof PosternError) || error.code !== 'ERR_DEADLINE') throw error;
      return requireConfigured(name, deps.homeOf(name, user));
    }
  }

  return (attempt, gone) => run(attempt, gone, (login) => signIn(login, attempt));
}

async function enterWebmail(
  login: LoginAttempt,
  { client, password, publicOrigin, timeZone }: LoginForm,
  user: CanonicalUser,
  home: Home,
): Promise<LoginOutcome> {
  const entered = await login.within('webmail', async (signal) =>
    home.driver.signIn(home.host, { user, password, client, timeZone, publicOrigin }, signal),
  );
  if (entered.kind === 'rejected') throw webmailDisagrees(home.host);
  const resumeTarget = (target: string) => home.driver.resumeTarget?.(target) ?? target;
  return { ...entered, user, backend: home.backend.name, host: home.host.name, resumeTarget };
}

/** The mail server accepted this password and the webmail did not: a fault between the two. */
function webmailDisagrees(host: BackendHost): PosternError {
  const message = `the webmail of ${host.name} refused a password that the mail server took`;
  return new PosternError('ERR_WEBMAIL_ANSWER', message, { source: 'webmail', retryable: false });
}

/** `authenticated`: name and password are right. That alone gives no access. */
type StaffLoginOutcome =
  | {
      readonly kind: 'authenticated';
      readonly user: CanonicalUser;
      readonly backend: BackendName;
      readonly host: string;
    }
  | AuthenticationRefusal;

/** Checks a staff member's own mailbox password. */
export type StaffLogin = (attempt: PasswordAttempt, gone: AbortSignal) => Promise<StaffLoginOutcome>;

/** Checks a staff member's own mailbox password as a login does, without the webmail. */
export function createStaffLogin(deps: AuthenticationDeps & LoginAttemptsDeps): StaffLogin {
  const run = createLoginAttempts(deps);
  const authenticate = createAuthenticate(deps);
  return (attempt, gone) =>
    run(attempt, gone, async (login): Promise<StaffLoginOutcome> => {
      const outcome = await authenticate(login);
      if (outcome.kind !== 'authenticated') return outcome;
      const { user, home } = outcome;
      return { kind: 'authenticated', user, backend: home.backend.name, host: home.host.name };
    });
}
