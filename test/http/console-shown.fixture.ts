import type { RecordKey, UserKey } from '../../src/core/names.ts';
import type { NodeReport } from '../../src/core/node-report.ts';
import type { ListedSession, SessionRecord } from '../../src/core/session.ts';
import type { ShownBackend, ShownHost } from '../../src/http/console/backend-table.ts';
import type { ShownMove } from '../../src/http/console/moves.ts';
import type { ConsoleStatistics } from '../../src/http/console/statistics.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';

/** A session at a backend, of whom and from where a test says. */
export function shownSession(
  key: string,
  user: string,
  more: Partial<Pick<SessionRecord, 'backend' | 'clientAddress' | 'impersonation' | 'staff'>> = {},
): ListedSession {
  const nowMs = Date.now();
  const record: SessionRecord = {
    user: canonicalUser(user),
    backend: backendName('a'),
    host: 'a',
    createdAtMs: nowMs - 60_000,
    absoluteEndMs: nowMs + 600_000,
    clientAddress: '192.0.2.9',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    publicOrigin: 'http://mail.localhost',
    userKey: 'u'.repeat(43) as UserKey,
    sealed: '',
    ...more,
  };
  return { key: key.padEnd(43, '0') as RecordKey, record, lastUseMs: nowMs - 5_000 };
}

/** The report of one node in a quiet minute. */
export function nodeReport(name: string, more: Partial<NodeReport> = {}): NodeReport {
  const nowMs = Date.now();
  return {
    name,
    version: '0.2.0',
    commit: '0123456789abcdef',
    configHash: 'c0ffee00c0ffee00',
    configLoadedAtMs: nowMs - 3_600_000,
    startedAtMs: nowMs - 7_200_000,
    workers: 2,
    draining: false,
    degraded: [],
    atMs: nowMs,
    clockSkewMs: 3,
    sessions: 40,
    logins: { ok: 2, refused: 0, failed: 0 },
    backends: {},
    alarms: {},
    ...more,
  };
}

/** Statistics of sign-ins, more in the evening and on weekdays. */
export const someFigures: Awaited<ReturnType<ConsoleStatistics>> = {
  week: async () =>
    Array.from({ length: 7 }, (_, day) => Array.from({ length: 24 }, (_one, hour) => (day < 5 ? hour * 7 : hour))),
  logins: async (by, span) => ({
    ...span,
    rows: (by === 'day' ? ['2030-01-01', '2030-01-02', '2030-01-03'] : ['a', 'b']).map((key, at) => ({
      key,
      counts: {
        signed_in: 100 * (at + 1),
        refused: 7,
        failed: at,
        program_accepted: 3,
        program_refused: 0,
        program_failed: 0,
      },
    })),
  }),
  knownSinceMs: async () => Date.UTC(2030, 0, 1),
};

/** A move from a to b. */
export function shownMove(user: string, phase: 'waiting' | 'done'): ShownMove {
  return {
    user,
    from: 'a',
    to: 'b',
    phase,
    reason: 'new disks',
    by: 'root (socket)',
    startedAtMs: 0,
    phaseAtMs: 0,
    explanation: `${user} is ${phase}`,
    offer: phase === 'done' ? 'back' : 'stop',
  };
}

/** A backend of one host, or of two where one stands by. */
export function shownBackend(
  name: string,
  { state = 'READY', hosts = 1, ...more }: Partial<Omit<ShownBackend, 'hosts'>> & { readonly hosts?: 1 | 2 } = {},
): ShownBackend {
  const why = state === 'DOWN' ? { why: 'refused' } : {};
  const host = (hostName: string, serves: boolean): ShownHost => ({
    name: hostName,
    state,
    serves,
    sessions: 4,
    webmail: { address: `http://${name}.internal`, up: state !== 'DOWN', ...why, checkedAtMs: Date.now(), tookMs: 3 },
    imap: { address: `${name}.internal:993`, up: true, checkedAtMs: Date.now(), tookMs: 2 },
  });
  return {
    name: backendName(name),
    state,
    driver: 'roundcube',
    arrangement: 'standby',
    failover: 'automatic',
    drainsPartly: false,
    hosts: [host(name, true), ...(hosts === 2 ? [host(`${name}/2`, false)] : [])],
    traffic: { sessions: 4, logins: 2, errors: 0, p95Ms: 12 },
    history: [1, 2, 4],
    ...more,
  };
}

/** Five hundred backends in all states, each with what a row can hold. */
export function manyBackends(): readonly ShownBackend[] {
  const texts = { by: 'olga@example.test (console)', reason: 'new disks in the whole rack' };
  return Array.from({ length: 500 }, (_, index) => {
    const name = `${index % 2 === 0 ? 'fra-mail' : 'ber-mail'}${String(index).padStart(3, '0')}`;
    const state = (['READY', 'READY', 'READY', 'DRAIN', 'MAINT', 'DOWN'] as const)[index % 6] ?? 'READY';
    return shownBackend(name, {
      hosts: 2,
      state,
      ...(state === 'DRAIN' || state === 'MAINT' ? { cause: { ...texts, sinceMs: Date.now() - 3_600_000 } } : {}),
      traffic: { sessions: 12_000 + index, logins: index, errors: index % 7, p95Ms: 20 + (index % 90) },
      history: Array.from({ length: 60 }, (_one, at) => 12_000 + ((at * index) % 97)),
    });
  });
}
