import { dialImap, dialWebmail, readWebmail, smallTarget } from '../backends/probes.ts';
import type { Config } from '../config/config.ts';
import { redisAddress, type StoreConfig } from '../config/sessions-section.ts';
import type { Backend, BackendHost, BackendLimits, MasterIdentity, TestAccount } from '../core/backend.ts';
import { explainFailure } from '../core/connection-failure.ts';
import { type Log, silentLog } from '../core/log.ts';
import { canonicalUser } from '../core/names.ts';
import { probePolicy, probeSessions, probeState } from '../gateway/stores.ts';
import { createImapMailboxes } from '../passdb/imap-mailboxes.ts';
import { RedisSessionStore } from '../sessions/redis-store.ts';
import { checkServerKeys } from '../sessions/server-keys.ts';

/** The result for one server. `warning`: it answers, but something about it will cause trouble. */
export interface Dialled {
  readonly server: string;
  readonly address: string;
  readonly result: 'ok' | 'warning' | 'failed';
  readonly ms: number;
  readonly note: string;
}

type DialOutcome = Pick<Dialled, 'result' | 'note'>;
type Dial = Pick<Dialled, 'server' | 'address'> & {
  readonly ask: (signal: AbortSignal) => Promise<DialOutcome>;
  readonly limitMs: number;
};

/** Connections at a time: two hundred would look like an attack to servers and firewalls. */
const parallelDials = 32;

/**
 * The half of `check --online` that dials: Redis of sessions and state with the server keys in it, and IMAP, webmail
 * and master identity of each host. `askDirectory` is the other half. Never rejects because of a server.
 */
export async function dialAll(config: Config): Promise<readonly Dialled[]> {
  const waiting = [
    ...redisDials(config),
    ...[...config.backends.values()].flatMap((backend) => backendDials(backend, config)),
    ...masterDials(config),
    ...policyDials(config),
    ...mailProxyDials(config),
  ];
  const queue = waiting.entries();
  const done: [index: number, dialled: Dialled][] = [];
  const work = async () => {
    for (const [index, dial] of queue) done.push([index, await carryOut(dial)]);
  };
  await Promise.all(Array.from({ length: parallelDials }, work));
  return done.sort(([a], [b]) => a - b).map(([, dialled]) => dialled);
}

async function carryOut({ server, address, ask, limitMs }: Dial): Promise<Dialled> {
  const startedAt = performance.now();
  const outcome = await ask(AbortSignal.timeout(limitMs)).catch(
    (error: unknown): DialOutcome => ({ result: 'failed', note: explainFailure(error) }),
  );
  return { server, address, ...outcome, ms: Math.round(performance.now() - startedAt) };
}

/** The losses if a Redis with sessions, state or both fails. */
const losses = {
  redis: {
    restart: 'a restart of Redis signs everybody out and loses states and moves',
    eviction: 'sessions, states and moves are lost when memory runs short',
  },
  sessions: { restart: 'a restart of Redis signs everybody out', eviction: 'sessions are lost when memory runs short' },
  state: {
    restart: 'a restart of Redis loses states and moves',
    eviction: 'states and moves are lost when memory runs short',
  },
};

function redisDials({ sessions: { store, keysFile }, state }: Config): Dial[] {
  const dials: Dial[] = [];
  if (store.kind === 'redis') {
    const loss = state.redis === undefined ? losses.redis : losses.sessions;
    dials.push(redisDial('redis', store, loss, { sessions: true, state: state.redis === undefined, keysFile }));
  }
  if (state.redis?.kind === 'redis')
    dials.push(redisDial('state redis', state.redis, losses.state, { sessions: false, state: true }));
  return dials;
}

function redisDial(
  server: string,
  store: StoreConfig & { kind: 'redis' },
  loss: { readonly restart: string; readonly eviction: string },
  holds: { readonly sessions: boolean; readonly state: boolean; readonly keysFile?: string },
): Dial {
  const ask = async (signal: AbortSignal): Promise<DialOutcome> => {
    const { appendonly, maxmemoryPolicy, tracks } = await dialRedis(store, holds, signal);
    const notes = [
      ...(tracks || !holds.sessions ? [] : ['no client tracking: each node reads each session in use twice a second']),
      ...(appendonly === 'no' ? [`appendonly is no: ${loss.restart}`] : []),
      ...(maxmemoryPolicy !== undefined && maxmemoryPolicy !== 'noeviction'
        ? [`maxmemory-policy is ${maxmemoryPolicy}: ${loss.eviction}; set noeviction`]
        : []),
    ];
    return { result: notes.length === 0 ? 'ok' : 'warning', note: notes.join('; ') };
  };
  return { server, address: redisAddress(store), ask, limitMs: 3000 };
}

function backendDials(backend: Backend, config: Config): Dial[] {
  const { limits } = backend;
  return backend.hosts.flatMap((host): Dial[] => [
    {
      server: `${host.name} imap`,
      address: imapAddress(host),
      ask: async (signal) => ({ result: 'ok', note: await dialImap(host.imap, signal) }),
      limitMs: limits.imapConnectMs + limits.imapGreetingMs,
    },
    {
      server: `${host.name} webmail`,
      address: host.webmail.origin + host.webmail.landing,
      ask: async (signal) => {
        const publicHost = config.publicUrls[0].authority;
        const outcome = judgeWebmail(await dialWebmail(host.webmail, publicHost, signal));
        return outcome.result === 'ok' ? weighCheck(outcome, { backend, host, config }, signal) : outcome;
      },
      limitMs: limits.webmailConnectMs + 5000,
    },
  ]);
}

function masterDials({ backends, serving }: Config): Dial[] {
  const dials: Dial[] = [];
  for (const { name, hosts, limits, master } of backends.values()) {
    if (master === undefined) continue;
    const account = serving.get(name)?.testAccount;
    for (const host of hosts) {
      dials.push({
        server: `${host.name} master`,
        address: imapAddress(host),
        ask: (signal) => tryMaster({ host, limits, master, account }, signal),
        // Cyrus is asked three times.
        limitMs: 3 * (limits.imapConnectMs + limits.imapGreetingMs + limits.imapAuthMs),
      });
    }
  }
  return dials;
}

function policyDials(config: Config): Dial[] {
  const { policy } = config.login;
  if (policy === undefined) return [];
  const ask = async (): Promise<DialOutcome> => ({ result: 'ok', note: await probePolicy(config) });
  return [{ server: 'policy server', address: policy.url, ask, limitMs: policy.timeoutMs + 1000 }];
}

function mailProxyDials({ mailProxies }: Config): Dial[] {
  return mailProxies.map((proxy) => ({
    server: `${proxy.name} mail`,
    address: proxy.access.kind === 'dovecot' ? proxy.access.url : proxy.access.program,
    ask: async (signal) => {
      const { checkMailProxy } = await import('../backends/mail-connections.ts');
      return { result: 'ok', note: await checkMailProxy(proxy, signal) };
    },
    limitMs: proxy.timeoutMs,
  }));
}

function judgeWebmail({ status }: { readonly status: number }): DialOutcome {
  if (status >= 500) return { result: 'failed', note: `answers ${status}: look at the webmail's own log` };
  if (status === 404 || status === 400) {
    return {
      result: 'warning',
      note: `answers ${status}: is this the right path, and does the webmail accept the public host name?`,
    };
  }
  return { result: 'ok', note: `answers ${status}` };
}

/** An answer larger than this is not a small file such as an icon. */
const largeBytes = 64 * 1024;

/** Reports the cost of a check, and warns if its target is not a small file: it is generated, or begins a session. */
async function weighCheck(
  outcome: DialOutcome,
  { backend, host, config }: { readonly backend: Backend; readonly host: BackendHost; readonly config: Config },
  signal: AbortSignal,
): Promise<DialOutcome> {
  const target = config.serving.get(backend.name)?.health.path ?? smallTarget(host, await ownTarget(backend));
  const webmail = { ...host.webmail, landing: target };
  const startedAt = performance.now();
  const { bytes, setsCookie } = await readWebmail(webmail, config.publicUrls[0].authority, signal);
  const cost = `(${Math.ceil(bytes / 1024)} KB in ${Math.round(performance.now() - startedAt)} ms)`;
  const why = setsCookie ? 'sets a cookie' : bytes > largeBytes ? 'is not a small file' : undefined;
  const each = `${outcome.note}; each check requests ${target}`;
  if (why === undefined) return { ...outcome, note: `${each} ${cost}` };
  return { result: 'warning', note: `${each}, which ${why} ${cost}: name a small file in health: { path }` };
}

/** Target of the health check by the driver; undefined if the driver names none. */
async function ownTarget({ driver, driverSettings: settings, master }: Backend): Promise<string | undefined> {
  const { healthTargetOf } = await import('../webmail/registry.ts');
  return healthTargetOf(driver, settings, master);
}

function imapAddress({ imap }: BackendHost): string {
  const host = imap.hostname.includes(':') ? `[${imap.hostname}]` : imap.hostname;
  return `${imap.security === 'tls' ? 'imaps' : 'imap'}://${host}:${imap.port}`;
}

/** Settings that a Redis reports; undefined if it does not report one. */
export interface RedisReply {
  readonly appendonly: string | undefined;
  readonly maxmemoryPolicy: string | undefined;
  /** Whether Redis pushes changes; otherwise nodes read sessions again twice a second. */
  readonly tracks: boolean;
}

/**
 * Connects as the gateway would, tries all that `serve` does there, under keys that expire, and reads the server's
 * persistence settings. Rejects if a command is refused, or if the keys file lacks a key that other nodes use.
 */
export async function dialRedis(
  store: StoreConfig & { kind: 'redis' },
  holds: { readonly sessions: boolean; readonly state: boolean; readonly keysFile?: string },
  signal: AbortSignal,
): Promise<RedisReply> {
  let why: string | undefined;
  // The connection reconnects by itself and only logs why it fails.
  const log: Log = {
    ...silentLog,
    warn: (_event, fields: object = {}) => {
      if ('why' in fields) why ??= String(fields.why);
    },
  };
  await using redis = new RedisSessionStore({ settings: store, tombstoneMs: 1, log });
  await redis.open(signal);
  const { connection } = redis;
  await connection
    .run((client) => client.exists('ps:keys'))
    .catch((error: unknown) => {
      throw why === undefined ? error : new Error(why);
    });
  if (holds.sessions) await probeSessions(connection);
  if (holds.state) await probeState(connection);
  if (holds.keysFile !== undefined) await checkServerKeys({ file: holds.keysFile, store: redis });
  // The gateway's account needs no permission to read the configuration.
  const read = async (name: string) =>
    connection
      .run((client) => client.configGet(name))
      .then(
        (reply) => reply[name],
        () => undefined,
      );
  return {
    appendonly: await read('appendonly'),
    maxmemoryPolicy: await read('maxmemory-policy'),
    tracks: redis.tracks(),
  };
}

/** A user that cannot exist (RFC 2606). */
const noSuchMailbox = 'postern-check@invalid';

/** A master identity to try on one host, and the account to open with it. */
interface TriedMaster {
  readonly host: BackendHost;
  readonly limits: BackendLimits;
  readonly master: MasterIdentity;
  readonly account: TestAccount | undefined;
}

/**
 * Whether the IMAP server of a host accepts the master identity, and the remedy if it does not. Opens the test
 * account's mailbox if there is one, otherwise that of a user who cannot exist, and never a user's. Rejects if the
 * server could not be asked.
 */
async function tryMaster(
  { host, limits, master, account }: TriedMaster,
  signal: AbortSignal,
): Promise<{ readonly result: 'ok' | 'warning' | 'failed'; readonly note: string }> {
  const answer = await createImapMailboxes().open(
    {
      user: canonicalUser(account?.user ?? noSuchMailbox),
      master,
      host,
      context: { client: { address: '127.0.0.1', port: 0, userAgent: undefined }, reference: 'postern-check', limits },
    },
    signal,
  );
  if (account !== undefined) {
    if (answer.kind === 'done') return { result: 'ok', note: `${master.user} may open ${account.user}` };
    const hint =
      answer.why === 'user-refused' ? ` ${account.user} is the test_account: does it exist on the server?` : '';
    return { result: 'failed', note: answer.text + hint };
  }
  if (answer.kind === 'done') {
    const note = `${master.user} may open ${noSuchMailbox}, which does not exist: have the server refuse unknown users`;
    return { result: 'warning', note };
  }
  if (answer.why === 'user-refused') {
    return { result: 'ok', note: `the server knows ${master.user}; set test_account to try opening a mailbox` };
  }
  if (answer.why !== 'not-shown') return { result: 'failed', note: answer.text };
  const note = `the server knows ${master.user}; set test_account to try whether this Cyrus shows it which mailboxes exist`;
  return { result: 'warning', note };
}
