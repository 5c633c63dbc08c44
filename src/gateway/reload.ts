import type { Config } from '../config/config.ts';
import { diffConfig } from '../config/diff.ts';
import { ConfigInvalid, formatProblem } from '../config/problems.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { Site, Standing } from './parts.ts';
import { buildSite } from './snapshot.ts';

/** Dependencies of the reload. */
export interface ReloadDeps {
  readonly readConfig: () => Promise<Config>;
  readonly standing: Standing;
  readonly site: () => Site;
  /** From now on requests are served by this one. */
  readonly replace: (fresh: Site) => void;
  readonly log: Log;
}

/** Reloads the configuration of a running gateway. */
export interface Reload extends AsyncDisposable {
  /** All of the new configuration or nothing of it; the log says which. Never rejects. One at a time, in order. */
  run(): Promise<void>;
}

/** Puts another site in the place of the present one, and closes the old one once nobody can be using it any more. */
export function createReload({ readConfig, standing, site, replace, log }: ReloadDeps): Reload {
  const retirement = createRetirement(log);
  let last: Promise<void> = Promise.resolve();

  /** The new site with what changed; nothing where a running gateway cannot change so. */
  async function prepare() {
    const next = await readConfig();
    const diff = diffConfig(site().config, next);
    if (diff.refused.length > 0) {
      log.error({ code: 'ERR_CONFIG_INVALID', problems: diff.refused }, 'reload refused; the old configuration stays');
      return undefined;
    }
    const fresh = await buildSite(next, standing.parts);
    await standing.keys.reload().catch(async (error: unknown) => {
      await fresh[Symbol.asyncDispose]();
      throw error;
    });
    return { fresh, diff };
  }

  async function takeOver({ fresh, diff: { changed, removed } }: NonNullable<Awaited<ReturnType<typeof prepare>>>) {
    const before = site();
    replace(fresh);
    retirement.retire(before);
    standing.operations.siteChanged();
    await standing.certificates?.reload(fresh.config.tls);
    await standing.sessions.endHeldOn(new Set(removed), 'backend-removed');
    const serverKeys = standing.keys.current().all.map(({ id }) => id);
    log.info({ changed, removed, serverKeys }, 'reloaded');
  }

  async function reload(): Promise<void> {
    const prepared = await prepare().catch((error: unknown) => {
      log.error(whyNot(error), 'reload failed; the old configuration stays');
    });
    if (prepared === undefined) return;
    await takeOver(prepared).catch((error: unknown) => {
      log.error(whyNot(error), 'the new configuration is served, but a part of it could not be taken over');
    });
  }

  return {
    run: () => (last = last.then(reload)),
    [Symbol.asyncDispose]: () => retirement[Symbol.asyncDispose](),
  };
}

function whyNot(error: unknown): object {
  if (error instanceof ConfigInvalid) {
    return { code: 'ERR_CONFIG_INVALID', problems: error.problems.map(formatProblem) };
  }
  return { ...(error instanceof PosternError ? { code: error.code } : {}), err: error };
}

/** What a login may take with the longest penalty: until then it may still ask the directory of the old site. */
const retirementMs = 60_000;

function createRetirement(log: Log): AsyncDisposable & { retire(site: Site): void } {
  const retired = new Map<Site, NodeJS.Timeout>();
  const end = async (site: Site): Promise<void> => {
    clearTimeout(retired.get(site));
    retired.delete(site);
    try {
      await site[Symbol.asyncDispose]();
    } catch (error) {
      log.warn({ err: error }, 'what a reload replaced could not be closed');
    }
  };
  return {
    retire: (site) => void retired.set(site, setTimeout(() => void end(site), retirementMs).unref()),
    async [Symbol.asyncDispose]() {
      await Promise.all([...retired.keys()].map(end));
    },
  };
}
