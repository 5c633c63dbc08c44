import type { Config } from '../config/config.ts';
import { silentLog } from '../core/log.ts';
import { createLoginNameParser } from '../core/login-name.ts';
import { PosternError } from '../core/error.ts';
import type { Dialled } from './online.ts';
import type { OpenDirectory, Surroundings } from './surroundings.ts';

/** Nobody's name: every source is asked, unless one of them answers for everybody. */
const nobody = 'postern-check@invalid';

/** Opens the directory, whose files are read by that, and asks its sources for a user that does not exist. */
export async function askDirectory(config: Config, loadGateway: Surroundings['loadGateway']): Promise<Dialled> {
  const { buildDirectory } = await loadGateway();
  const startedAt = performance.now();
  const address = config.directory.sources.map(({ type }, index) => `${index + 1} ${type}`).join(', ');
  const why = await whyNotAsked(config, buildDirectory);
  const ms = Math.round(performance.now() - startedAt);
  return { server: 'directory', address, result: why === undefined ? 'ok' : 'failed', ms, note: why ?? 'answers' };
}

async function whyNotAsked(
  config: Config,
  open: (config: Config, log: typeof silentLog) => Promise<OpenDirectory>,
): Promise<string | undefined> {
  try {
    await using directory = await open(config, silentLog);
    const parsed = createLoginNameParser(config.directory.nameRules)(nobody);
    if (parsed.kind === 'malformed') return undefined;
    const { outcome } = await directory.explain(parsed.name, AbortSignal.timeout(config.directory.timeouts.lookupMs));
    return outcome.kind === 'tempfail' ? outcome.why : undefined;
  } catch (error) {
    if (error instanceof PosternError) return error.message;
    throw error;
  }
}
