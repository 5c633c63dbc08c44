import type { Clock } from '../../core/clock.ts';
import { defined } from '../../core/objects.ts';
import { driftOf, type NodeReport } from '../../core/node-report.ts';
import { queryParameter } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { agoText, type ShownHost } from './backend-table.ts';
import type { ConsoleBackends } from './backends.ts';
import { showPage } from './layout.ts';
import type { ConsoleUsers } from './users.ts';

/** What the console shows of the nodes, and of what they stand on. */
export interface ConsoleNodes {
  /** The reports of all nodes; without the others', this node's own and why. */
  reports(): Promise<{ readonly own: string; readonly all: readonly NodeReport[]; readonly why?: string }>;
  /** The certificates that this node serves; none if it speaks plain HTTP. */
  certificates(): readonly { readonly file: string; readonly name: string; readonly validToMs: number }[];
  store(): Promise<{
    readonly kind: 'redis' | 'embedded';
    readonly answers: boolean;
    readonly role?: string;
    readonly why?: string;
  }>;
}

const soonMs = 21 * 24 * 60 * 60 * 1000;
/** Clocks that differ by more spoil one-time codes and the order of events. */
const toleratedSkewMs = 2_000;

/** Dependencies of the pages about nodes and ways. */
interface ConsoleNodesDeps {
  readonly nodes: ConsoleNodes;
  readonly users: Pick<ConsoleUsers, 'explain' | 'signIns'>;
  readonly backends: Pick<ConsoleBackends, 'all'>;
  readonly views: Views;
  readonly clock: Clock;
}

/**
 * `/-/nodes`: the nodes with what differs between them, certificates, and the store. `/-/route?user=…`: the way of a
 * user from the browser through a node to the webmail, with times.
 */
export function createConsoleNodes(deps: ConsoleNodesDeps): Readonly<Record<'showAll' | 'showRoute', StaffHandler>> {
  const { views } = deps;
  return {
    async showAll({ response, frame }: StaffExchange): Promise<void> {
      showPage(views, response, { ...frame, title: 'Nodes' }, ['console-nodes', await nodeValues(deps)]);
    },

    async showRoute(exchange: StaffExchange): Promise<void> {
      const { request, response, frame } = exchange;
      const typed = (queryParameter(request.url, 'user') ?? '').trim().slice(0, 254);
      const values = typed === '' ? { typed } : { typed, ...(await routeValues(deps, exchange, typed)) };
      const title = typed === '' ? 'Route' : `Route of ${typed}`;
      showPage(views, response, { ...frame, title }, ['console-route', values]);
    },
  };
}

async function nodeValues({ nodes, clock }: ConsoleNodesDeps) {
  const [{ own, all, why }, store] = await Promise.all([nodes.reports(), nodes.store()]);
  const nowMs = clock.nowMs();
  const drift = driftOf(all);
  return {
    why,
    store,
    rows: all.map((report) => ({
      ...report,
      isOwn: report.name === own,
      drift: drift.get(report.name) ?? [],
      isSkewed: Math.abs(report.clockSkewMs ?? 0) > toleratedSkewMs,
      alarms: Object.entries(report.alarms),
    })),
    certificates: nodes.certificates().map(({ validToMs, ...certificate }) => ({
      ...certificate,
      validToMs,
      state: validToMs <= nowMs ? 'expired' : validToMs - nowMs < soonMs ? 'soon' : 'valid',
      left: agoText(validToMs - nowMs),
    })),
    ago: (ms: number) => `${agoText(nowMs - ms)} ago`,
  };
}

/** One station on the way of a user. */
interface Station {
  readonly kind: string;
  readonly name: string;
  readonly text: string;
  /** How long it took, in milliseconds; undefined where that is not known. */
  readonly tookMs?: number;
  readonly isGood: boolean;
}

async function routeValues(
  { nodes, users, backends, clock }: ConsoleNodesDeps,
  { request, staff }: StaffExchange,
  typed: string,
) {
  const [explained, { own }] = await Promise.all([users.explain(typed), nodes.reports()]);
  const signIns = explained.user === undefined ? [] : await users.signIns(explained.user);
  const backend = (await backends.all()).find(({ name }) => name === explained.backend);
  const host = backend?.hosts.find(({ serves }) => serves);
  const [last] = signIns.toSorted((a, b) => b.atMs - a.atMs);
  const nowMs = clock.nowMs();
  const peer = request.socket.remoteAddress?.replace(/^::ffff:/, '');
  const tookMs = explained.steps.reduce((sum, step) => sum + (step.tookMs ?? 0), 0);
  const service = (kind: string, { address, up, why, ...check }: ShownHost['imap']): Station => ({
    kind,
    name: address,
    text: `${up ? 'up' : `down: ${why ?? ''}`}${check.checkedAtMs === undefined ? '' : `, checked ${agoText(nowMs - check.checkedAtMs)} ago`}`,
    ...defined({ tookMs: check.tookMs }),
    isGood: up,
  });
  const stations: readonly Station[] = [
    {
      kind: 'Client',
      name: last?.address ?? 'unknown',
      text: last === undefined ? 'no sign-in in the last 30 days' : `${last.result} ${agoText(nowMs - last.atMs)} ago`,
      isGood: true,
    },
    {
      kind: 'Balancer',
      name: peer === undefined || peer === staff.address ? 'none' : peer,
      text: peer === staff.address ? 'you came to this node directly' : 'as your own request came',
      isGood: true,
    },
    { kind: 'Node', name: own, text: 'this node', isGood: true },
    {
      kind: 'Directory',
      name: explained.steps.at(-1)?.source ?? 'not asked',
      text:
        explained.answer === 'found'
          ? `home ${explained.backend ?? ''}`
          : `${explained.answer}: ${explained.why ?? ''}`,
      tookMs,
      isGood: explained.answer === 'found',
    },
    ...(host === undefined || backend === undefined
      ? []
      : [
          {
            ...service(`Backend ${backend.name}, IMAP`, host.imap),
            text: `${service('', host.imap).text}; ${host.name} is ${host.state}`,
          },
          service(`Webmail ${backend.driver}`, host.webmail),
        ]),
  ];
  return { explained, stations };
}
