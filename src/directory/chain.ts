import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { type HomeLookup, type ReferralServer, type Referrer, type UserHome, UserIsToWait } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import {
  type BackendName,
  type CanonicalUser,
  type LoginName,
  type LoginNameParser,
  splitLoginName,
} from '../core/names.ts';
import { oneLine } from '../core/short-line.ts';
import type { FindHome } from './backend-names.ts';
import type { Told } from './cache.ts';
import { createReferrer } from './referrer.ts';
import { badAnswer, type SourceAnswer } from './source.ts';

/** The next step for each kind of answer of a source. */
export interface Follows {
  /** `answer`: that is the home. `next`: the user exists, and a later source says where. */
  readonly onFound: 'answer' | 'next';
  /** `next`: ask the next source. `refuse`: nobody else is asked, the user is unknown. */
  readonly onUnknown: 'next' | 'refuse';
  /** `fail`: nobody else is asked, "later". `next`: ask the next source; only what it knows for certain is believed. */
  readonly onTempfail: 'fail' | 'next';
}

/** One source of the chain. */
export interface Step extends Follows {
  readonly label: string;
  /** Whether users of this domain are asked for; the domain is empty for a name without one. */
  readonly serves: (domain: string) => boolean;
  readonly ask: (name: LoginName, signal: AbortSignal) => Promise<Told>;
  /** Remembers what the source's server has said at a sign-in. */
  readonly learn?: (name: LoginName, answer: SourceAnswer) => void;
}

/** A source says that a user may not sign in, or not now. */
type Barred = Extract<SourceAnswer, { kind: 'refused' | 'later' }>;

/** One question of a lookup, for `postern explain`. */
export interface TracedStep {
  readonly source: string;
  readonly asked: LoginName;
  readonly outcome: SourceAnswer | { readonly kind: 'skipped' } | { readonly kind: 'tempfail'; readonly why: string };
  readonly tookMs: number;
  /** Age of the remembered answer; missing when the source was asked just now. */
  readonly ageMs?: number;
  /** The source could not be asked: this is its last answer. */
  readonly stale?: true;
}

/** Options of the chain of sources. */
export interface ChainOptions {
  readonly steps: readonly Step[];
  readonly findHome: FindHome;
  readonly parseLoginName: LoginNameParser;
  /** Over all sources and aliases. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The configured sources, asked in order. */
export interface Chain {
  /** Rejects when no certain answer could be had. `trace` hears of each question as it is answered. */
  lookup(name: LoginName, signal: AbortSignal, trace?: (step: TracedStep) => void): Promise<HomeLookup>;
}

type Walked = HomeLookup | { readonly kind: 'alias'; readonly user: LoginName };

const maxAliases = 8;

/**
 * Asks sources in order until one gives an answer that stands.
 *
 * An alias starts the chain anew under the other name. A source that could not be asked is never taken for "no": where
 * the operator lets the next one be asked, an unknown user and an answer by default still mean "later", because the
 * silent source might have known better. What names no configured backend is an alarm and a tempfail. The role is the
 * first that a source says of the very user that the answer names: one that stands with an alias grants nothing.
 * Who is refused stays so; later sources are asked only for where the password can be checked.
 */
export function createChain(options: ChainOptions): Chain {
  const { steps, findHome, parseLoginName, clock, log } = options;

  async function askStep(step: Step, name: LoginName, signal: AbortSignal, trace: (step: TracedStep) => void) {
    const source = step.label;
    const startedMs = clock.nowMs();
    try {
      const { answer, ...age } = await step.ask(name, signal);
      trace({ source, asked: name, outcome: answer, tookMs: clock.nowMs() - startedMs, ...age });
      if (age.stale) log.warn('directory-stale', { source, ageMs: age.ageMs });
      return answer;
    } catch (error) {
      if (!(error instanceof PosternError) || signal.aborted) throw error;
      const { code, message } = error;
      trace({ source, asked: name, outcome: { kind: 'tempfail', why: message }, tookMs: clock.nowMs() - startedMs });
      if (code === 'ERR_DIRECTORY_ANSWER') log.error('directory-bad-answer', { source, code, why: message });
      else log.warn('directory-unavailable', { source, code, why: message });
      return error;
    }
  }

  function readUser(step: Step, user: string): LoginName {
    const parsed = parseLoginName(user);
    if (parsed.kind === 'ok') return parsed.name;
    const why = `${step.label} answered with a user name that is none: ${parsed.why}`;
    log.error('directory-bad-user', { source: step.label, answer: user.slice(0, 100) });
    throw badAnswer(why);
  }

  function readHome(step: Step, home: string): BackendName {
    const backend = findHome(home);
    if (backend !== undefined) return backend;
    log.error('directory-bad-home', { source: step.label, answer: home.slice(0, 100) });
    throw badAnswer(
      `${step.label} answered ${JSON.stringify(home.slice(0, 100))}: that is not one backend's name or host`,
    );
  }

  function referrerOf(step: Step, asked: LoginName, server: ReferralServer): Referrer {
    return createReferrer({
      server,
      asked,
      readHome: (host) => readHome(step, host),
      readUser: (user) => readUser(step, user),
      bad(why) {
        const error = badAnswer(why);
        log.error('directory-bad-answer', { source: step.label, code: error.code, why });
        return error;
      },
      learn: (backend) => step.learn?.(asked, { kind: 'found', home: backend }),
    });
  }

  /** Whose password can be checked where, of one who is barred: a home that is none bars all the same. */
  function whereabouts(asked: LoginName, home: string | undefined, user: string = asked): UserHome | undefined {
    const backend = home === undefined ? undefined : findHome(home);
    const parsed = parseLoginName(user);
    return backend === undefined || parsed.kind === 'malformed' ? undefined : { backend, user: canonical(parsed.name) };
  }

  function bar(step: Step, barred: Barred, at: UserHome | undefined): HomeLookup {
    if (barred.kind === 'refused') {
      return { kind: 'refused', reason: shownReason(barred.reason), ...(at === undefined ? {} : { at }) };
    }
    log.info('directory-later', { source: step.label });
    throw new UserIsToWait(step.label, at);
  }

  async function walk(asked: LoginName, signal: AbortSignal, trace: (step: TracedStep) => void): Promise<Walked> {
    const { domain } = splitLoginName(asked);
    let silent: PosternError | undefined;
    let barred: { readonly by: Step; readonly answer: Barred } | undefined;
    let isKnown = false;
    let role: string | undefined;
    for (const step of steps) {
      if (!step.serves(domain)) {
        trace({ source: step.label, asked, outcome: { kind: 'skipped' }, tookMs: 0 });
        continue;
      }
      const answer = await askStep(step, asked, signal, trace);
      if (answer instanceof PosternError) {
        if (step.onTempfail === 'fail') throw answer;
        silent ??= answer;
      } else if (answer.kind === 'refused' || answer.kind === 'later') {
        const at = whereabouts(asked, answer.home, answer.user);
        if (barred === undefined && at !== undefined) return bar(step, answer, at);
        barred ??= { by: step, answer };
      } else if (answer.kind === 'unknown-user') {
        if (step.onUnknown === 'refuse') break;
      } else if (barred !== undefined) {
        if (answer.kind === 'referred' || (answer.home === undefined && answer.user !== undefined)) break;
        if (answer.home !== undefined && step.onFound === 'answer') {
          return bar(barred.by, barred.answer, whereabouts(asked, answer.home, answer.user ?? barred.answer.user));
        }
      } else if (answer.kind === 'referred') {
        return { kind: 'referred', user: canonical(asked), server: referrerOf(step, asked, answer.server) };
      } else {
        if (silent !== undefined && answer.byDefault === true) throw silent;
        const user = answer.user === undefined ? asked : readUser(step, answer.user);
        role = user === asked ? (role ?? answer.role) : answer.role;
        if (answer.home !== undefined && step.onFound === 'answer') {
          const backend = readHome(step, answer.home);
          const stays = answer.stays === true ? { stays: true as const } : {};
          return { kind: 'found', backend, user: canonical(user), ...(role === undefined ? {} : { role }), ...stays };
        }
        if (user !== asked) return { kind: 'alias', user };
        isKnown = true;
      }
    }
    if (silent !== undefined) throw silent;
    if (barred !== undefined) return bar(barred.by, barred.answer, undefined);
    if (isKnown) throw badAnswer('the user exists, but no source says on which backend');
    return { kind: 'unknown-user' };
  }

  async function follow(name: LoginName, signal: AbortSignal, trace: (step: TracedStep) => void): Promise<HomeLookup> {
    const seen = new Set<LoginName>();
    let asked = name;
    for (;;) {
      seen.add(asked);
      const walked = await walk(asked, signal, trace);
      if (walked.kind !== 'alias') return walked;
      if (seen.has(walked.user) || seen.size >= maxAliases) {
        log.error('directory-alias-loop', { aliases: [...seen, walked.user] });
        throw badAnswer('the aliases of this user go round in a circle or on and on');
      }
      asked = walked.user;
    }
  }

  return {
    lookup: (name, signal, trace = () => {}) =>
      withDeadline({ source: 'directory', ms: options.timeoutMs }, signal, (limited) => follow(name, limited, trace)),
  };
}

/** A reason that the user may be shown: one short line, whatever the source holds. */
function shownReason(text: string): string {
  return oneLine(text.slice(0, 1000)).slice(0, 300);
}

/** The one place where a login name becomes a canonical user: where the chain ends. */
function canonical(name: LoginName): CanonicalUser;
function canonical(name: string): string {
  return name;
}
