import type { StateReplica } from '../backends/state-replica.ts';
import { type Locks, type StandingLock, withOverrides } from '../backends/user-orders.ts';
import type { Backend, BackendHost } from '../core/backend.ts';
import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { CanonicalUser, LoginNameParser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { HostState, Placement } from '../core/placement.ts';
import type { Directory, Explanation } from '../directory/directory.ts';
import type { ClusterState, ConfigSnapshot } from './parts.ts';

/** One question of a lookup, with its answer. */
interface ExplainedStep {
  readonly source: string;
  readonly asked: string;
  readonly answer: 'found' | 'referred' | 'refused' | 'later' | 'unknown-user' | 'skipped' | 'tempfail';
  readonly home?: string;
  readonly user?: string;
  readonly role?: string;
  readonly why?: string;
  readonly tookMs: number;
  /** Age of the remembered answer in milliseconds; undefined if the source was asked just now. */
  readonly ageMs?: number;
  readonly stale?: true;
}

/** Why a user is routed to a backend. */
interface UserExplanation {
  readonly typed: string;
  readonly steps: readonly ExplainedStep[];
  readonly answer: 'found' | 'unknown' | 'refused' | 'malformed' | 'could-not-ask';
  readonly why?: string;
  readonly user?: string;
  /** Set if the backend comes from a move, whatever the sources say. */
  readonly moved?: { readonly by: string; readonly reason: string; readonly sinceMs: number };
  /** Set if a lock of the user or of the domain keeps the user out. */
  readonly locked?: Pick<StandingLock, 'kind' | 'name' | 'by' | 'reason' | 'sinceMs' | 'untilMs'>;
  readonly backend?: string;
  readonly driver?: string;
  readonly hosts?: readonly ExplainedHost[];
}

interface ExplainedHost {
  readonly name: string;
  readonly state: HostState;
  /** Why it is down. */
  readonly why?: string;
  /** Where the user's requests go now, or one of those, in a pool. */
  readonly serves: boolean;
  readonly imap: string;
  readonly webmail: string;
}

interface ExplainerDeps {
  readonly parseName: LoginNameParser;
  readonly directory: Pick<Directory, 'explain'>;
  readonly overrides: Pick<StateReplica['overrides'], 'get'>;
  readonly locks: Pick<Locks, 'ofUser'>;
  readonly backendNamed: (name: string) => Backend | undefined;
  readonly isPool: (backend: Backend) => boolean;
  readonly placement: Pick<Placement, 'hostState' | 'activeHost'>;
  /** Called before states are read, if they must be found out first. */
  readonly look?: (backend: Backend) => Promise<void>;
  readonly whyDown: (host: string) => string | undefined;
}

/** Explains where a user lives, for the operators' API and the command line. */
export type Explain = (typed: string, signal: AbortSignal) => Promise<UserExplanation>;

/** Explains, step by step, which backend a user is routed to, as a login now would find it. */
export function createExplain(deps: ExplainerDeps): Explain {
  const { parseName, directory, overrides, backendNamed, placement, isPool } = deps;

  async function hostsOf(backend: Backend): Promise<readonly ExplainedHost[]> {
    await deps.look?.(backend);
    const active = placement.activeHost(backend);
    return backend.hosts.map((host) => {
      const state = placement.hostState(backend, host);
      const why = state === 'DOWN' ? deps.whyDown(host.name) : undefined;
      return {
        name: host.name,
        state,
        ...defined({ why }),
        serves: isPool(backend) || host === active,
        imap: imapAddressOf(host),
        webmail: host.webmail.origin + host.webmail.landing,
      };
    });
  }

  const whereTo: Explain = async (typed, signal) => {
    const parsed = parseName(typed);
    if (parsed.kind === 'malformed') return { typed, steps: [], answer: 'malformed', why: parsed.why };
    const explained = await directory.explain(parsed.name, signal);
    const steps = explained.steps.map(asStep);
    // The sources have answered; the overrides decide what a move makes of it.
    const answered = {
      async lookup() {
        if (explained.outcome.kind === 'tempfail') throw tempfail(explained.outcome.why);
        return explained.outcome;
      },
    };
    let home: HomeLookup;
    try {
      home = await withOverrides(answered, { overrides, backendNamed: (name) => backendNamed(name)?.name }).lookup(
        parsed.name,
        signal,
      );
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      return { typed, steps, answer: 'could-not-ask', why: error.message, user: parsed.name };
    }
    if (home.kind === 'unknown-user') return { typed, steps, answer: 'unknown', user: parsed.name };
    if (home.kind === 'referred')
      return { typed, steps, answer: 'could-not-ask', why: atSignIn(home.server.name), user: parsed.name };
    if (home.kind === 'refused') return { typed, steps, answer: 'refused', why: home.reason, user: parsed.name };
    const backend = backendNamed(home.backend);
    const move = overrides.get(home.user);
    return {
      typed,
      steps,
      answer: 'found',
      user: home.user,
      ...(move?.backend === home.backend ? { moved: { by: move.by, reason: move.reason, sinceMs: move.sinceMs } } : {}),
      backend: home.backend,
      ...(backend === undefined ? {} : { driver: backend.driver, hosts: await hostsOf(backend) }),
    };
  };

  return async (typed, signal) => {
    const explained = await whereTo(typed, signal);
    const lock = explained.user === undefined ? undefined : deps.locks.ofUser(explained.user);
    if (lock === undefined) return explained;
    const { kind, name, by, reason, sinceMs, untilMs } = lock;
    return { ...explained, locked: { kind, name, by, reason, sinceMs, ...defined({ untilMs }) } };
  };
}

type ExplainedTrace = Explanation['steps'][number];

function asStep({ source, asked, outcome, tookMs, ageMs, stale }: ExplainedTrace): ExplainedStep {
  const step = { source, asked, answer: outcome.kind, tookMs };
  const age = defined({ ageMs, stale });
  switch (outcome.kind) {
    case 'found': {
      const { home, user, role } = outcome;
      return {
        ...step,
        ...defined({ home, user, role }),
        ...age,
      };
    }
    case 'referred':
      return { ...step, why: atSignIn(outcome.server.name), ...age };
    case 'refused':
      return { ...step, why: outcome.reason, ...age };
    case 'tempfail':
      return { ...step, why: outcome.why, ...age };
    case 'unknown-user':
      return { ...step, ...defined({ why: outcome.why }), ...age };
    case 'later':
    case 'skipped':
      return { ...step, ...age };
    default:
      return outcome satisfies never;
  }
}

function atSignIn(server: string): string {
  return `${server} names the backend of this user, but only at sign-in`;
}

function imapAddressOf({ imap }: BackendHost): string {
  const host = imap.hostname.includes(':') ? `[${imap.hostname}]` : imap.hostname;
  return `${imap.security === 'tls' ? 'imaps' : 'imap'}://${host}:${imap.port}`;
}

function tempfail(why: string): PosternError {
  return new PosternError('ERR_DIRECTORY_UNAVAILABLE', why, { source: 'directory', retryable: true });
}

const never = new AbortController().signal;

/** Where a user lives, overrides and caches counted. Rejects when that could not be asked in time. */
export function lookUpHome({ homes }: ConfigSnapshot, user: CanonicalUser, signal = never): Promise<HomeLookup> {
  return homes.lookup(user, signal);
}

/** The directory's answer for a user, without caches. Rejects if it could not be asked in time. */
export function lookUpFresh({ directory }: ConfigSnapshot, user: CanonicalUser, signal = never): Promise<HomeLookup> {
  return directory.lookupFresh(user, signal);
}

/** Explains a user's route by the parts of this running gateway, within the time of two lookups. */
export function explainHere(
  { config, parseName, directory, backendNamed }: ConfigSnapshot,
  { placement, health, state, locks }: Pick<ClusterState, 'placement' | 'health' | 'state' | 'locks'>,
  typed: string,
): ReturnType<Explain> {
  const explain = createExplain({
    parseName,
    directory,
    overrides: state.overrides,
    locks,
    backendNamed,
    isPool: ({ name }) => config.serving.get(name)?.arrangement === 'pool',
    placement,
    whyDown: (host) => whyDown(health, host),
  });
  return explain(typed, AbortSignal.timeout(2 * config.directory.timeouts.lookupMs));
}

/** Why the checks report a host as down; undefined if they do not. */
function whyDown(health: Pick<ClusterState['health'], 'report'>, host: string): string | undefined {
  const report = health.report(host);
  return [report?.webmail, report?.imap].find((service) => service?.up === false)?.why;
}
