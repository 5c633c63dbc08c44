import { createExplain, type Explain } from './explain.ts';
import type { Operations } from './operations.ts';
import type { Site } from './site.ts';

/** Explains a user by the parts of this running gateway, within the time of two lookups. */
export function explainHere(
  { config, parseName, directory, backendNamed }: Site,
  { placement, health, state }: Pick<Operations, 'placement' | 'health' | 'state'>,
  typed: string,
): ReturnType<Explain> {
  const explain = createExplain({
    parseName,
    directory,
    overrides: state.overrides,
    backendNamed,
    isPool: ({ name }) => config.serving.get(name)?.arrangement === 'pool',
    placement,
    whyDown: (host) => whyDown(health, host),
  });
  return explain(typed, AbortSignal.timeout(2 * config.directory.timeouts.lookupMs));
}

/** What the checks of a host say is wrong with it; nothing where nothing is. */
export function whyDown(health: Pick<Operations['health'], 'report'>, host: string): string | undefined {
  const report = health.report(host);
  return [report?.webmail, report?.imap].find((service) => service?.up === false)?.why;
}
