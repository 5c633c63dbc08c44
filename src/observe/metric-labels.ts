import { errorCodes } from '../core/error.ts';

/** One metric, as docs/metrics.md shows it. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** What it tells, in one line: the HELP of a scrape, too. */
  readonly help: string;
  readonly unit: string;
  /** Each label with its values: a list, or what they are. */
  readonly labels?: Readonly<Record<string, string | readonly string[]>>;
  /** When it moves: at which event, or how it is read. */
  readonly moves: string;
  /** How the values of several workers become one; their sum if left out. */
  readonly merge?: 'min' | 'max';
  /** Upper bounds of the buckets of a histogram. */
  readonly buckets?: readonly number[];
}

/** Results of sign-ins that a backend can have. Others have no backend. */
export const backendLoginResults = [
  'signed-in',
  'rejected',
  'refused',
  'closed',
  'busy',
  'unavailable',
  'abandoned',
] as const;
/** Every result of a sign-in. */
export const loginResults = [...backendLoginResults, 'policy', 'authenticated', 'malformed', 'failed'] as const;
/** The phases of a sign-in. */
export const loginPhases = ['form', 'store', 'directory', 'penalty', 'imap', 'webmail'] as const;
/** Results of password checks for Basic clients that a backend can have. */
export const backendCheckResults = ['right', 'wrong', 'refused', 'unavailable'] as const;
/** Every result of a password check for a Basic client. */
export const clientCheckResults = [...backendCheckResults, 'policy'] as const;
/** Results of silent sign-ins. */
export const silentResults = ['signed-in', 'rejected', 'too-often', 'unavailable'] as const;
/** Classes of the statuses of proxied requests; `aborted`: the client left before there was one. */
export const requestClasses = ['2xx', '3xx', '4xx', '5xx', 'aborted'] as const;
/** Services of a host that are checked. */
export const services = ['webmail', 'imap'] as const;
/** States of a host, in the order of their numbers in postern_host_state. */
export const states = ['READY', 'DRAIN', 'MAINT', 'DOWN'] as const;
/** Codes of alarms; `defect` stands for a line without a code. */
export const alarmCodes = [...Object.keys(errorCodes), 'defect'];
/** Protocols and results of the directory service. */
export const routeProtocols = ['auth_http', 'lookup', 'socketmap', 'tcp_table'] as const;
/** What the directory service answers. */
export const routeResults = ['found', 'refused', 'unknown-user', 'foreign', 'closed', 'tempfail'] as const;

/** The metrics of the process that are shown, with what they tell. Others of the library break Prometheus' conventions. */
export const processMetrics = {
  process_cpu_seconds_total: 'CPU time of all processes of this node.',
  process_start_time_seconds: 'When this node was started, as Unix time.',
  process_resident_memory_bytes: 'Memory of all processes of this node.',
  process_open_fds: 'Open file descriptors of all processes of this node.',
  process_max_fds: 'Limit of file descriptors of one process.',
  nodejs_eventloop_lag_seconds: 'Lag of the event loop; above 0.1 the node has too little CPU. Mean of the workers.',
  nodejs_eventloop_lag_p99_seconds: '99 % of the delays of the event loop since the last scrape were shorter.',
  nodejs_eventloop_lag_max_seconds: 'The longest delay of the event loop since the last scrape.',
  nodejs_heap_size_used_bytes: 'Heap in use, of all processes of this node.',
  nodejs_heap_size_total_bytes: 'Heap, of all processes of this node.',
  nodejs_gc_duration_seconds: 'Garbage collections, by kind: `major`, `minor`, `incremental`, `weakcb`.',
} as const;
