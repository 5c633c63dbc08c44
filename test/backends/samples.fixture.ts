import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createStateReplica, type StateReplica } from '../../src/backends/state-replica.ts';
import type { OperatorState, SetState } from '../../src/backends/state-values.ts';
import type { Audit, AuditEvent } from '../../src/core/audit.ts';
import type { Backend, BackendHost, HealthSettings, Serving } from '../../src/core/backend.ts';
import type { Clock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import type { BackendName, CanonicalUser, UserKey } from '../../src/core/names.ts';
import type { SessionRecord } from '../../src/core/session.ts';
import { backendLimits } from '../backend-limits.fixture.ts';

/** A state as an operator sets it. */
export function setState(state: OperatorState, more: Partial<SetState> = {}): SetState {
  return { state, reason: 'new disks', by: 'ops', sinceMs: 1_000, texts: {}, ...more };
}

export function backendName(name: string): BackendName {
  return name as BackendName;
}

export function userName(name: string): CanonicalUser {
  return name as CanonicalUser;
}

/** An audit that remembers what it was told. */
export function noteAudit(): Pick<Audit, 'record'> & { readonly noted: readonly AuditEvent[] } {
  const noted: AuditEvent[] = [];
  return { noted, record: async (event) => void noted.push(event) };
}

/** A clock that stands still until it is told to go on. */
export function handClock(): Clock & { advance(ms: number): void } {
  let nowMs = 1_000_000;
  return {
    nowMs: () => nowMs,
    advance(ms) {
      nowMs += ms;
    },
  };
}

export function hostNamed(name: string, webmailPort = 80, imapPort = 993): BackendHost {
  return {
    name,
    imap: { hostname: '127.0.0.1', port: imapPort, security: 'tls', trust: {} },
    webmail: { origin: `http://127.0.0.1:${webmailPort}`, landing: '/', trust: {} },
  };
}

export const usualHealth: HealthSettings = {
  httpIntervalMs: 2000,
  imapIntervalMs: 10_000,
  timeoutMs: 2000,
  fall: 3,
  rise: 2,
};

/** A backend with `hosts` machines, of equal rank where it serves as a pool. */
export function backendOf(name: string, hosts: number): Backend {
  const others = Array.from({ length: hosts - 1 }, (_, index) => hostNamed(`${name}/${index + 2}`));
  return {
    name: backendName(name),
    driver: 'none',
    driverSettings: {},
    hosts: [hostNamed(name), ...others],
    limits: backendLimits,
  };
}

export function servingAs(arrangement: Serving['arrangement'], more: Partial<Serving> = {}): Serving {
  return {
    arrangement,
    choice: 'rendezvous',
    failover: 'automatic',
    weights: {},
    health: usualHealth,
    ...more,
  };
}

/** A session of this user on this host. */
export function recordOn(user: string, backend: string, host: string): SessionRecord {
  return {
    user: userName(user),
    backend: backendName(backend),
    host,
    createdAtMs: 0,
    absoluteEndMs: Number.MAX_SAFE_INTEGER,
    clientAddress: '192.0.2.1',
    userAgent: 'test',
    publicOrigin: 'https://mail.example.test',
    userKey: user as UserKey,
    sealed: '',
  };
}

/** The state of all nodes, for one test, in a file that goes with it. */
export async function openState(): Promise<StateReplica> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-state-'));
  const replica = createStateReplica({
    store: createSqliteStateStore(join(folder, 'state')),
    log: silentLog,
    pollMs: 20,
  });
  await replica.open();
  return {
    isFollowed: () => replica.isFollowed(),
    version: () => replica.version(),
    states: replica.states,
    active: replica.active,
    overrides: replica.overrides,
    locks: replica.locks,
    homes: replica.homes,
    moves: replica.moves,
    table: (name, parse) => replica.table(name, parse),
    open: () => replica.open(),
    refresh: () => replica.refresh(),
    watch: (listener) => replica.watch(listener),
    async [Symbol.asyncDispose]() {
      await replica[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
