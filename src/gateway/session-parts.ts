import { randomBytes } from 'node:crypto';
import type { SessionsConfig } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { SessionStore } from '../core/session.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { createSessionGate, type SessionGate } from '../sessions/browser-session.ts';
import { createNodeSessions, type NodeSessions, type NodeSessionsOptions } from '../sessions/node-sessions.ts';
import { createRedisStore } from '../sessions/redis-store.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import { createSqliteStore } from '../sessions/sqlite-store.ts';
import type { Site } from './site.ts';

interface SessionParts {
  readonly store: SessionStore;
  readonly keys: ServerKeys;
  readonly log: Log;
  readonly site: () => Site;
}

/** The sessions of a node. The getters let a reload change what they say. */
export function sessionsOf({ site, ...parts }: SessionParts & Pick<NodeSessionsOptions, 'ended'>): NodeSessions {
  return createNodeSessions({
    ...parts,
    clock: systemClock,
    ownsCookie: (backend) => (name) => site().homeOf(backend)?.driver.ownsCookie(name) ?? false,
    get idleTimeoutMs() {
      return site().config.sessions.idleTimeoutMs;
    },
    get serveStaleMs() {
      return site().config.sessions.serveStaleMs;
    },
  });
}

/** What our own pages do with them. The getters let a reload change what they say. */
export function gateOf({ site, ...parts }: SessionParts, live: NodeSessions): SessionGate {
  return createSessionGate({
    ...parts,
    live,
    clock: systemClock,
    randomBytes,
    get absoluteTimeoutMs() {
      return site().config.sessions.absoluteTimeoutMs;
    },
    get forgetPassword() {
      return site().config.sessions.forgetPassword;
    },
    get maxPerUser() {
      return site().config.sessions.maxPerUser;
    },
  });
}

interface OpenStore {
  readonly store: SessionStore;
  /** The connection for what else lives in it. */
  readonly redis?: RedisConnection;
}

/**
 * Opens the store of a configuration. A tombstone stands as long as a session may live, so that no late write can
 * revive one.
 */
export async function openStore(
  { store, absoluteTimeoutMs }: SessionsConfig,
  log: Log,
  observe: (took: { readonly ms: number; readonly failed: boolean }) => void = () => {},
): Promise<OpenStore> {
  const tombstoneMs = absoluteTimeoutMs;
  if (store.kind === 'embedded') {
    return { store: createSqliteStore({ file: store.file, tombstoneMs, clock: systemClock }) };
  }
  const { kind: _, ...settings } = store;
  const redis = createRedisStore({ settings, tombstoneMs, log, observe });
  await redis.open(new AbortController().signal);
  return { store: redis, redis: redis.connection };
}
