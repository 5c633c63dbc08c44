import { type ContenderName, contenderNames, type SessionUse } from '../contenders.ts';
import type { Section, Target } from '../report.ts';
import { significant } from '../report.ts';
import { cpuPerRequest, figures, interleave, type Round, type Rounds, type SharedLoad, turnOf } from '../rounds.ts';
import type { Part, PartContext } from './part.ts';
import { assetTargets } from '../roundcube-page.ts';

/** One kind of load, with the gateway's targets. */
interface Case {
  readonly title: string;
  readonly about: string;
  readonly contenders: readonly ContenderName[];
  readonly load: Omit<SharedLoad, 'seconds'>;
  readonly use?: SessionUse;
  readonly users?: number;
  readonly through?: 'tls';
  /** Set to report CPU time per megabyte, for loads whose size matters. */
  readonly megabytes?: number;
  /** The most that the gateway may cost, as a multiple of another contender's cost. */
  readonly targets: readonly { readonly to: ContenderName; readonly atMost: number }[];
}

/** All contenders but the backend without one. */
const everybody = contenderNames.filter((name) => name !== 'direct');
const some: readonly ContenderName[] = [
  'Postern',
  'undici relay',
  'HAProxy',
  'nginx + service',
  'nginx + cached service',
];
const relays: readonly ContenderName[] = ['Postern', 'undici relay', 'Node relay', 'HAProxy', 'nginx + service'];
const small = [
  { to: 'undici relay', atMost: 1.15 },
  { to: 'nginx + service', atMost: 0.9 },
  { to: 'Caddy + service', atMost: 0.4 },
  { to: 'Express stack', atMost: 0.35 },
] as const;

const cases = {
  '1k': {
    title: 'Answers of 1 KiB, 32 connections',
    about: 'One signed-in user asks as fast as it is answered.',
    contenders: [...everybody, 'direct'],
    load: { connections: 32, paths: ['/1k'] },
    targets: small,
  },
  '50k': {
    title: 'Answers of 50 KB, 32 connections',
    about: 'The same with answers of the size of a page.',
    contenders: [...everybody, 'direct'],
    load: { connections: 32, paths: ['/50k'] },
    targets: small,
  },
  down: {
    title: '10 MB down, 8 connections',
    about: 'Attachments, to the browser.',
    contenders: relays,
    load: { connections: 8, paths: ['/10m'] },
    megabytes: 10,
    targets: [{ to: 'undici relay', atMost: 1.05 }],
  },
  up: {
    title: '10 MB up, 8 connections',
    about: 'Attachments, from the browser; the backend answers when it has all of it.',
    contenders: relays,
    load: { connections: 8, paths: ['/upload'], bodyBytes: 10_000_000 },
    megabytes: 10,
    targets: [{ to: 'undici relay', atMost: 1.05 }],
  },
  assets: {
    title: 'The files of a Roundcube, 32 connections',
    about:
      'Scripts, styles, fonts and pictures, recorded from a real one, with the Roundcube driver: it judges each answer.',
    contenders: some,
    load: { connections: 32, paths: assetTargets },
    use: 'roundcube',
    targets: [],
  },
  one: {
    title: 'One connection, 1 KiB',
    about: 'A single browser on an idle gateway.',
    contenders: some,
    load: { connections: 1, paths: ['/1k'] },
    targets: [],
  },
  many: {
    title: '256 connections, 1 KiB',
    about: 'All asking at once.',
    contenders: some,
    load: { connections: 256, paths: ['/1k'] },
    targets: [],
  },
  tls: {
    title: 'TLS in front, 1 KiB, 32 connections',
    about: 'HAProxy ends the TLS and is counted; nginx ends its own.',
    contenders: ['Postern', 'undici relay', 'nginx + service', 'nginx + cached service'],
    load: { connections: 32, paths: ['/1k'] },
    through: 'tls',
    targets: [],
  },
  sessions: {
    title: '10,000 sessions, 1 KiB, 32 connections',
    about: 'Each request is of another user than the one before; all of them were met once.',
    contenders: some,
    load: { connections: 32, paths: ['/1k'] },
    users: 10_000,
    targets: [],
  },
} as const satisfies Readonly<Record<string, Case>>;
type CaseName = keyof typeof cases;

export const caseNames = Object.keys(cases) as readonly CaseName[];

/** The part of the suite that measures one load. */
export function requestsPart(name: CaseName): Part {
  return async (context) => [await measure(cases[name], context)];
}

async function measure(each: Case, { contenders, wrk, effort }: PartContext): Promise<Section> {
  const load = { ...each.load, seconds: effort.seconds };
  const turns = [];
  for (const name of each.contenders) turns.push(await turnOf(contenders.get(name), load, { wrk, ...each }));
  const rounds = await interleave(turns, each.targets.length > 0 ? effort.rounds : effort.fewerRounds, effort);
  return {
    title: each.title,
    about: each.about,
    table: tableOf(each, rounds),
    targets: each.targets.map((target) => targetOf(each, rounds, target)),
  };
}

function costOf({ megabytes = 1 }: Case): (round: Round) => number {
  return (round) => cpuPerRequest(round) / megabytes;
}

function tableOf(each: Case, rounds: Rounds): Section['table'] {
  const cost = costOf(each);
  const postern = figures(rounds, 'Postern', cost);
  const unit = each.megabytes === undefined ? 'request' : 'MB';
  const rows = each.contenders.map((name) => {
    const speed = figures(rounds, name, (round) => -round.requestsPerSecond);
    const times = [
      significant(-speed.best),
      significant(figures(rounds, name, (round) => round.p50Micros / 1000).median),
      significant(figures(rounds, name, (round) => round.p99Micros / 1000).median),
    ];
    if (name === 'direct') return [name, '', '', '', ...times, '', ''];
    const { best, median, spread } = figures(rounds, name, cost);
    const ratios =
      name === 'Postern' ? ['', ''] : [significant(postern.best / best), significant(postern.median / median)];
    return [name, significant(best), significant(median), `${Math.round(spread * 100)} %`, ...times, ...ratios];
  });
  const head = [
    'through',
    `CPU µs per ${unit}, best`,
    'median',
    'spread',
    'requests/s, best',
    'p50 ms',
    'p99 ms',
    'Postern : this, best',
    'median',
  ];
  return { head, rows };
}

function targetOf(each: Case, rounds: Rounds, { to, atMost }: Case['targets'][number]): Target {
  const [ours, theirs] = [figures(rounds, 'Postern', costOf(each)), figures(rounds, to, costOf(each))];
  return {
    what: `${each.title}: CPU, Postern : ${to}`,
    limit: atMost,
    measured: ours.best / theirs.best,
    besides: `medians ${significant(ours.median / theirs.median)}`,
  };
}
