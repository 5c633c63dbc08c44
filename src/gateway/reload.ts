import type { Config } from '../config/config.ts';
import { diffConfig } from '../config/diff.ts';
import { ConfigInvalid, formatProblem } from '../config/problems.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { ConfigHolder, ConfigSnapshot, GatewayNode } from './parts.ts';
import { buildSnapshot } from './snapshot.ts';

interface ReloadDeps {
  readonly readConfig: () => Promise<Config>;
  readonly node: GatewayNode;
  readonly holder: ConfigHolder;
  /** Called once requests are served by the new snapshot. */
  readonly replaced: () => void;
  readonly log: Log;
}

interface Reload extends AsyncDisposable {
  /**
   * Takes over the new configuration as a whole, or keeps the old one; the log says which. Resolves with whether the new
   * one is active. Never rejects. Runs one at a time, in order.
   */
  run(): Promise<boolean>;
  /** Whether the last run, or the start, took its configuration over. */
  readonly isLastGood: boolean;
}

/** Creates the reload: it puts a new snapshot in force, and closes the old one when no request can be using it. */
export function createReload({ readConfig, node, holder, replaced, log }: ReloadDeps): Reload {
  const retirement = createRetirement(log);
  let last = Promise.resolve(true);
  let isLastGood = true;

  /** The new snapshot and the changes; undefined if the changes need a restart. */
  async function prepare() {
    const next = await readConfig();
    const diff = diffConfig(holder.config, next);
    if (diff.refused.length > 0) {
      log.error('config-refused', { code: 'ERR_CONFIG_INVALID', problems: diff.refused });
      return undefined;
    }
    const fresh = await buildSnapshot(next, node.parts);
    await node.keys.reload().catch(async (error: unknown) => {
      await fresh[Symbol.asyncDispose]();
      throw error;
    });
    return { fresh, diff };
  }

  async function takeOver({ fresh, diff: { changed, removed } }: NonNullable<Awaited<ReturnType<typeof prepare>>>) {
    const before = holder.current;
    holder.replace(fresh);
    replaced();
    retirement.retire(before);
    await node.certificates?.reload(fresh.config.tls);
    // All other sessions end at their next request, in WebmailRequests.pass.
    await node.sessions.endCachedOn(new Set(removed), 'backend-removed');
    const serverKeys = node.keys.current().all.map(({ id }) => id);
    log.info('config-reloaded', { changed, removed, serverKeys });
  }

  async function reload(): Promise<boolean> {
    const prepared = await prepare().catch((error: unknown) => {
      log.error('config-not-read', whyNot(error));
    });
    isLastGood = prepared !== undefined;
    if (prepared === undefined) return false;
    await takeOver(prepared).catch((error: unknown) => {
      isLastGood = false;
      log.error('config-partly-active', whyNot(error));
    });
    return true;
  }

  return {
    run: () => (last = last.then(reload)),
    get isLastGood() {
      return isLastGood;
    },
    [Symbol.asyncDispose]: () => retirement[Symbol.asyncDispose](),
  };
}

function whyNot(error: unknown): object {
  if (error instanceof ConfigInvalid) {
    return { code: 'ERR_CONFIG_INVALID', problems: error.problems.map(formatProblem) };
  }
  return { ...(error instanceof PosternError ? { code: error.code } : {}), err: error };
}

/** The longest time of a login, its penalty included: until then it may ask the directory of the old snapshot. */
const retirementMs = 60_000;

function createRetirement(log: Log): AsyncDisposable & { retire(snapshot: ConfigSnapshot): void } {
  const retired = new Map<ConfigSnapshot, NodeJS.Timeout>();
  const end = async (snapshot: ConfigSnapshot): Promise<void> => {
    clearTimeout(retired.get(snapshot));
    retired.delete(snapshot);
    try {
      await snapshot[Symbol.asyncDispose]();
    } catch (error) {
      log.warn('old-config-not-closed', { err: error });
    }
  };
  return {
    retire: (snapshot) => void retired.set(snapshot, setTimeout(() => void end(snapshot), retirementMs).unref()),
    async [Symbol.asyncDispose]() {
      await Promise.all([...retired.keys()].map(end));
    },
  };
}
