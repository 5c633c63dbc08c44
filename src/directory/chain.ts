import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import {
  type HomeLookup,
  type ReferralServer,
  type Referrer,
  type UserHome,
  TryAgainLater,
} from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import {
  type BackendName,
  canonicalUser,
  type LoginName,
  type LoginNameParser,
  splitLoginName,
} from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { oneLine } from '../core/text.ts';
import type { AgedAnswer } from './cache.ts';
import { badAnswer, type FindHome, type SourceAnswer } from './source.ts';

/** The next step for each kind of answer of a source. */
export interface Follows {
  /** `answer`: that is the home. `next`: the user exists, and a later source says where. */
  readonly onFound: 'answer' | 'next';
  /** `next`: ask the next source. `refuse`: ask no other source, the user is unknown. */
  readonly onUnknown: 'next' | 'refuse';
  /**
   * `fail`: ask no other source; the user is to try again later. `next`: ask the next source, but take no answer by
   * default.
   */
  readonly onTempfail: 'fail' | 'next';
}

/** One source of the chain. */
export interface Step extends Follows {
  readonly label: string;
  /** Whether users of this domain are asked for; all are if undefined. The domain is empty for a name without one. */
  readonly serves?: ((domain: string) => boolean) | undefined;
  readonly ask: (name: LoginName, signal: AbortSignal) => Promise<AgedAnswer>;
  /** Remembers what the source's server has said at a login. */
  readonly learn?: (name: LoginName, answer: SourceAnswer) => void;
}

/** One question of a lookup, for `postern explain`. */
export interface TracedStep {
  readonly source: string;
  readonly asked: LoginName;
  readonly outcome: SourceAnswer | { readonly kind: 'skipped' } | { readonly kind: 'tempfail'; readonly why: string };
  readonly tookMs: number;
  /** Age of the remembered answer; missing if the source was asked just now. */
  readonly ageMs?: number;
  /** The source could not be asked: this is its last answer. */
  readonly stale?: true;
}

/** Hears of each question of a lookup as it is answered. */
type LookupTrace = (step: TracedStep) => void;

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

/** The answer of a source that a user may not sign in, or not now. */
type Barred = Extract<SourceAnswer, { kind: 'refused' | 'later' }>;

/** The chain's answer for one name: a home, or another name to ask for. */
type StepResult = HomeLookup | { readonly kind: 'alias'; readonly user: LoginName };

/** The answers so far for one name. */
interface WalkState {
  /** The first source that could not be asked. */
  silent: PosternError | undefined;
  barred: { readonly by: Step; readonly answer: Barred } | undefined;
  isKnown: boolean;
  role: string | undefined;
}

const maxAliases = 8;

/**
 * Asks sources in order until one gives an answer that stands.
 *
 * An alias starts the chain again under the other name. A source that could not be asked is never taken for "no": if
 * the operator lets the next one be asked, an unknown user and an answer by default still mean "later", because the
 * silent source might have known better. An answer that names no configured backend is an alarm and a tempfail. The
 * role is the first that a source says of the very user that the answer names: a role with an alias grants nothing.
 * A refused user stays refused; later sources are asked only for the home, where the password can be checked.
 */
export class SourceChain {
  readonly #options: ChainOptions;

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** Rejects when no certain answer could be had. */
  lookup(name: LoginName, signal: AbortSignal, trace: LookupTrace = () => {}): Promise<HomeLookup> {
    return withDeadline({ source: 'directory', ms: this.#options.timeoutMs }, signal, (limited) =>
      this.#followAliases(name, limited, trace),
    );
  }

  async #followAliases(name: LoginName, signal: AbortSignal, trace: LookupTrace): Promise<HomeLookup> {
    const seen = new Set<LoginName>();
    let asked = name;
    for (;;) {
      seen.add(asked);
      const walked = await this.#walk(asked, signal, trace);
      if (walked.kind !== 'alias') return walked;
      if (seen.has(walked.user) || seen.size >= maxAliases) {
        this.#options.log.error('directory-alias-loop', { aliases: [...seen, walked.user] });
        throw badAnswer(`the aliases of this user form a loop, or a chain longer than ${maxAliases}`);
      }
      asked = walked.user;
    }
  }

  async #walk(asked: LoginName, signal: AbortSignal, trace: LookupTrace): Promise<StepResult> {
    const { domain } = splitLoginName(asked);
    const state: WalkState = { silent: undefined, barred: undefined, isKnown: false, role: undefined };
    for (const step of this.#options.steps) {
      if (step.serves?.(domain) === false) {
        trace({ source: step.label, asked, outcome: { kind: 'skipped' }, tookMs: 0 });
        continue;
      }
      const answer = await this.#ask(step, asked, signal, trace);
      if (answer instanceof PosternError) {
        if (step.onTempfail === 'fail') throw answer;
        state.silent ??= answer;
        continue;
      }
      const walked = this.#applyAnswer(step, asked, answer, state);
      if (walked === 'stop') break;
      if (walked !== 'next') return walked;
    }
    if (state.silent !== undefined) throw state.silent;
    if (state.barred !== undefined) return this.#refuse(state.barred.by, state.barred.answer, undefined);
    if (state.isKnown) throw badAnswer('the user exists, but no source names a backend');
    return { kind: 'unknown-user' };
  }

  /** The source's answer, or why it could not be asked. Rejects when `signal` is aborted. */
  async #ask(
    step: Step,
    name: LoginName,
    signal: AbortSignal,
    trace: LookupTrace,
  ): Promise<SourceAnswer | PosternError> {
    const { clock, log } = this.#options;
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

  /** Takes one answer: the result of the walk, or whether the next source is asked. */
  #applyAnswer(step: Step, asked: LoginName, answer: SourceAnswer, state: WalkState): StepResult | 'next' | 'stop' {
    switch (answer.kind) {
      case 'found':
        return state.barred === undefined
          ? this.#takeHome(step, asked, answer, state)
          : this.#takeHomeOfBarred(step, asked, answer, state.barred);
      case 'referred':
        if (state.barred !== undefined) return 'stop';
        return { kind: 'referred', user: canonicalUser(asked), server: this.#referrer(step, asked, answer.server) };
      case 'refused':
      case 'later': {
        const at = this.#homeOfBarred(asked, answer.home, answer.user);
        if (state.barred === undefined && at !== undefined) return this.#refuse(step, answer, at);
        state.barred ??= { by: step, answer };
        return 'next';
      }
      case 'unknown-user':
        return step.onUnknown === 'refuse' ? 'stop' : 'next';
      default:
        return answer satisfies never;
    }
  }

  #takeHome(
    step: Step,
    asked: LoginName,
    answer: Extract<SourceAnswer, { kind: 'found' }>,
    state: WalkState,
  ): StepResult | 'next' {
    if (state.silent !== undefined && answer.byDefault === true) throw state.silent;
    const user = answer.user === undefined ? asked : this.#readUser(step, answer.user);
    state.role = user === asked ? (state.role ?? answer.role) : answer.role;
    if (answer.home !== undefined && step.onFound === 'answer') {
      const backend = this.#readHome(step, answer.home);
      const { role } = state;
      return { kind: 'found', backend, user: canonicalUser(user), ...defined({ role, stays: answer.stays }) };
    }
    if (user !== asked) return { kind: 'alias', user };
    state.isKnown = true;
    return 'next';
  }

  #takeHomeOfBarred(
    step: Step,
    asked: LoginName,
    { home, user }: Extract<SourceAnswer, { kind: 'found' }>,
    { by, answer }: NonNullable<WalkState['barred']>,
  ): HomeLookup | 'next' | 'stop' {
    if (home === undefined && user !== undefined) return 'stop';
    if (home === undefined || step.onFound === 'next') return 'next';
    return this.#refuse(by, answer, this.#homeOfBarred(asked, home, user ?? answer.user));
  }

  /** Where a barred user's password can be checked; undefined if `home` names no backend: the user stays barred. */
  #homeOfBarred(asked: LoginName, home: string | undefined, user: string = asked): UserHome | undefined {
    const backend = home === undefined ? undefined : this.#options.findHome(home);
    const parsed = this.#options.parseLoginName(user);
    if (backend === undefined || parsed.kind === 'malformed') return undefined;
    return { backend, user: canonicalUser(parsed.name) };
  }

  /** Throws {@link TryAgainLater} if the user is to try again later. */
  #refuse(step: Step, barred: Barred, at: UserHome | undefined): HomeLookup {
    if (barred.kind === 'refused') return { kind: 'refused', reason: shownReason(barred.reason), ...defined({ at }) };
    this.#options.log.info('directory-later', { source: step.label });
    throw new TryAgainLater(step.label, at);
  }

  #readUser(step: Step, user: string): LoginName {
    const parsed = this.#options.parseLoginName(user);
    if (parsed.kind === 'ok') return parsed.name;
    this.#options.log.error('directory-bad-user', { source: step.label, answer: user.slice(0, 100) });
    throw badAnswer(`${step.label} answered with a malformed user name: ${parsed.why}`);
  }

  #readHome(step: Step, home: string): BackendName {
    const backend = this.#options.findHome(home);
    if (backend !== undefined) return backend;
    this.#options.log.error('directory-bad-home', { source: step.label, answer: home.slice(0, 100) });
    throw badAnswer(
      `${step.label} answered ${JSON.stringify(home.slice(0, 100))}: not the name or host of exactly one backend`,
    );
  }

  /** Turns the answers of a server that refers users into homes. */
  #referrer(step: Step, asked: LoginName, server: ReferralServer): Referrer {
    const bad = (why: string): PosternError => {
      const error = badAnswer(why);
      this.#options.log.error('directory-bad-answer', { source: step.label, code: error.code, why });
      return error;
    };
    return {
      ...server,
      learn: (backend) => step.learn?.(asked, { kind: 'found', home: backend }),
      homeOf: (url) => {
        if (url === undefined) return this.#readHome(step, server.imap.hostname);
        const referral = readReferral(url);
        if (referral === undefined)
          throw bad(`${server.name} referred a user to something other than the URL of an IMAP server`);
        const { user } = referral;
        if (user !== undefined && this.#readUser(step, user) !== asked)
          throw bad(`${server.name} referred another user`);
        return this.#readHome(step, referral.host);
      },
    };
  }
}

/** A reason that the user may be shown: one short line, whatever the source holds. */
function shownReason(text: string): string {
  return oneLine(text.slice(0, 1000)).slice(0, 300);
}

const maxReferralLength = 512;
/** The port of a referral has no meaning here: the configuration says where a backend listens. */
const referralUrl = /^imaps?:\/\/(?:([^/?#\s]*)@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::\d{1,5})?\/?$/i;

/**
 * Reads the URL of a login referral, `imap://user;AUTH=*@host/` (RFC 2221, RFC 5092); undefined if it is none. Servers
 * do not always encode the `@` of a user: the host stands behind the last one.
 */
export function readReferral(url: string): { readonly host: string; readonly user?: string } | undefined {
  const [, login = '', inBrackets, plain] = url.length > maxReferralLength ? [] : (referralUrl.exec(url) ?? []);
  const host = inBrackets ?? plain;
  if (host === undefined) return undefined;
  const encoded = login.replace(/;AUTH=[^;]*$/i, '');
  if (encoded === '') return { host };
  try {
    const user = decodeURIComponent(encoded);
    return /\p{C}/u.test(user) ? undefined : { host, user };
  } catch {
    return undefined;
  }
}
