import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import type { DirectorySource, HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import {
  type BackendName,
  type CanonicalUser,
  createLoginNameParser,
  domainOfUsers,
  type LoginName,
  type LoginNameRules,
} from '../core/names.ts';
import { createHomes } from './backend-names.ts';
import { type CacheCounts, cached, cacheDefaults, type CachedSource, type CacheOptions } from './cache.ts';
import { createChain, type Step, type TracedStep } from './chain.ts';
import { type ConfiguredSource, configureSource, type SourceSettings } from './registry.ts';
import {
  type AskLeader,
  type ConnectRedis,
  couldNotAsk,
  type RingStates,
  type Source,
  type SourceAnswer,
  type SourceDeps,
} from './source.ts';

/** Options of the directory. */
export interface DirectoryOptions {
  /** Asked in this order. File names absolute, secrets read. */
  readonly sources: readonly SourceSettings[];
  readonly backends: ReadonlyMap<BackendName, Backend>;
  /** Further names of backends that sources use: host → backend. */
  readonly hosts?: Readonly<Record<string, string>>;
  readonly nameRules: LoginNameRules;
  readonly cache?: Partial<CacheOptions>;
  readonly timeouts?: Partial<DirectoryTimeouts>;
  readonly clock: Clock;
  readonly log: Log;
  /** How often files are looked at for changes; a changed one is in force two looks later. */
  readonly pollMs?: number;
  /** Left out where no source is a Redis. */
  readonly connectRedis?: ConnectRedis;
  /** For `hash` with shared storage. */
  readonly states?: RingStates;
  /** Set only in a worker process. */
  readonly askLeader?: AskLeader;
}

interface DirectoryTimeouts {
  /** For each source that sets no `timeout` of its own. */
  readonly sourceMs: number;
  /** Over all sources, aliases included. */
  readonly lookupMs: number;
}

/** A lookup that was watched: its steps, and how it ended. */
export interface Explanation {
  readonly steps: readonly TracedStep[];
  readonly outcome: HomeLookup | { readonly kind: 'tempfail'; readonly why: string };
}

/** The directory that a configuration describes, with its caches. */
export interface Directory extends DirectorySource {
  lookup(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
  /**
   * The same past the caches, whose answers it renews: nothing remembered counts, and a source that cannot be asked
   * makes it reject. For what must be known now, such as a role.
   */
  lookupFresh(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
  explain(name: LoginName, signal: AbortSignal): Promise<Explanation>;
  /**
   * One source alone, for a process that this one leads. One that is not there, or not any more, could not be asked.
   */
  readonly askSource: AskLeader;
  /** Forgets what is remembered of a user, under all names that lead to that user. */
  drop(user: CanonicalUser): void;
  /** What the cache of each source did since the start, by the source's label; local sources have none. */
  counts(): ReadonlyMap<string, Readonly<CacheCounts>>;
}

const timeoutDefaults: DirectoryTimeouts = { sourceMs: 2000, lookupMs: 5000 };

/**
 * Opens the directory: its sources in order, each with its deadline and, where asking costs something, its cache.
 *
 * Rejects with ERR_CONFIG_INVALID when a setting has a problem or a file cannot be read; a server that is away is only
 * met by the lookups. Disposing it closes all sources.
 */
export async function createDirectory(options: DirectoryOptions): Promise<Directory> {
  const timeouts = { ...timeoutDefaults, ...options.timeouts };
  const { clock, log } = options;
  const parseLoginName = createLoginNameParser(options.nameRules);
  const deps = {
    ...options,
    findHome: createHomes(options.backends, options.hosts),
    // What a bare name ends up in: the default domain may be an alias.
    defaultDomain: domainOfUsers(options.nameRules.defaultDomain ?? '', options.nameRules),
    parseBareName: createLoginNameParser(withoutDefaultDomain(options.nameRules)),
    pollMs: options.pollMs ?? 1000,
    connectRedis: options.connectRedis,
    states: options.states,
    parseLoginName,
  };
  const { askLeader } = options;
  await using opened = new AsyncDisposableStack();
  const steps: OpenStep[] = [];
  const caches = new Map<string, CachedSource>();
  const asks = new Map<string, Source['ask']>();
  for (const [position, settings] of options.sources.entries()) {
    const source = await configured(settings, position, timeouts.sourceMs);
    const label = `${position + 1} ${source.type}`;
    const name = nameOf(settings);
    const { timeoutMs } = source;
    const leading = askLeader === undefined ? undefined : ofLeader(askLeader, name, { label, timeoutMs });
    const step = await openStep(source, { ...deps, label, timeoutMs, leading }, { ...cacheDefaults, ...options.cache });
    opened.use(step);
    steps.push(step);
    asks.set(name, step.askSource);
    if (step.cache !== undefined) caches.set(label, step.cache);
  }
  const chainOf = (ofSteps: readonly Step[]) =>
    createChain({ steps: ofSteps, ...deps, timeoutMs: timeouts.lookupMs, clock, log });
  const chain = chainOf(steps);
  const freshChain = chainOf(steps.map((step) => ({ ...step, ask: step.askAnew })));
  const owned = opened.move();

  return {
    lookup: (name, signal) => chain.lookup(name, signal),
    lookupFresh: (name, signal) => freshChain.lookup(name, signal),
    async explain(name, signal) {
      const traced: TracedStep[] = [];
      try {
        return { steps: traced, outcome: await chain.lookup(name, signal, (step) => traced.push(step)) };
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        return { steps: traced, outcome: { kind: 'tempfail', why: error.message } };
      }
    },
    async askSource(source, name, signal) {
      const ask = asks.get(source);
      if (ask === undefined) throw couldNotAsk('the process that leads has no such source: it has just reloaded');
      return ask(name, signal);
    },
    drop(user) {
      const isMeant = (text: string): boolean => {
        const parsed = parseLoginName(text);
        return parsed.kind === 'ok' && String(parsed.name) === String(user);
      };
      for (const cache of caches.values()) cache.drop(isMeant);
    },
    counts: () => new Map([...caches].map(([label, cache]) => [label, cache.counts])),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function configured(settings: SourceSettings, position: number, timeoutMs: number): Promise<ConfiguredSource> {
  const outcome = await configureSource(settings, timeoutMs);
  if (outcome.kind === 'ok') return outcome.source;
  const problems = outcome.problems.map(({ path, message }) => `sources.${[position, ...path].join('.')}: ${message}`);
  throw invalid(problems.join('\n'));
}

interface OpenStep extends Step, AsyncDisposable {
  readonly cache?: CachedSource;
  /** As `ask`, past the cache. */
  readonly askAnew: Step['ask'];
  readonly askSource: Source['ask'];
}

/**
 * The name of a source between the processes of a node: its settings, secrets hidden. Never its position, where after a
 * reload another source may stand.
 */
function nameOf(settings: SourceSettings): string {
  return JSON.stringify(settings);
}

function ofLeader(
  askLeader: AskLeader,
  source: string,
  { label, timeoutMs }: Pick<SourceDeps, 'label' | 'timeoutMs'>,
): Source['ask'] {
  return (name, signal) =>
    withDeadline({ source: 'directory', ms: timeoutMs, what: label }, signal, (limit) =>
      askLeader(source, name, limit),
    );
}

async function openStep(source: ConfiguredSource, deps: SourceDeps, cacheOptions: CacheOptions): Promise<OpenStep> {
  const { label } = deps;
  const opened = await Promise.resolve()
    .then(() => source.open(deps))
    .catch((cause: unknown) => {
      throw invalid(`directory source ${label}: ${whyNotOpened(cause)}`, cause);
    });
  const limited = {
    ask: (name: LoginName, signal: AbortSignal) =>
      withDeadline({ source: 'directory', ms: source.timeoutMs, what: label }, signal, (limit) =>
        opened.ask(name, limit),
      ),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
  const cache = opened.isLocal ? undefined : cached(limited, cacheOptions, deps.clock);
  // A local source answers at once, or minds its own time: the chain's deadline is enough.
  const askLocal: Step['ask'] = async (name, signal) => ({ answer: await opened.ask(name, signal) });
  return {
    ...source,
    label,
    ...(cache === undefined
      ? {}
      : { cache, learn: (name: LoginName, answer: SourceAnswer) => cache.learn(name, answer) }),
    ask: cache?.ask ?? askLocal,
    askAnew: cache?.askAnew ?? askLocal,
    askSource: (name, signal) => opened.ask(name, signal),
    [Symbol.asyncDispose]: () => (cache ?? opened)[Symbol.asyncDispose](),
  };
}

function whyNotOpened(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function withoutDefaultDomain(rules: LoginNameRules): LoginNameRules {
  const { defaultDomain: _, ...others } = rules;
  return others;
}

function invalid(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
}
