import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAnchors } from '../audit/anchors.ts';
import { createAudit, type OwnAudit } from '../audit/audit.ts';
import type { AuditKey } from '../audit/line.ts';
import { createSyslogCopy } from '../audit/syslog.ts';
import { createRedisStateStore } from '../backends/redis-state-store.ts';
import { createSqliteStateStore } from '../backends/sqlite-state-store.ts';
import { createVouchedStateStore, type StateKeys, type VouchedStateStore } from '../backends/vouched-state-store.ts';
import type { Config } from '../config/config.ts';
import type { Audit } from '../core/audit.ts';
import { systemClock } from '../core/clock.ts';
import { type Log, silentLog } from '../core/log.ts';
import { createNetworkMatch } from '../core/ip-networks.ts';
import { defined } from '../core/objects.ts';
import { Secret } from '../core/secrets.ts';
import type { SessionStore } from '../core/session.ts';
import type { RunScript, StateStore } from '../core/state-store.ts';
import { createDirectory, type Directory } from '../directory/directory.ts';
import type { AskLeader, ConnectRedis, SharedStorageStates } from '../directory/source.ts';
import { probeCounters } from '../login/penalty-counters.ts';
import { systemWait } from '../login/limits.ts';
import { probePenaltyNames } from '../login/penalty-names.ts';
import type { Penalty } from '../login/penalty.ts';
import type { PolicyServer } from '../login/policy.ts';
import { createRedisConnection, isRefusal, type RedisConnection } from '../redis/connection.ts';
import type { RedisSettings } from '../redis/topology.ts';
import type { KeyRing } from '../sessions/key-derivation.ts';
import { readKeysFile, ringOf } from '../sessions/keys-file.ts';
import { NodeSessions, type NodeSessionsOptions } from '../sessions/node-sessions.ts';
import { probeSessionStore, RedisSessionStore } from '../sessions/redis-store.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import { SqliteSessionStore } from '../sessions/sqlite-store.ts';
import { probeRecentLogins } from '../support/recent-logins.ts';
import type { ConfigHolder, SharedParts } from './parts.ts';

/** The parts from which a node's sessions, and their pages, are built. */
export interface SessionParts {
  readonly store: SessionStore;
  readonly keys: ServerKeys;
  readonly log: Log;
  readonly holder: ConfigHolder;
}

/** The sessions of a node. The getters read the configuration in force. */
export function sessionsOf({
  holder,
  ...parts
}: SessionParts & Pick<NodeSessionsOptions, 'ended' | 'lockedBy'>): NodeSessions {
  return new NodeSessions({
    ...parts,
    clock: systemClock,
    ownsCookie: (backend) => (name) => holder.current.homeOf(backend)?.driver.ownsCookie(name) ?? false,
    holder,
  });
}

interface OpenSessionStore {
  readonly store: SessionStore;
  /** The connection, for the other users of this Redis. */
  readonly redis?: RedisConnection;
}

/** Opens the session store. Tombstones last as long as a session may live, so that no late write can revive one. */
export async function openSessionStore(
  { store, absoluteTimeoutMs }: Config['sessions'],
  log: Log,
  observe: (took: { readonly ms: number; readonly failed: boolean }) => void = () => {},
): Promise<OpenSessionStore> {
  const tombstoneMs = absoluteTimeoutMs;
  if (store.kind === 'embedded') {
    return { store: new SqliteSessionStore({ file: store.file, tombstoneMs, clock: systemClock }) };
  }
  const { kind: _, ...settings } = store;
  const redis = new RedisSessionStore({ settings, tombstoneMs, log, observe });
  await redis.open(new AbortController().signal);
  return { store: redis, redis: redis.connection };
}

/**
 * Opens the state store. `redis` is the open connection of the sessions; a command without a gateway has none, and what
 * it opens instead is added to `opened`. Only entries that one of `keys` has signed count, but for the time of an upgrade
 * that the configuration in `holder` names.
 */
export async function openStateStore(
  holder: { readonly config: Config },
  log: Log,
  redis: RedisConnection | undefined,
  opened: AsyncDisposableStack,
  keys: StateKeys,
): Promise<VouchedStateStore> {
  const store = await openBareStore(holder.config, log, redis, opened);
  const unsignedUntilMs = () => holder.config.sessions.acceptUnsignedUntilMs ?? 0;
  return createVouchedStateStore({ store, keys, clock: systemClock, log, unsignedUntilMs });
}

async function openBareStore(
  config: Config,
  log: Log,
  redis: RedisConnection | undefined,
  opened: AsyncDisposableStack,
): Promise<StateStore> {
  const own = config.state.redis ?? (redis === undefined ? config.sessions.store : undefined);
  if (own?.kind === 'redis') {
    const { kind: _, ...settings } = own;
    const connection = createRedisConnection({ settings, log });
    opened.defer(() => connection.close());
    await connection.open(new AbortController().signal);
    return createRedisStateStore(scriptsOn(connection));
  }
  if (redis !== undefined) return createRedisStateStore(scriptsOn(redis));
  const { store } = config.sessions;
  if (store.kind !== 'embedded') throw new TypeError('the sessions live in a Redis that was not handed in');
  return createSqliteStateStore(store.file);
}

/** Scripts on a connection of the sessions. */
export function scriptsOn(connection: RedisConnection): RunScript {
  return (script, keys, args) =>
    connection.run((client) => client.eval(script, { keys: [...keys], arguments: [...args] }));
}

/**
 * Opens the directory with all its sources. Without `sharedStorage` all backends count as available, as for a command
 * without a gateway. Without `askLeader` it also opens the sources that a node opens only once.
 */
export function openDirectory(
  config: Config,
  log: Log,
  {
    sharedStorage: states,
    askLeader,
    onlySource,
  }: {
    readonly sharedStorage?: SharedStorageStates;
    readonly askLeader?: AskLeader;
    readonly onlySource?: number;
  } = {},
): Promise<Directory> {
  return createDirectory({
    ...config.directory,
    backends: config.backends,
    clock: systemClock,
    log,
    connectRedis,
    ...defined({ states, askLeader, onlySource }),
  });
}

/** A connection for a source, which reconnects as that of the sessions does. */
export const connectRedis: ConnectRedis = async (settings, log) => {
  const connection = createRedisConnection({ settings, log });
  // Waits one second at most; questions to a server that is away fail.
  await connection.open(new AbortController().signal);
  return {
    get: (key) => connection.run((client) => client.get(key)),
    hGet: (key, field) => connection.run((client) => client.hGet(key, field)),
    close: () => connection.close(),
  };
};

interface OpenAuditOptions {
  readonly config: Config;
  /** Where the ends of audit chains are anchored; not closed here. */
  readonly store: StateStore;
  readonly keys: { current(): Pick<KeyRing, 'promoted'> };
  readonly log: Log;
  /** Called with each line that is on disk, for the metrics. */
  readonly written?: () => void;
}

/** Opens the audit of this process. It opens even if the file cannot be written; the log then has an alarm. */
export async function openAudit({
  config,
  store,
  keys,
  log,
  ...options
}: OpenAuditOptions): Promise<Omit<OwnAudit, 'open'>> {
  const { file } = config.audit;
  const node = hostname();
  const opened = new AsyncDisposableStack();
  const anchors = opened.use(createAnchors({ store, log }));
  const { syslog } = config.audit;
  const copy = syslog === undefined ? undefined : opened.use(createSyslogCopy({ ...syslog, node, log }));
  const audit = opened.use(
    createAudit({
      file,
      node,
      key: () => auditKeyOf(keys.current().promoted),
      clock: systemClock,
      randomBytes,
      log,
      written(line) {
        const { chain, sequence, mac, timeMs } = line;
        anchors.note({ chain, sequence, mac, timeMs, node, file });
        copy?.send(line);
        options.written?.();
      },
    }),
  );
  await audit.open();
  return {
    record: (event) => audit.record(event),
    list: (filter, limit) => audit.list(filter, limit),
    isWritable: () => audit.isWritable(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/**
 * The audit for a command without a gateway, in the same file. Undefined if this machine has no server keys: no gateway
 * has run here. Rejects with ERR_KEYS_UNUSABLE.
 */
export async function openCommandAudit(
  config: Config,
  store: StateStore,
  log: Log,
): Promise<(Audit & AsyncDisposable) | undefined> {
  const entries = await readKeysFile(config.sessions.keysFile);
  if (entries === undefined) return undefined;
  const ring = ringOf(entries);
  return openAudit({ config, store, keys: { current: () => ring }, log });
}

function auditKeyOf(key: KeyRing['promoted']): AuditKey {
  return { id: key.id, secret: key.subkey('audit').export() };
}

/**
 * Tries what serving does with the stores. `sessions` is the Redis of the sessions, if there is one. Rejects with
 * ERR_STORE_UNAVAILABLE, which says what is refused.
 */
export async function probeStores({ state }: Config, sessions: RedisConnection | undefined): Promise<void> {
  if (sessions !== undefined) {
    await probeSessions(sessions);
    if (state.redis === undefined) await probeState(sessions);
  }
  if (state.redis?.kind === 'redis') await probeOwnState(state.redis);
}

/**
 * Tries on a Redis what serving does with sessions, penalties and recent logins. Rejects with ERR_STORE_UNAVAILABLE,
 * which says what is refused.
 */
export async function probeSessions(connection: RedisConnection): Promise<void> {
  await probeSessionStore(connection);
  await connection.run((client) => probeCounters(client));
  await probePenaltyNames(scriptsOn(connection));
  await probeRecentLogins(scriptsOn(connection));
}

/** Tries on a Redis what serving does with states and moves. Rejects as above. */
export async function probeState(connection: RedisConnection): Promise<void> {
  const state = createRedisStateStore(scriptsOn(connection));
  await state.put('probe', 'start', new Date(systemClock.nowMs()).toISOString());
  await state.put('probe', 'start', undefined);
  await state.changesSince(0);
}

/**
 * Tries the same on a Redis for the state alone, on its own connection. A server that is away does not prevent a start:
 * the known state stays in force.
 */
async function probeOwnState(settings: RedisSettings): Promise<void> {
  const connection = createRedisConnection({ settings, log: silentLog });
  try {
    await connection.open(new AbortController().signal);
    await probeState(connection);
  } catch (error) {
    if (isRefusal(error)) throw error;
  } finally {
    connection.close();
  }
}

/** The penalty; where a policy server is configured, it is asked first. Only then is its client loaded. */
export async function openPenalty(
  config: Config,
  parts: Pick<SharedParts, 'penalty' | 'clock' | 'log' | 'policyDelayed'>,
): Promise<Penalty> {
  const server = policyServerOf(config);
  if (server === undefined) return parts.penalty;
  const { createPolicedPenalty } = await import('../login/policy.ts');
  const isExempt = createNetworkMatch(config.login.exemptNetworks);
  return createPolicedPenalty(server, { ...parts, isExempt, wait: systemWait, delayed: parts.policyDelayed });
}

/** Asks the policy server about a login by nobody, and resolves with its answer in words. */
export async function probePolicy(config: Config): Promise<string> {
  const server = policyServerOf(config);
  if (server === undefined) return 'none is configured';
  const { tryPolicyServer } = await import('../login/policy.ts');
  const nobody = { user: 'postern-check', address: '127.0.0.1', password: new Secret('postern-check') };
  const { status, message } = await tryPolicyServer(server, nobody);
  return `answers with status ${status}${message === '' ? '' : ` (${message})`}`;
}

function policyServerOf({ login: { policy }, publicUrls }: Config): PolicyServer | undefined {
  return policy && { ...policy, isTls: publicUrls.every(({ secure }) => secure) };
}
