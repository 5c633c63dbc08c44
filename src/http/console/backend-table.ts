import type { BackendName } from '../../core/names.ts';
import type { HostState } from '../../core/placement.ts';
import { queryOf } from '../forms.ts';
import { rangeText, sparkline } from './charts.ts';

/** A state that an operator set, as the console shows it. */
export interface ShownSetState {
  readonly state: string;
  readonly percent?: number;
  readonly reason: string;
  readonly by: string;
  readonly sinceMs: number;
  readonly untilMs?: number;
  readonly texts: Readonly<Record<string, string>>;
}

/** One of the two services of a host. Times are undefined if it is not checked. */
interface ShownService {
  readonly address: string;
  readonly up: boolean;
  readonly why?: string;
  readonly checkedAtMs?: number;
  readonly tookMs?: number;
}

/** A host as operators see it. */
export interface ShownHost {
  readonly name: string;
  readonly state: HostState;
  readonly serves: boolean;
  /** Sessions that this node holds there. */
  readonly sessions: number;
  readonly set?: ShownSetState;
  readonly webmail: ShownService;
  readonly imap: ShownService;
}

/** A backend as operators see it. */
export interface ShownBackend {
  readonly name: BackendName;
  readonly state: HostState;
  readonly driver: string;
  readonly arrangement: 'standby' | 'pool';
  readonly failover: 'automatic' | 'manual';
  /** Why it is not ready: since when, and the operator or `checks`. */
  readonly cause?: { readonly sinceMs?: number; readonly by?: string; readonly reason?: string };
  /** The state that an operator gave the whole backend. */
  readonly set?: ShownSetState;
  /** Whether a DRAIN of the whole backend can turn away a part of its users. */
  readonly drainsPartly: boolean;
  readonly hosts: readonly ShownHost[];
  /** Over all nodes, sign-ins and errors of the last minute; undefined if the nodes' reports could not be read. */
  readonly traffic?: {
    readonly sessions: number;
    readonly logins: number;
    readonly errors: number;
    readonly p95Ms?: number;
  };
  /** Sessions over the last half hour, oldest first. */
  readonly history: readonly number[];
}

const sortKeys = ['name', 'state', 'host', 'sessions', 'logins', 'errors', 'p95', 'checked', 'since'] as const;
type SortKey = (typeof sortKeys)[number];

/** The order of states from bad to good, and their words. */
const stateRanks: Readonly<Record<HostState, { readonly rank: number; readonly word: string }>> = {
  DOWN: { rank: 0, word: 'down' },
  MAINT: { rank: 1, word: 'maintenance' },
  DRAIN: { rank: 2, word: 'drain' },
  READY: { rank: 3, word: 'ready' },
};

/** What the address of the table asks for. */
export interface TableQuery {
  /** A part of the name; empty for all. */
  readonly name: string;
  readonly state: HostState | undefined;
  readonly sort: SortKey;
  readonly isDescending: boolean;
  readonly group: 'state' | 'prefix' | undefined;
}

interface TableRow {
  readonly name: string;
  readonly state: HostState;
  readonly word: string;
  readonly host: string;
  readonly sessions: string;
  readonly logins: string;
  readonly errors: string;
  readonly p95: string;
  readonly checked: string;
  readonly since: string;
  readonly spark: string;
  readonly range: string;
}

/** The table as its template needs it. */
export interface BackendTable {
  readonly groups: readonly { readonly title: string; readonly rows: readonly TableRow[] }[];
  /** Backends in each state, whatever the filter. */
  readonly strip: readonly {
    readonly state: string;
    readonly word: string;
    readonly count: number;
    readonly href: string;
  }[];
  readonly shown: number;
  readonly sessions: string;
}

/** Reads the address of the table. What is not understood counts as not said. */
export function tableQueryOf(url: string): TableQuery {
  const query = queryOf(url);
  const sort = query.get('sort') ?? '';
  const group = query.get('group');
  return {
    name: (query.get('name') ?? '').trim().slice(0, 100),
    state: stateNamed(query.get('state')),
    sort: sortKeys.find((key) => key === sort.replace(/^-/, '')) ?? 'name',
    isDescending: sort.startsWith('-'),
    group: group === 'state' || group === 'prefix' ? group : undefined,
  };
}

function stateNamed(text: string | null): HostState | undefined {
  return text === 'READY' || text === 'DRAIN' || text === 'MAINT' || text === 'DOWN' ? text : undefined;
}

/** The query of a table's address, with `?`; empty for the table as it is at first. */
export function tableQueryText({ name, state, sort, isDescending, group }: TableQuery): string {
  const text = new URLSearchParams({
    ...(name === '' ? {} : { name }),
    ...(state === undefined ? {} : { state }),
    ...(sort === 'name' && !isDescending ? {} : { sort: `${isDescending ? '-' : ''}${sort}` }),
    ...(group === undefined ? {} : { group }),
  }).toString();
  return text === '' ? '' : `?${text}`;
}

/** The heads of the columns, each with the address that sorts by it. Figures are sorted from the greatest at first. */
export function tableHeads(query: TableQuery) {
  const heads: readonly (readonly [SortKey, string, first?: 'greatest'])[] = [
    ['name', 'Backend'],
    ['state', 'State'],
    ['host', 'Active host'],
    ['sessions', 'Sessions', 'greatest'],
    ['logins', 'Sign-ins/min', 'greatest'],
    ['errors', '5xx/min', 'greatest'],
    ['p95', 'p95 ms', 'greatest'],
    ['checked', 'Checked', 'greatest'],
    ['since', 'Since (UTC), by', 'greatest'],
  ];
  return heads.map(([key, label, first]) => {
    const isSorted = query.sort === key;
    const isDescending = isSorted ? !query.isDescending : first === 'greatest';
    return {
      label,
      href: `/-/backends${tableQueryText({ ...query, sort: key, isDescending })}`,
      sorted: isSorted ? (query.isDescending ? 'descending' : 'ascending') : undefined,
    };
  });
}

/** Filters, sorts and groups backends, and writes each figure as text. */
export function sortedTable(all: readonly ShownBackend[], query: TableQuery, nowMs: number): BackendTable {
  const wanted = query.name.toLowerCase();
  const shown = all
    .filter(({ name, state }) => name.toLowerCase().includes(wanted) && (query.state ?? state) === state)
    .sort(orderBy(query));
  const groups = new Map<string, TableRow[]>();
  for (const backend of shown) {
    const title =
      query.group === 'state' ? stateRanks[backend.state].word : query.group === 'prefix' ? prefixOf(backend.name) : '';
    const rows = groups.get(title);
    if (rows === undefined) groups.set(title, [tableRow(backend, nowMs)]);
    else rows.push(tableRow(backend, nowMs));
  }
  const titles = query.group === 'state' ? stateKeys.map((state) => stateRanks[state].word) : [...groups.keys()];
  return {
    groups: titles.flatMap((title) => {
      const rows = groups.get(title);
      return rows === undefined ? [] : [{ title, rows }];
    }),
    strip: stateKeys.map((state) => ({
      state,
      word: stateRanks[state].word,
      count: all.filter((backend) => backend.state === state).length,
      href: `/-/backends${tableQueryText({ ...query, state })}`,
    })),
    shown: shown.length,
    sessions: figure(all.reduce((sum, { traffic }) => sum + (traffic?.sessions ?? 0), 0)),
  };
}

const stateKeys: readonly HostState[] = ['DOWN', 'MAINT', 'DRAIN', 'READY'];

/** What stands before the number in a name: `mail` of `mail12`, `fra-mx` of `fra-mx-03`. */
function prefixOf(name: string): string {
  return /^\D*[^\d._-]/.exec(name)?.[0] ?? name;
}

function orderBy({ sort, isDescending }: TableQuery): (a: ShownBackend, b: ShownBackend) => number {
  const value = (backend: ShownBackend): number | string => {
    switch (sort) {
      case 'name':
        return '';
      case 'state':
        return stateRanks[backend.state].rank;
      case 'host':
        return activeText(backend);
      case 'checked':
        return checkedAt(backend) ?? 0;
      case 'since':
        return backend.cause?.sinceMs ?? 0;
      case 'p95':
        return backend.traffic?.p95Ms ?? -1;
      default:
        return backend.traffic?.[sort] ?? -1;
    }
  };
  const byName = new Intl.Collator('en', { numeric: true }).compare;
  return (a, b) => {
    const [left, right] = [value(a), value(b)];
    const order =
      typeof left === 'number' && typeof right === 'number' ? left - right : byName(String(left), String(right));
    return (order === 0 ? byName(a.name, b.name) : order) * (isDescending && (order !== 0 || sort === 'name') ? -1 : 1);
  };
}

/** The latest check of any service of a backend that serves; undefined if none is checked. */
function checkedAt({ hosts }: ShownBackend): number | undefined {
  const times = hosts.flatMap(({ webmail, imap }) => [webmail.checkedAtMs ?? 0, imap.checkedAtMs ?? 0]);
  const latest = Math.max(...times);
  return latest === 0 ? undefined : latest;
}

function activeText({ arrangement, hosts }: ShownBackend): string {
  const serving = hosts.filter(({ serves }) => serves);
  if (arrangement === 'standby') return serving[0]?.name ?? '';
  const good = serving.filter(({ state }) => state === 'READY').length;
  return `${good} of ${serving.length}`;
}

function tableRow(backend: ShownBackend, nowMs: number): TableRow {
  const { name, state, set, cause, traffic, history } = backend;
  const checkedAtMs = checkedAt(backend);
  return {
    name,
    state,
    word: set?.percent === undefined || state !== 'DRAIN' ? stateRanks[state].word : `drain ${set.percent} %`,
    host: activeText(backend),
    sessions: figure(traffic?.sessions),
    logins: figure(traffic?.logins),
    errors: figure(traffic?.errors),
    p95: figure(traffic?.p95Ms === undefined ? undefined : Math.round(traffic.p95Ms)),
    checked: checkedAtMs === undefined ? '–' : agoText(nowMs - checkedAtMs),
    since: causeText(cause, nowMs),
    spark: sparkline(history),
    range: rangeText(history),
  };
}

function causeText(cause: ShownBackend['cause'], nowMs: number): string {
  if (cause === undefined) return '';
  const { sinceMs, by = '', reason = '' } = cause;
  return `${sinceMs === undefined ? '' : shortTime(sinceMs, nowMs)} ${by}: ${shortened(reason, 40)}`.trim();
}

function figure(value: number | undefined): string {
  return value === undefined ? '–' : String(value).replace(/\B(?=(?:\d{3})+$)/g, '\u202f');
}

/** How long ago, in one unit. */
export function agoText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

function shortTime(ms: number, nowMs: number): string {
  const [then, now] = [new Date(ms).toISOString(), new Date(nowMs).toISOString()];
  return then.slice(0, 10) === now.slice(0, 10) ? then.slice(11, 16) : then.slice(5, 10);
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
