import { type BackendView, type ClusterViewDeps, viewBackends } from '../backends/cluster-view.ts';
import { explainMove } from '../backends/moves.ts';
import { backendKey, hostKey } from '../backends/placement.ts';
import type { Move, SetState } from '../backends/state-values.ts';
import type { StoreStanding } from '../admin/api-status.ts';
import type { AuditFacts } from '../core/audit.ts';
import { isoTime, systemClock } from '../core/clock.ts';
import type { Backend } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import { createNetworkMatch } from '../core/ip-networks.ts';
import { canonicalUser, isCanonicalUser } from '../core/names.ts';
import { type BackendReport, type NodeReport, type ReadReports, sumOfBackends } from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import { type ListedSession, sessionKind, type SessionStore } from '../core/session.ts';
import type { ShownBackend, ShownHost } from '../http/console/backend-table.ts';
import type { ConsoleActor, ConsoleBackends, WantedState } from '../http/console/backends.ts';
import type { ConsoleMoves } from '../http/console/moves.ts';
import type { ConsoleNodes } from '../http/console/nodes.ts';
import type { ConsolePenalties } from '../http/console/penalties.ts';
import type { ConsoleSessions } from '../http/console/sessions.ts';
import type { PenaltyRelief } from '../login/penalty-relief.ts';
import type { TlsCertificates } from '../proxy/tls-certificates.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ClusterState, ConfigHolder, NodeReports } from './parts.ts';

/** What operators do at the console of a node works on these. */
export interface ConsoleOperationsOptions {
  readonly sessions: Pick<NodeSessions, 'allSessions' | 'sessionsOfUser' | 'end'>;
  readonly store: Pick<SessionStore, 'read'>;
  readonly certificates: TlsCertificates | undefined;
  readonly storeStanding: () => Promise<StoreStanding>;
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  readonly cluster: ClusterState;
  readonly reports: Pick<NodeReports, 'read' | 'own'>;
  readonly holder: ConfigHolder;
}

const sampleMs = 30_000;
const keptSamples = 60;

/** Creates the backends as the console sees and changes them. It samples the sessions of each until it is disposed. */
export function createConsoleBackendOperations(options: ConsoleOperationsOptions): ConsoleBackends & Disposable {
  const history = new Map<string, number[]>();
  const sample = async (): Promise<void> => {
    const reports = await reportsFrom(options.reports.read);
    if (reports === undefined) return;
    const traffic = sumOfBackends(reports);
    const { backends } = options.holder.config;
    const names = new Set<string>(backends.keys());
    for (const name of history.keys()) if (!names.has(name)) history.delete(name);
    for (const name of backends.keys()) {
      const kept = history.get(name) ?? [];
      history.set(name, kept);
      kept.push(traffic.get(name)?.sessions ?? 0);
      if (kept.length > keptSamples) kept.shift();
    }
  };
  const timer = setInterval(() => void sample(), sampleMs).unref();
  const changes = changesOf(options);
  return {
    async all() {
      const reports = await reportsFrom(options.reports.read);
      const held = options.heldPerHost();
      return viewBackends(viewDeps(options), reports ?? []).map((view) => ({
        ...shownBackendOf(options, view, held),
        ...(reports === undefined ? {} : { traffic: shownTraffic(view.traffic) }),
        history: history.get(view.name) ?? [],
      }));
    },
    peopleOn: (backend, host) => peopleIn(options.sessions.allSessions(), backend, host),
    ...changes,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** Undefined if they cannot be asked: the page shows the states all the same. */
async function reportsFrom(read: ReadReports): Promise<readonly NodeReport[] | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}

function shownTraffic({ sessions, logins, errors, p95Ms }: BackendReport): NonNullable<ShownBackend['traffic']> {
  return { sessions, logins: logins.ok + logins.refused + logins.failed, errors, ...defined({ p95Ms }) };
}

function viewDeps({ holder, cluster }: ConsoleOperationsOptions): ClusterViewDeps {
  return {
    ...cluster,
    backends: () => holder.config.backends,
    serving: ({ name }) => holder.config.serving.get(name),
  };
}

function shownBackendOf(
  { holder: { config, current }, cluster: { state } }: ConsoleOperationsOptions,
  view: BackendView,
  held: ReadonlyMap<string, number>,
): Omit<ShownBackend, 'traffic' | 'history'> {
  const { name, active, arrangement = 'standby', sinceMs, by, reason } = view;
  const backend = current.backendNamed(name);
  if (backend === undefined) throw new TypeError(`there is no backend ${name}`);
  return {
    name: backend.name,
    state: view.state,
    driver: backend.driver,
    arrangement,
    failover: config.serving.get(backend.name)?.failover ?? 'automatic',
    ...defined({ set: state.states.get(backendKey(name)) }),
    ...(view.state === 'READY' ? {} : { cause: defined({ sinceMs, by, reason }) }),
    drainsPartly: config.directory.sources.some(
      ({ type, ...settings }) => type === 'hash' && Reflect.get(settings, 'shared_storage') === true,
    ),
    hosts: view.hosts.map((host) => ({
      name: host.name,
      state: host.state,
      serves: active === undefined || active === host.name,
      sessions: held.get(host.name) ?? 0,
      ...defined({ set: host.set }),
      ...shownServices(backend, host),
    })),
  };
}

function shownServices(
  { hosts }: Backend,
  { name, health }: BackendView['hosts'][number],
): Pick<ShownHost, 'webmail' | 'imap'> {
  const host = hosts.find((one) => one.name === name);
  const shown = (service: 'webmail' | 'imap', address: string) => {
    const { up = true, why } = health?.[service] ?? {};
    const check = health?.checks?.[service];
    return { address, up, ...defined({ why, checkedAtMs: check?.atMs, tookMs: check?.tookMs }) };
  };
  return {
    webmail: shown('webmail', host?.webmail.origin ?? ''),
    imap: shown('imap', `${host?.imap.hostname ?? ''}:${host?.imap.port ?? ''}`),
  };
}

const countedSessions = 50_000;

async function peopleIn(
  pages: AsyncIterable<readonly ListedSession[]>,
  backend: string,
  host: string | undefined,
): ReturnType<ConsoleBackends['peopleOn']> {
  const people = new Set<string>();
  let [seen, sessions] = [0, 0];
  for await (const page of pages) {
    seen += page.length;
    for (const { record } of page) {
      if (record.staff !== undefined || record.backend !== backend || (host ?? record.host) !== record.host) continue;
      people.add(record.user);
      sessions += 1;
    }
    if (seen >= countedSessions) return { people: people.size, sessions, isWhole: false };
  }
  return { people: people.size, sessions, isWhole: true };
}

function changesOf({ cluster, holder }: ConsoleOperationsOptions): Pick<ConsoleBackends, 'set' | 'activate'> {
  const { state, audit, placement } = cluster;
  return {
    async set(backend, host, wanted, by) {
      await audit.record({
        event: host === undefined ? 'backend-state' : 'host-state',
        ...by,
        subject: host ?? backend,
        facts: wantedFacts(wanted),
      });
      const key = host === undefined ? backendKey(backend) : hostKey(host);
      await state.states.set(key, setStateOf(wanted, by));
    },
    async activate(name, host, reason, by) {
      const backend = holder.current.backendNamed(name);
      if (backend === undefined) return;
      const from = placement.activeHost(backend).name;
      await audit.record({ event: 'active-host', ...by, subject: name, facts: { from, to: host, reason } });
      await state.active.set(name, { host, from, reason, by: atConsole(by), sinceMs: systemClock.nowMs() });
    },
  };
}

function atConsole({ actor }: ConsoleActor): string {
  return `${actor} (console)`;
}

function setStateOf(wanted: WantedState, by: ConsoleActor): SetState {
  return { ...wanted, by: atConsole(by), sinceMs: systemClock.nowMs() };
}

function wantedFacts({ state, reason, percent, untilMs }: WantedState) {
  const until = untilMs === undefined ? undefined : isoTime(untilMs);
  return { state, reason, ...defined({ percent: percent?.toString(), until }) };
}

/** The sessions of all nodes, for the console. */
export function consoleSessionsOf({ sessions, store, holder, cluster }: ConsoleOperationsOptions): ConsoleSessions {
  async function* candidates(user: string | undefined): AsyncIterable<readonly ListedSession[]> {
    const parsed = user === undefined ? undefined : holder.current.parseName(user);
    if (parsed === undefined) yield* sessions.allSessions();
    else if (parsed.kind === 'ok') yield await sessions.sessionsOfUser(canonicalUser(parsed.name));
  }
  return {
    async list({ user, backend, address, kind }, most) {
      const found: ListedSession[] = [];
      for await (const page of candidates(user)) {
        found.push(
          ...page.filter(
            ({ record }) =>
              (backend ?? record.backend) === record.backend &&
              (address ?? record.clientAddress) === record.clientAddress &&
              (kind ?? sessionKind(record)) === sessionKind(record),
          ),
        );
        if (found.length >= most) break;
      }
      return found.toSorted((a, b) => b.record.createdAtMs - a.record.createdAtMs).slice(0, most);
    },
    async named(key) {
      const found = await store.read(key);
      return found.kind === 'found' ? { key, ...found.session } : undefined;
    },
    async end(ended, reason, by) {
      for (const [subject, some] of Map.groupBy(ended, ({ record }) => record.user)) {
        await cluster.audit.record({ event: 'session-end', ...by, subject, facts: { ended: some.length, reason } });
        await Promise.all(some.map(({ key }) => sessions.end(key, 'kicked', atConsole(by))));
      }
    },
  };
}

function isPossibleNetwork(network: string | undefined): boolean {
  if (network === undefined) return true;
  try {
    createNetworkMatch([network]);
    return true;
  } catch {
    return false;
  }
}

/** The penalties of all nodes, for the console. */
export function consolePenaltiesOf(
  { holder, cluster }: Pick<ConsoleOperationsOptions, 'holder' | 'cluster'>,
  penalty: Pick<PenaltyRelief, 'list' | 'liftMatching'>,
): ConsolePenalties {
  return {
    async list({ user, network }, most) {
      const parsed = user === undefined ? undefined : holder.current.parseName(user);
      if (parsed?.kind === 'malformed' || !isPossibleNetwork(network)) return [];
      const { penalties } = await penalty.list(defined({ user: parsed?.name, network }), most);
      return penalties;
    },
    async lift({ user, network }, reason, by) {
      const subject = user ?? network;
      if (subject === undefined || !isPossibleNetwork(network)) return 0;
      const facts = { ...defined({ network }), reason };
      await cluster.audit.record({ event: 'penalty-lifted', ...by, subject, facts });
      return (await penalty.liftMatching(defined({ user, network }))).length;
    },
  };
}

function offerOf({ phase }: Move): 'stop' | 'back' | undefined {
  if (phase === 'done') return 'back';
  return phase === 'waiting' || phase === 'before' || phase === 'failed' ? 'stop' : undefined;
}

function moveGoesOn({ phase }: Move): boolean {
  return phase !== 'done' && phase !== 'failed' && phase !== 'stopped';
}

/** The moves of users, for the console. */
export function consoleMovesOf({ cluster, holder }: ConsoleOperationsOptions): ConsoleMoves {
  const { state, moves, audit } = cluster;
  const record = (by: ConsoleActor, subject: string, facts: AuditFacts) =>
    audit.record({ event: 'user-move', ...by, subject, facts });
  return {
    all() {
      const nowMs = systemClock.nowMs();
      return [...state.moves.all()]
        .toSorted(([, a], [, b]) => Number(moveGoesOn(b)) - Number(moveGoesOn(a)) || b.phaseAtMs - a.phaseAtMs)
        .map(([user, move]) => ({
          user,
          ...move,
          offer: offerOf(move),
          explanation: explainMove(user, move, nowMs),
        }));
    },
    async stop(typed, reason, by) {
      const move = isCanonicalUser(typed) ? state.moves.get(typed) : undefined;
      if (move === undefined || !isCanonicalUser(typed)) return 'There is no such move.';
      await record(by, typed, { step: 'stopped', reason });
      const outcome = await moves.stop(typed);
      return outcome?.kind === 'busy' ? 'A node is carrying out this move now. Wait until it is done.' : undefined;
    },
    async back(typed, reason, by) {
      const move = isCanonicalUser(typed) ? state.moves.get(typed) : undefined;
      if (move?.phase !== 'done' || !isCanonicalUser(typed)) return 'There is no such move that was carried out.';
      const from = holder.current.backendNamed(move.to)?.name;
      const to = holder.current.backendNamed(move.from)?.name;
      if (from === undefined || to === undefined) return `The configuration has no backend ${move.from} any more.`;
      await record(by, typed, { step: 'ordered', from, to, reason });
      const moved = moves.move({ user: typed, from, to, reason, by: atConsole(by) });
      // A hook may take minutes. The page of moves shows the phase, also of a move that got stuck.
      const patience = new Promise<void>((resolve) => void setTimeout(resolve, movePatienceMs).unref());
      moved.catch(() => undefined);
      await Promise.race([moved, patience]);
      return undefined;
    },
  };
}

const movePatienceMs = 1_500;

/** The nodes and what they stand on, for the console. */
export function consoleNodesOf({
  reports,
  certificates,
  storeStanding,
}: Pick<ConsoleOperationsOptions, 'reports' | 'certificates' | 'storeStanding'>): ConsoleNodes {
  return {
    async reports() {
      const own = reports.own();
      try {
        return { own: own.name, all: await reports.read() };
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        return { own: own.name, all: [own], why: error.message };
      }
    },
    certificates: () => [...(certificates?.expiries() ?? [])],
    store: storeStanding,
  };
}
