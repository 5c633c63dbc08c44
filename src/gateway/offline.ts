import { existsSync } from 'node:fs';
import { type Anchor, readAnchors } from '../audit/anchors.ts';
import { backendsIn, createPlacement } from '../backends/placement.ts';
import { createProbes, smallTarget } from '../backends/probes.ts';
import { createStateReplica } from '../backends/state-replica.ts';
import { Locks } from '../backends/user-orders.ts';
import type { StateKeys, VouchedStateStore } from '../backends/vouched-state-store.ts';
import type { Config } from '../config/config.ts';
import { recordIfPossible } from '../core/audit.ts';
import type { Backend } from '../core/backend.ts';
import { systemClock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { createLoginNameParser } from '../core/names.ts';
import { readAuditKeys, readKeysFile, ringOf } from '../sessions/keys-file.ts';
import { createExplain, type Explain } from './explain.ts';
import { openCommandAudit, openDirectory, openStateStore } from './stores.ts';

/** Explains users without a running gateway: opens its own sources and state, and checks the hosts itself. */
export async function openExplain(config: Config, log: Log): Promise<AsyncDisposable & { readonly explain: Explain }> {
  await using opened = new AsyncDisposableStack();
  const directory = opened.use(await openDirectory(config, log));
  const state = opened.use(createStateReplica({ store: await openState(config, log, opened), log }));
  const locks = opened.use(new Locks(systemClock));
  locks.follow({ state, log });
  await state.refresh();
  const backends = new Map<string, Backend>(config.backends);
  const down = new Map<string, string>();
  const isUp = (host: string): boolean => !down.has(host);
  const placement = createPlacement({
    backends: backendsIn({ config }),
    state,
    health: { isUp, isWebmailUp: isUp, takeTrial: () => false, report: () => undefined },
    heldPerHost: () => new Map(),
    clock: systemClock,
  });
  const probes = createProbes(() => config.publicUrls[0].authority);
  const explain = createExplain({
    parseName: createLoginNameParser(config.directory.nameRules),
    directory,
    overrides: state.overrides,
    locks,
    backendNamed: (name) => backends.get(name),
    isPool: ({ name }) => config.serving.get(name)?.arrangement === 'pool',
    placement,
    whyDown: (host) => down.get(host),
    async look({ name, hosts }) {
      const settings = config.serving.get(name)?.health;
      if (settings === undefined) return;
      await Promise.all(
        hosts.map(async (host) => {
          const watched = { host, settings, target: settings.path ?? smallTarget(host) };
          const signal = AbortSignal.timeout(settings.timeoutMs);
          await Promise.all([probes.http(watched, signal), probes.imap(watched, signal)]).catch((error: unknown) =>
            down.set(host.name, error instanceof Error ? error.message : String(error)),
          );
        }),
      );
    },
  });
  const owned = opened.move();
  return { explain, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Makes every node forget a remembered home. Rejects if the store cannot be asked. */
export async function forgetHomeEverywhere(config: Config, user: string, by: string, log: Log): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const store = opened.use(await openState(config, log, opened));
  await store.put('forgotten', user, new Date(systemClock.nowMs()).toISOString());
  await using audit = await openCommandAudit(config, store, log);
  if (audit !== undefined) await recordIfPossible(audit, { event: 'home-forgotten', actor: by, subject: user });
}

/** The ends of all machines' audit chains. Rejects if the store cannot be asked. */
export async function readAuditAnchors(config: Config, log: Log): Promise<readonly Anchor[]> {
  await using opened = new AsyncDisposableStack();
  return await readAnchors(opened.use(await openState(config, log, opened)));
}

/**
 * Signs the whole state with the promoted key of the file, so that another key can be retired even if no gateway has
 * run since. Rejects if the store cannot be asked.
 */
export async function renewState(config: Config, log: Log): Promise<void> {
  await using opened = new AsyncDisposableStack();
  await opened.use(await openState(config, log, opened)).renew();
}

/** Does not create the keys file: it would belong to the user of the command. */
async function openState(config: Config, log: Log, opened: AsyncDisposableStack): Promise<VouchedStateStore> {
  const { store } = config.sessions;
  if (config.state.redis === undefined && store.kind === 'embedded' && !existsSync(store.file)) return noState;
  return openStateStore({ config }, log, undefined, opened, await stateKeysIn(config.sessions.keysFile));
}

/** The server keys for a command. For keys that the file lacks it knows only whether they were retired. */
async function stateKeysIn(file: string): Promise<StateKeys> {
  const entries = await readKeysFile(file);
  if (entries === undefined) {
    const message = `${file} does not exist: the server keys vouch for what all nodes agree on; copy it from a node`;
    throw new PosternError('ERR_KEYS_UNUSABLE', message, { source: 'config', retryable: false });
  }
  const [ring, everKnown] = [ringOf(entries), await readAuditKeys(file)];
  return { current: () => ring, meet: async (id) => (everKnown.has(id) ? 'none' : 'missing') };
}

const noState: VouchedStateStore = {
  changesSince: async () => ({ cursor: 0, reset: false, entries: [] }),
  put: async () => 'conflict',
  renew: async () => {},
  async [Symbol.asyncDispose]() {},
};
