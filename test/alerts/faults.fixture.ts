import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { defined } from '../../src/core/objects.ts';
import { eventually } from '../eventually.fixture.ts';
import type { AlertSite } from './alert-site.fixture.ts';
import { checkNode } from './check-postern.fixture.ts';
import { type Episode, type Firing, judge, type Scrape } from './scrapes.fixture.ts';

/** A fault of the site, and what it does to the alerts and to check_postern. */
export interface Fault {
  inject(): unknown;
  /** Whether it shows; asked until it does. */
  shows(scrape: Scrape): boolean;
  /** What happens in a minute of it. */
  traffic?(): Promise<unknown>;
  heal(): unknown;
  /** Whether nothing of it is left; not asked if nothing can be. */
  isOver?(scrape: Scrape): boolean;
  /** What fires in the end; nothing else does. */
  readonly fires: readonly Firing[];
  /** How long it is taken to last, in minutes; 90 unless given. */
  readonly minutes?: number;
  /** What check_postern says of gw1, or of gw2; any code if it depends on the moment. */
  readonly check?: { readonly of?: 'gw2'; readonly code?: number; readonly says: RegExp };
}

/** Both nodes. */
export const nodes = ['gw1', 'gw2'] as const;

/** Whether no check has failed, as one may on a busy machine. */
function isCalm({ samples }: Scrape): boolean {
  return [...samples].every(
    ([series, { value }]) => value === 1 || !/^postern_(?:host|store|state_store)_up\{/.test(series),
  );
}

/** The first scrape for which this holds. */
export async function scrapeWhen(site: AlertSite, holds: (scrape: Scrape) => boolean, what: string): Promise<Scrape> {
  const scrapes: Scrape[] = [];
  await eventually(async () => {
    scrapes[0] = await site.scrape();
    return holds(scrapes[0]);
  }, what);
  return scrapes[0] ?? site.scrape();
}

/** Lives through a fault, and judges by what was scraped that its alerts fire, no other does, and none did before. */
export async function liveThrough(site: AlertSite, name: string, fault: Fault): Promise<void> {
  const begin = await scrapeWhen(site, isCalm, 'nothing is down');
  await site.usualTraffic();
  const quiet: Episode['quiet'] = [begin, await scrapeWhen(site, isCalm, 'nothing is down')];
  let during: Episode['fault'];
  try {
    await fault.inject();
    const whenItShows = () => scrapeWhen(site, (scrape) => fault.shows(scrape), `${name} shows`);
    const early = await whenItShows();
    await fault.traffic?.();
    during = [early, await whenItShows()];
    if (fault.check !== undefined) {
      const [code, said] = await checkNode(site.operators[fault.check.of ?? 'gw1']);
      assert.match(said, fault.check.says);
      assert.equal(code, fault.check.code ?? code, said);
    }
  } finally {
    await fault.heal();
    if (fault.isOver !== undefined)
      await scrapeWhen(site, (scrape) => fault.isOver?.(scrape) === true, `${name} is over`);
  }
  await judge([{ name, quiet, fault: during, fires: fault.fires, ...defined({ faultMinutes: fault.minutes }) }]);
}

/** The value of the first series with these labels; undefined if there is none. */
export function valueIn(
  { samples }: Scrape,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  for (const [series, { value }] of samples) {
    if (series.startsWith(`${name}{`) && wanted.every((text) => series.includes(text))) return value;
  }
  return undefined;
}

/** Whether a metric has this value at both nodes. */
export const everywhere =
  (name: string, value: number, labels: Readonly<Record<string, string>> = {}) =>
  (scrape: Scrape) =>
    nodes.every((instance) => valueIn(scrape, name, { ...labels, instance }) === value);

export const atNode =
  (instance: string, name: string, value: number, labels: Readonly<Record<string, string>> = {}) =>
  (scrape: Scrape) =>
    valueIn(scrape, name, { ...labels, instance }) === value;

export const lag = 'nodejs_eventloop_lag_p99_seconds';

export const always = (): boolean => true;

/** As many of these as there are, at once. */
export const together = (count: number, act: (index: number) => Promise<unknown>) =>
  Promise.all(Array.from({ length: count }, (_, index) => act(index)));

export const ofNode = (alert: string, instance: string, summary: string): Firing => ({
  alert,
  labels: { instance, job: 'postern' },
  summary,
});

/** A backend is down at all nodes. */
export const backendDown = (backend: string): Firing => ({
  alert: 'PosternBackendDown',
  labels: { backend },
  summary: `Backend ${backend} is down: its users cannot work.`,
});

export function usually(machine: AlertSite['machines']['a']): void {
  machine.answer = (_request, response) => void response.end(`machine ${machine.name}`);
}

/** Has the directory name this backend for everybody. */
export function answering(machine: AlertSite['machines']['a'], backend: string): void {
  machine.answer = (_request, response) => void response.end(JSON.stringify({ backend }));
}

/** Gives gw2 little CPU for a moment, after a scrape: each tells of the time since the one before. */
export async function starve(site: AlertSite): Promise<void> {
  await site.scrape();
  for (let time = 0; time < 4; time += 1) {
    site.second.signalAll('SIGSTOP');
    await pause(400);
    site.second.signalAll('SIGCONT');
    await pause(20);
  }
}
