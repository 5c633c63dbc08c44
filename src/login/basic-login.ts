import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { type HomeLookup, type ReferredUser, TryAgainLater } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import {
  type BackendName,
  type CanonicalUser,
  type LoginName,
  type LoginNameParser,
  type RequestIds,
  requestIdsOf,
} from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type {
  BasicAdmission,
  BasicAuthentication,
  BasicLoginAttempt,
  BasicLoginCredentials,
  PasswordCheck,
  ServerWords,
} from '../core/passdb.ts';
import type { Closure } from '../core/placement.ts';
import type { BasicLoginEvent } from './attempt.ts';
import {
  type AuthenticationDeps,
  cannotBeChecked,
  checkingHome,
  type ClosedHome,
  findReferredHome,
  findUser,
  type FoundUser,
  type Home,
  isMalformedPassword,
  requireConfigured,
} from './authentication.ts';
import { neverGone, type Wait } from './limits.ts';
import type { VerifiedPassword, VerifiedPasswords } from './verified-passwords.ts';

interface BasicAuthenticationDeps
  extends Pick<AuthenticationDeps, 'parseName' | 'directory' | 'networkLock' | 'penalty' | 'passdb'> {
  readonly checks: VerifiedPasswords;
  /** As for a sign-in by the page. */
  readonly homeOf: (backend: BackendName, user: CanonicalUser) => Home | ClosedHome | undefined;
  readonly clock: Clock;
  readonly wait: Wait;
  readonly observe: (event: BasicLoginEvent) => void;
  /** Deadline of each question, the penalty not counted; milliseconds. */
  readonly deadlineMs: number;
  /** Refusals of a password that was not tried in the last minute are sent this long after the request's arrival. */
  readonly refusalAfterMs: number;
  /** As for a sign-in by the page. */
  readonly isSomeHomeSilent: () => boolean;
}

/** The answer for a known user whose password was not tried, or could not help. */
const basicRefusals = {
  expired: 'This password has expired. Sign in on the web to see what to do.',
  'contact-admin': 'The mail server refuses this account. Ask your administrator.',
  insecure: 'The mail server takes no password over this connection. Ask your administrator.',
} as const satisfies Partial<Record<PasswordCheck['kind'], string>>;

/** One request of a Basic client, with the facts of its event. */
interface BasicAttempt {
  readonly credentials: BasicLoginCredentials;
  readonly ids: RequestIds;
  readonly arrivedAtMs: number;
  trace: Pick<BasicLoginEvent, 'user' | 'backend' | 'host' | 'why' | 'said' | 'isChecked'>;
}

/**
 * The login of clients that authenticate on every request. Name, directory and home are looked up each time, so that a
 * moved user is routed at once; the password is checked at most once a minute. Refusals and penalties are those of the
 * sign-in page. While the mail server of some users is silent, unknown users get the same answer as those users.
 */
export function createBasicAuthentication(deps: BasicAuthenticationDeps): BasicAuthentication {
  return new BasicLogin(deps);
}

class BasicLogin implements BasicAuthentication {
  readonly #deps: BasicAuthenticationDeps;

  constructor(deps: BasicAuthenticationDeps) {
    this.#deps = deps;
  }

  async admit(credentials: BasicLoginAttempt, gone: AbortSignal): Promise<BasicAdmission> {
    const arrivedAtMs = this.#deps.clock.nowMs();
    const attempt: BasicAttempt = { credentials, ids: requestIdsOf(credentials), arrivedAtMs, trace: {} };
    try {
      return this.#deps.networkLock?.(credentials.client.address) ?? (await this.#decide(attempt, gone));
    } catch (error) {
      if (gone.aborted) throw error;
      this.#report(attempt, { result: error instanceof PosternError ? 'unavailable' : 'failed', error });
      const isBusy = error instanceof PosternError && error.code === 'ERR_BUSY';
      return { kind: isBusy ? 'busy' : 'unavailable', reference: attempt.ids.reference };
    }
  }

  async isStillAt(user: CanonicalUser, backend: BackendName, host: string): Promise<boolean> {
    const parsed = this.#deps.parseName(user);
    if (parsed.kind === 'malformed') return false;
    try {
      const lookup = await this.#lookUp(parsed.name, neverGone);
      // The directory does not answer now: the earlier answer stands.
      if (lookup.kind === 'referred') return true;
      if (lookup.kind !== 'found' || lookup.backend !== backend) return false;
      const home = this.#deps.homeOf(backend, user);
      return home !== undefined && 'host' in home && home.host.name === host;
    } catch (error) {
      if (error instanceof PosternError) return true;
      throw error;
    }
  }

  distrust(user: CanonicalUser, backend: BackendName, credentials: Omit<BasicLoginCredentials, 'user'>): void {
    this.#deps.checks.forget(checkOf(user, backend, credentials));
  }

  async #decide(attempt: BasicAttempt, gone: AbortSignal): Promise<BasicAdmission> {
    const { credentials } = attempt;
    const parsed = this.#deps.parseName(withoutDomainPrefix(credentials.user, this.#deps.parseName));
    if (parsed.kind === 'malformed' || isMalformedPassword(credentials.password)) return { kind: 'rejected' };
    attempt.trace = { user: parsed.name };
    const found = await withDeadline({ source: 'directory', ms: this.#deps.deadlineMs }, gone, (signal) =>
      findUser(this.#deps.directory, parsed.name, signal),
    );
    const admission = await this.#decideFor(attempt, parsed.name, found, gone);
    const isUntold = admission.kind === 'rejected' && this.#deps.isSomeHomeSilent();
    return isUntold ? { kind: 'unavailable', reference: attempt.ids.reference } : admission;
  }

  async #decideFor(
    attempt: BasicAttempt,
    name: LoginName,
    found: FoundUser,
    gone: AbortSignal,
  ): Promise<BasicAdmission> {
    const { credentials } = attempt;
    if (found.kind === 'nobody') {
      attempt.trace = { ...attempt.trace, why: found.why };
      await this.#triedNowhere(attempt, name, gone);
      return { kind: 'rejected' };
    }
    const { user } = found;
    if (found.kind === 'referred') {
      const known = checkOf(user, '', credentials);
      const said = await this.#deps.checks.verdict(known, gone, (allGone) =>
        this.#tryPassword(attempt, allGone, () => this.#askReferrer(attempt, found, allGone)),
      );
      if (said !== 'right') return admissionFor(said);
      if (found.refusal !== undefined) return found.refusal;
      // The directory has learned the home, and remembers it for a time.
      this.#deps.checks.forget(known);
    }
    const { backend } = found.kind === 'referred' ? await this.#learnedHome(name, gone) : found;
    const home = requireConfigured(backend, this.#deps.homeOf(backend, user));
    const checking = checkingHome(home);
    if ('closure' in checking) {
      attempt.trace = { user, backend };
      await this.#triedNowhere(attempt, name, gone, { isReported: false });
      throw cannotBeChecked(checking.closure);
    }
    attempt.trace = { user, backend, host: checking.host.name };
    const verdict = await this.#deps.checks.verdict(checkOf(user, backend, credentials), gone, (allGone) =>
      this.#tryPassword(attempt, allGone, () => this.#askHome(attempt, user, checking, allGone)),
    );
    if (verdict !== 'right') return admissionFor(verdict);
    attempt.trace = { ...attempt.trace, isChecked: true };
    if (found.kind === 'barred') return barred(found);
    if ('closure' in home) throw closed(home.closure);
    return { kind: 'admitted', user, ...home };
  }

  /** Counts like a wrong password: clients cannot tell the two apart. */
  async #triedNowhere(
    attempt: BasicAttempt,
    name: LoginName,
    gone: AbortSignal,
    how = { isReported: true },
  ): Promise<void> {
    await this.#deps.checks.verdict(checkOf(name, '', attempt.credentials), gone, (allGone) =>
      this.#tryPassword(attempt, allGone, async () => 'wrong', how),
    );
  }

  #lookUp(name: LoginName, gone: AbortSignal): Promise<HomeLookup> {
    return withDeadline({ source: 'directory', ms: this.#deps.deadlineMs }, gone, async (signal) =>
      this.#deps.directory.lookup(name, signal),
    );
  }

  async #learnedHome(name: LoginName, gone: AbortSignal): Promise<HomeLookup & { kind: 'found' }> {
    const lookup = await this.#lookUp(name, gone);
    if (lookup.kind === 'found') return lookup;
    const message = 'a home that a server said at a sign-in is not remembered: is directory.cache.found 0?';
    throw new PosternError('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true });
  }

  /** Asks the referring server first, then the home that it names. */
  async #askReferrer(attempt: BasicAttempt, referred: ReferredUser, allGone: AbortSignal): Promise<PasswordVerdict> {
    const { client, password } = attempt.credentials;
    const context = { client, reference: attempt.ids.reference, heard: heardBy(attempt), left: allGone };
    const found = await withDeadline({ source: 'imap', ms: this.#deps.deadlineMs }, neverGone, (signal) =>
      findReferredHome(this.#deps.passdb, referred, password, context, signal),
    );
    if (found.kind !== 'found') return found.kind;
    const home = checkingHome(requireConfigured(found.backend, this.#deps.homeOf(found.backend, found.user)));
    if ('closure' in home) throw cannotBeChecked(home.closure);
    const verdict = await this.#askHome(attempt, found.user, home, allGone);
    if (verdict === 'right') referred.server.learn(found.backend);
    return verdict;
  }

  /**
   * Tries the password once for all callers that wait for it. Ends early if all of them have left during the penalty or
   * before the server's turn. It is not aborted after that: a client that hangs up has still tried.
   */
  async #tryPassword(
    attempt: BasicAttempt,
    allGone: AbortSignal,
    ask: () => Promise<PasswordVerdict>,
    { isReported } = { isReported: true },
  ): Promise<PasswordVerdict> {
    const { client, password } = attempt.credentials;
    const { user = '' } = attempt.trace;
    const { address, userAgent } = client;
    const asked = { user, address, password, userAgent, reference: attempt.ids.reference };
    const admission = await this.#deps.penalty.admit(asked, allGone);
    if (admission.kind === 'busy') throw tooManyWait();
    if (admission.kind === 'refused') {
      this.#report(attempt, { result: 'policy', ...defined({ said: admission.said }) });
      await this.#hold(attempt, admission.waitedMs, neverGone);
      return 'wrong';
    }
    const verdict = await ask().catch(async (error: unknown) => {
      await admission.settle('undecided');
      if (isSilence(error)) await this.#hold(attempt, admission.waitedMs, neverGone);
      throw error;
    });
    await admission.settle(verdict === 'right' || verdict === 'wrong' ? verdict : 'undecided');
    if (isReported) this.#report(attempt, { result: verdict });
    if (verdict !== 'right') await this.#hold(attempt, admission.waitedMs, neverGone);
    return verdict;
  }

  async #askHome(
    attempt: BasicAttempt,
    user: CanonicalUser,
    { backend, host }: Home,
    allGone: AbortSignal,
  ): Promise<PasswordVerdict> {
    const { password, client } = attempt.credentials;
    const { reference } = attempt.ids;
    const context = { client, reference, heard: heardBy(attempt), left: allGone, limits: backend.limits };
    const check = await withDeadline({ source: 'imap', ms: this.#deps.deadlineMs }, neverGone, (signal) =>
      this.#deps.passdb.verify({ user, password }, host, context, signal),
    );
    return check.kind;
  }

  /** Waits until refusals are sent; the penalty does not count. */
  async #hold(attempt: BasicAttempt, penaltyMs: number, signal: AbortSignal): Promise<void> {
    const workedMs = this.#deps.clock.nowMs() - attempt.arrivedAtMs - penaltyMs;
    await this.#deps.wait(Math.max(this.#deps.refusalAfterMs - workedMs, 0), signal);
  }

  #report(
    { credentials, ids, arrivedAtMs, trace }: BasicAttempt,
    end: Pick<BasicLoginEvent, 'result' | 'error' | 'said'>,
  ) {
    const ms = this.#deps.clock.nowMs() - arrivedAtMs;
    const { address, userAgent } = credentials.client;
    // The filter for fail2ban reads the result first.
    this.#deps.observe({ ...end, ...trace, client: address, userAgent, ...ids, ms });
  }
}

type PasswordVerdict = PasswordCheck['kind'];

/** Why a user is not served although the password was right. Throws if that is temporary. */
function barred({ because }: Extract<FoundUser, { kind: 'barred' }>): BasicAdmission {
  if (because instanceof TryAgainLater) throw because;
  return { kind: 'refused', reason: because.reason };
}

/** Whether a mail server did not answer. Too many waiting logins are not silence. */
function isSilence(error: unknown): boolean {
  return error instanceof PosternError && error.source === 'imap' && error.code !== 'ERR_BUSY';
}

function heardBy(attempt: BasicAttempt): (said: ServerWords) => void {
  return (said) => void (attempt.trace = { ...attempt.trace, said });
}

function admissionFor(verdict: Exclude<PasswordVerdict, 'right'>): BasicAdmission {
  return verdict === 'wrong' ? { kind: 'rejected' } : { kind: 'refused', reason: basicRefusals[verdict] };
}

function checkOf(
  user: string,
  backend: string,
  { client, password }: Omit<BasicLoginCredentials, 'user'>,
): VerifiedPassword {
  return { user, backend, address: client.address, password };
}

/** ActiveSync clients write `DOMAIN\name`, some with an empty domain. A name rule may know the domain. */
function withoutDomainPrefix(user: string, parseName: LoginNameParser): string {
  const parsed = parseName(user);
  if (parsed.kind === 'ok' && !parsed.name.includes('\\')) return user;
  return user.slice(user.lastIndexOf('\\') + 1);
}

function tooManyWait(): PosternError {
  const message = 'too many logins are waiting out their penalty';
  return new PosternError('ERR_BUSY', message, { source: 'client', retryable: true });
}

function closed({ backend, kind }: Closure): PosternError {
  const message = `the backend ${backend} takes nobody now: ${kind}`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', message, { source: 'webmail', retryable: true });
}
