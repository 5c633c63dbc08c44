import { isIPv6 } from 'node:net';
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
import { type CacheCounts, cacheDefaults, CachedSource, type CacheOptions } from './cache.ts';
import { SourceChain, type Step, type TracedStep } from './chain.ts';
import { type ConfiguredSource, configureSource, type SourceSettings } from './registry.ts';
import {
  type AskLeader,
  type ConnectRedis,
  couldNotAsk,
  type FindHome,
  type SharedStorageStates,
  type Source,
  type SourceDeps,
} from './source.ts';

/** Options of the directory. */
export interface DirectoryOptions {
  /** Asked in this order. File names are absolute, secrets are read. */
  readonly sources: readonly SourceSettings[];
  readonly backends: ReadonlyMap<BackendName, Backend>;
  /** Further names of backends that sources use: host → backend. */
  readonly hosts?: Readonly<Record<string, string>>;
  readonly nameRules: LoginNameRules;
  readonly cache?: Partial<CacheOptions>;
  readonly timeouts?: Partial<DirectoryTimeouts>;
  readonly clock: Clock;
  readonly log: Log;
  /** How often files are checked for changes; a changed file is in force two checks later. */
  readonly pollMs?: number;
  /** Left out if no source is a Redis. */
  readonly connectRedis?: ConnectRedis;
  /** For `hash` with shared storage. */
  readonly states?: SharedStorageStates;
  /** Set only in a worker process. */
  readonly askLeader?: AskLeader;
  /** The position of the only source to open, from 0. If undefined, all are opened. */
  readonly onlySource?: number;
}

interface DirectoryTimeouts {
  /** For each source that sets no `timeout` of its own. */
  readonly sourceMs: number;
  /** Over all sources, aliases included. */
  readonly lookupMs: number;
}

/** The steps of a lookup, and how it ended. */
export interface Explanation {
  readonly steps: readonly TracedStep[];
  readonly outcome: HomeLookup | { readonly kind: 'tempfail'; readonly why: string };
}

/** The directory that a configuration describes, with its caches. */
export interface Directory extends DirectorySource {
  lookup(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
  /**
   * Like `lookup`, but asks every source again and renews the caches; rejects if a source cannot be asked. For facts
   * that must be true now, such as a role.
   */
  lookupFresh(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
  explain(name: LoginName, signal: AbortSignal): Promise<Explanation>;
  /** Asks one source alone, for a worker of this process. Rejects with {@link couldNotAsk} if there is no such source. */
  readonly askSource: AskLeader;
  /** Forgets the answers for a user, under all names of that user. */
  drop(user: CanonicalUser): void;
  /** The counts of each source's cache since the start, by the source's label; local sources have no cache. */
  counts(): ReadonlyMap<string, Readonly<CacheCounts>>;
}

const timeoutDefaults: DirectoryTimeouts = { sourceMs: 2000, lookupMs: 5000 };

/**
 * Opens the directory: its sources in order, each with its deadline and, unless it is local, its cache.
 *
 * Rejects with ERR_CONFIG_INVALID when a setting has a problem or a file cannot be read. A server that is away makes
 * only the lookups fail. Disposing the directory closes all sources.
 */
export async function createDirectory(options: DirectoryOptions): Promise<Directory> {
  const timeouts = { ...timeoutDefaults, ...options.timeouts };
  const { clock, log } = options;
  const parseLoginName = createLoginNameParser(options.nameRules);
  const deps = {
    ...options,
    findHome: createHomes(options.backends, options.hosts),
    // The default domain may be an alias: bare names end up in the domain behind it.
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
    if (position !== (options.onlySource ?? position)) continue;
    const source = await configuredSource(settings, position, timeouts.sourceMs);
    const label = `${position + 1} ${source.type}`;
    const name = sourceNameOf(settings);
    const { timeoutMs } = source;
    const leading = askLeader === undefined ? undefined : sourceOfLeader(askLeader, name, { label, timeoutMs });
    const step = await openStep(source, { ...deps, label, timeoutMs, leading }, { ...cacheDefaults, ...options.cache });
    opened.use(step);
    steps.push(step);
    asks.set(name, step.askSource);
    if (step.cache !== undefined) caches.set(label, step.cache);
  }
  const chainOf = (ofSteps: readonly Step[]) =>
    new SourceChain({ steps: ofSteps, ...deps, timeoutMs: timeouts.lookupMs, clock, log });
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
      if (ask === undefined) throw couldNotAsk('the first process has no such source: it has just reloaded');
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

/** The source that these settings describe; throws with every problem at its place. */
async function configuredSource(
  settings: SourceSettings,
  position: number,
  timeoutMs: number,
): Promise<ConfiguredSource> {
  const outcome = await configureSource(settings, timeoutMs);
  if (outcome.kind === 'ok') return outcome.source;
  const problems = outcome.problems.map(({ path, message }) => `sources.${[position, ...path].join('.')}: ${message}`);
  throw invalidDirectory(problems.join('\n'));
}

interface OpenStep extends Step, AsyncDisposable {
  readonly cache?: CachedSource;
  /** Like `ask`, but past the cache. */
  readonly askAnew: Step['ask'];
  readonly askSource: Source['ask'];
}

/**
 * The name of a source between the processes of a node: its settings, secrets hidden. The position in the list would be
 * wrong: after a reload another source may stand there.
 */
function sourceNameOf(settings: SourceSettings): string {
  return JSON.stringify(settings);
}

/** Asks the source of this name in the process that leads, within the source's own time. */
function sourceOfLeader(
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
      throw invalidDirectory(`directory source ${label}: ${whyNotOpened(cause)}`, cause);
    });
  const limited = {
    ask: (name: LoginName, signal: AbortSignal) =>
      withDeadline({ source: 'directory', ms: source.timeoutMs, what: label }, signal, (limit) =>
        opened.ask(name, limit),
      ),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
  const cache = opened.isLocal ? undefined : new CachedSource(limited, cacheOptions, deps.clock);
  // A local source answers at once, or keeps to its own time: the chain's deadline is enough.
  const askLocal: Step['ask'] = async (name, signal) => ({ answer: await opened.ask(name, signal) });
  return {
    ...source,
    label,
    ...(cache === undefined ? { ask: askLocal, askAnew: askLocal } : askThrough(cache)),
    askSource: (name, signal) => opened.ask(name, signal),
    [Symbol.asyncDispose]: () => (cache ?? opened)[Symbol.asyncDispose](),
  };
}

function askThrough(cache: CachedSource): Pick<OpenStep, 'cache' | 'ask' | 'askAnew' | 'learn'> {
  return {
    cache,
    ask: (name, signal) => cache.ask(name, signal),
    askAnew: (name, signal) => cache.askAnew(name, signal),
    learn: (name, answer) => cache.learn(name, answer),
  };
}

function whyNotOpened(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function withoutDefaultDomain(rules: LoginNameRules): LoginNameRules {
  const { defaultDomain: _, ...others } = rules;
  return others;
}

function invalidDirectory(message: string, cause?: unknown): PosternError {
  return new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
}

/**
 * The names that sources may use for each backend: its name, the name of one of its hosts, or the host name or address
 * of its IMAP server or webmail, if no other backend has it. `hosts` adds names that only the directory uses.
 *
 * An answer of a source is never turned into an address: it is looked up here, and an unknown name means no backend.
 */
export function createHomes(
  backends: ReadonlyMap<BackendName, Backend>,
  hosts: Readonly<Record<string, string>> = {},
): FindHome {
  const names = new Map<string, BackendName>();
  const byHost = new Map<string, BackendName | 'ambiguous'>();
  const addHost = (host: string, backend: BackendName): void => {
    const key = foldHost(host);
    const before = byHost.get(key);
    byHost.set(key, before === undefined || before === backend ? backend : 'ambiguous');
  };
  for (const backend of backends.values()) {
    names.set(backend.name, backend.name);
    for (const host of backend.hosts) {
      addHost(host.name, backend.name);
      addHost(host.imap.hostname, backend.name);
      addHost(new URL(host.webmail.origin).hostname, backend.name);
    }
  }
  for (const [host, name] of Object.entries(hosts)) {
    const backend = names.get(name);
    if (backend === undefined) throw new TypeError(`directory.hosts: ${host} → ${name}: there is no such backend`);
    byHost.set(foldHost(host), backend);
  }
  return (home) => {
    const found = names.get(home) ?? byHost.get(foldHost(home));
    return found === 'ambiguous' ? undefined : found;
  };
}

function foldHost(host: string): string {
  const bare = host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  return isIPv6(bare) && !bare.includes('%') ? new URL(`http://[${bare}]/`).hostname.slice(1, -1) : bare;
}
