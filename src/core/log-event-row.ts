/** Levels of log lines, the least important first. Each `error` is an alarm: `postern_alarms_total` counts it. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Every field that a log line can have besides `time`, `level`, `app`, `event` and `msg`, with its meaning. */
export const logFields = {
  actor: 'who did it',
  ageMs: 'age of a remembered answer, in ms',
  aliases: 'the aliases, in the order in which they were followed',
  answer: 'what the source answered, at most 100 characters',
  attempts: 'how many attempts to sign in',
  audited: 'the whole line of the audit',
  authority: 'the Host that the client sent',
  awayMs: 'how long the store did not answer, in ms',
  backend: 'name of a backend',
  backends: 'how many backends are configured',
  because: 'the state of the host or backend that caused it',
  by: 'who asked for it',
  bytes: 'bytes of the answer sent to the client',
  bytesIn: 'bytes of the bodies that the client sent',
  bytesOut: 'bytes of the bodies of answers sent to the client',
  changed: 'sections and backends that changed',
  client: 'address of the client',
  code: 'code of the failure (`ERR_…`, `ECONNREFUSED`, …); of a worker, its exit code',
  commit: 'commit that the program was made from, or `unknown`',
  console: 'port of the console',
  counter: 'name of a penalty counter',
  cursor: 'the last change that this node has seen',
  deadlineMs: 'how long requests may take to finish, in ms',
  delayMs: 'how long the node waits before it stops listening, in ms',
  detail: 'what went wrong, in words',
  dropped: 'how many lines, or figures of the statistics, were dropped meanwhile',
  entries: 'how many entries of the table',
  err: 'the error: type, code, place; its message only if Postern or the system wrote it',
  file: 'path of the file',
  forwardedFor: '`X-Forwarded-For` as received',
  forwardedProto: '`X-Forwarded-Proto` as received',
  found: 'the last change that the store has',
  from: 'where it was before; for a server key, the node that registered it',
  host: 'name of a host of a backend',
  hostname: 'name that cannot be resolved',
  imapMs: 'how long the mail server took, in ms',
  inboxes: 'number of mailboxes in the copy',
  key: 'key of a table or of an entry; id of a server key',
  kind: 'kind of failure: `unavailable`, `busy`, `timeout`, `bad-answer`, `store`, `unknown-key`; of a session: `user`, `console` (staff), `opened` (a mailbox, by `actor`)',
  last: 'last known address, which stays in use',
  leftOut: 'lines of this event suppressed before this one',
  lost: 'lines that are not in the copy',
  method: 'method of the request',
  ms: 'duration in ms; for a login, of each phase',
  names: 'names in the certificate',
  operators: "port of the operators' listener",
  origin: 'scheme, name and port to add',
  others: 'how many more there are',
  path: 'path of the request, without its query',
  peer: 'address that the connection came from: the load balancer, where there is one',
  phase: 'phase that the login ended in, or that the move is in',
  pid: 'process id',
  port: 'port that the PROXY protocol header names',
  problems: 'every problem, with file, line and remedy',
  proxy: 'name of a mail proxy',
  proxies: 'number of trusted proxies on the way',
  public: 'port of the public listener',
  reason: 'why, in the words of the operator, the library or the peer',
  reference: 'reference that the user’s page shows',
  refusalAfterMs: '`login.refusal_after`, in ms',
  remedy: 'what to change',
  requests: 'how many requests',
  requestId: 'id of the request; the webmail gets it as X-Request-Id',
  removed: 'backends that were removed',
  rests: 'how often wrong codes have made the second factor rest',
  result: 'outcome of the sign-in',
  said: 'what the mail server said: `code` and `text`, at most 200 characters',
  server: 'address of the server',
  serverKeys: 'ids of the server keys in use',
  service: '`webmail` or `imap`',
  session: 'keyed hash of a session id, or its first eight characters',
  sessions: 'how many sessions',
  signal: 'signal that ended the worker',
  source: 'source of the directory; of a login, what could not be asked',
  status: 'HTTP status',
  store: 'kind of the session store',
  syslog: 'address of the syslog server',
  table: 'name of a table of the state',
  to: 'where it is now',
  until: 'when it ends, in ISO 8601',
  untilMs: 'when it ends, in ms since 1970',
  user: 'canonical name of the user',
  validTo: 'when the certificate expires',
  version: 'version of Postern',
  waiting: 'lines that wait for the syslog server',
  why: 'why, in words',
  worker: 'number of the worker',
  workers: 'how many workers serve',
} as const;

/** Name of a field of a log line. */
type LogField = keyof typeof logFields;

/** One row of the table of events. */
export interface EventRow {
  readonly levels: readonly LogLevel[];
  /** The constant `msg` of its lines. */
  readonly message: string;
  readonly fields: readonly LogField[];
  /** Whether strangers can cause it: then at most ten lines a minute are written, each with another detail. */
  readonly capped: boolean;
  /** The operator's next step; undefined if there is none. */
  readonly action?: string;
}

interface TypedRow<L extends LogLevel, F extends LogField, C extends boolean> extends EventRow {
  readonly levels: readonly L[];
  readonly fields: readonly F[];
  readonly capped: C;
}

interface More {
  readonly action?: string;
}

/** Returns a function that makes rows of events logged at these levels. */
export function row<L extends LogLevel>(...levels: readonly L[]) {
  return <F extends LogField = never>(message: string, fields: readonly F[], more?: More): TypedRow<L, F, false> => ({
    levels,
    message,
    fields,
    capped: false,
    ...more,
  });
}

/** Makes the row of a warning that strangers can cause. */
export function capped<F extends LogField>(
  message: string,
  fields: readonly F[],
  more?: More,
): TypedRow<'warn', F, true> {
  return { levels: ['warn'], message, fields, capped: true, ...more };
}

/** Makes a row of level debug. */
export const debug = row('debug');
/** Makes a row of level info. */
export const info = row('info');
/** Makes a row of level warn. */
export const warn = row('warn');
/** Makes a row of level error. */
export const error = row('error');
