import {
  clientCheckResults,
  loginPhases,
  loginResults,
  type MetricRow,
  requestClasses,
  routeProtocols,
  routeResults,
  services,
  silentResults,
  states,
} from './metric-labels.ts';

const backend = 'name of a backend';
const ofHost = 'name of a host';
const atScrape = 'read at each scrape';
/** 1 for yes, 0 for no. */
const flag = { type: 'gauge', unit: '1 or 0' } as const;
const aTime = { type: 'gauge', unit: 'Unix time' } as const;
const aSpan = { type: 'gauge', unit: 'seconds' } as const;
const always = { type: 'gauge', unit: '1' } as const;
const lockTargets = ['user', 'domain', 'network'];
const standing = { type: 'gauge', moves: atScrape } as const;
const phases = ['waiting', 'before', 'switched', 'after', 'done', 'failed', 'stopped'];
const spans = { type: 'histogram', unit: 'seconds' } as const;
const signIns = { type: 'counter', unit: 'sign-ins' } as const;
const requests = { type: 'counter', unit: 'requests' } as const;
const lookups = { type: 'counter', unit: 'lookups' } as const;
const checks = { type: 'counter', unit: 'checks' } as const;
const heldNow = { type: 'gauge', unit: 'sessions', moves: atScrape } as const;
const waitingNow = { type: 'gauge', unit: 'sign-ins', moves: atScrape } as const;
const perLogin = 'each `login` line of the log';

/** Every metric of Postern's own, by its name. Label values never come from a client. */
export const metricTable = {
  postern_build_info: {
    ...always,
    help: 'Always 1; the labels say which version and commit of Postern runs, under which version of Node.',
    labels: { version: 'version of Postern', commit: 'its commit, or `unknown`', node: 'version of Node' },
    moves: 'at a start',
    merge: 'max',
  },
  postern_config_info: {
    ...always,
    help: 'Always 1; the label is the hash of the configuration in force. Nodes of one cluster should show one.',
    labels: { hash: 'first 12 hexadecimal digits' },
    moves: '`config-reloaded`',
  },
  postern_config_last_reload_successful: {
    ...flag,
    help: '1 if the last reload, or the start, took the configuration over; 0 if it was refused and the old one stays.',
    moves: '`config-reloaded`, `config-refused`, `config-not-read`, `config-partly-active`',
  },
  postern_config_last_reload_success_timestamp_seconds: {
    ...aTime,
    help: 'When the configuration in force was read.',
    moves: '`config-reloaded`',
  },
  postern_node_state: {
    ...flag,
    help: '1 for what load balancers are told of this node: up, drain (it takes nothing new), or down.',
    labels: { state: ['up', 'drain', 'down'] },
    moves: '`ready`, `draining`, `postern node drain` and `ready`',
  },
  postern_workers: {
    type: 'gauge',
    help: 'Processes that serve users: as many as configured, and as many as are ready.',
    unit: 'processes',
    labels: { state: ['configured', 'serving'] },
    moves: '`worker-ready`, `worker-exited`',
  },
  postern_clock_offset_seconds: {
    ...aSpan,
    help: 'How far the clock of this node is ahead of that of Redis; absent with the embedded store.',
    moves: atScrape,
  },
  postern_backend_state: {
    ...flag,
    help: '1 for the state of a backend, by operators and checks; a pool is as well off as its best host.',
    labels: { backend, state: states },
    moves: '`host-down`, `host-up`, `failover`, `postern backend`',
  },
  postern_backend_until_timestamp_seconds: {
    ...aTime,
    help: 'When the state that operators set for a backend should end, as they said; 0 if they said nothing, or set none.',
    labels: { backend },
    moves: '`postern backend set`',
  },
  postern_host_state: {
    type: 'gauge',
    help: 'State of a host, by operators and checks: 0 READY, 1 DRAIN, 2 MAINT, 3 DOWN.',
    unit: '0 to 3',
    labels: { backend, host: ofHost },
    moves: '`host-down`, `host-up`, `postern backend`',
  },
  postern_host_up: {
    ...flag,
    help: '1 while the checks and real requests find a service of a host up, else 0. Operators do not change it.',
    labels: { backend, host: ofHost, service: services },
    moves: '`host-down`, `host-up`',
  },
  postern_active_host: {
    ...always,
    help: '1 for the host that serves a backend. It moves to another label at a failover. All hosts of a pool serve: it has none.',
    labels: { backend, host: ofHost },
    moves: '`failover`, `postern backend failover`',
  },
  postern_checks_total: {
    ...checks,
    help: 'Checks of hosts, by result.',
    labels: { backend, service: services, result: ['ok', 'failed'] },
    moves: 'each check',
  },
  postern_failovers_total: {
    type: 'counter',
    help: 'Failovers to a standby that this node decided.',
    unit: 'failovers',
    labels: { backend },
    moves: '`failover`',
  },
  postern_sessions: {
    type: 'gauge',
    help: 'Sessions on a backend in the memory of all nodes, so take the maximum over nodes, not the sum.',
    unit: 'sessions',
    labels: { backend },
    moves: 'every 5 s, by the reports of the nodes',
  },
  postern_backend_connections: {
    type: 'gauge',
    help: 'Requests in flight to a host, each on a connection (busy), and requests that wait for one (waiting).',
    unit: 'requests',
    labels: { backend, host: ofHost, state: ['busy', 'waiting'] },
    moves: atScrape,
  },
  postern_backend_refusals_total: {
    ...requests,
    help: 'Requests that got no connection to a backend: the queue was full, or they waited for too long.',
    labels: { backend },
    moves: '`webmail-request-failed` with `ERR_BUSY`',
  },
  postern_first_byte_seconds: {
    ...spans,
    help: 'Time from a request to the head of the webmail’s answer, the wait for a connection and an upload included.',
    labels: { backend },
    moves: 'each proxied request that was answered',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 10],
  },
  postern_requests_total: {
    ...requests,
    help: 'Proxied requests by the class of their status; aborted: the client left before there was one.',
    labels: { backend, class: requestClasses },
    moves: 'each proxied request, at its end',
  },
  postern_upgrades_open: {
    type: 'gauge',
    help: 'Open WebSockets and other upgraded connections.',
    unit: 'connections',
    labels: { backend },
    moves: atScrape,
  },
  postern_logins_total: {
    ...signIns,
    help: 'Sign-ins by result, backend and webmail driver; the last two are empty if the user’s backend is unknown.',
    labels: {
      result: `\`${loginResults.join('`, `')}\`. \`refused\` holds \`expired\`, \`contact-admin\` and \`insecure\`; \`policy\`, \`authenticated\`, \`malformed\` and \`failed\` have no backend`,
      backend,
      webmail: 'name of a webmail driver',
    },
    moves: perLogin,
  },
  postern_login_phase_seconds: {
    ...spans,
    help: 'Duration of each phase of a sign-in.',
    labels: { phase: loginPhases },
    moves: perLogin,
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
  },
  postern_backend_login_seconds_total: {
    type: 'counter',
    help: 'Time that sign-ins spent at the mail server and at the webmail of a backend.',
    unit: 'seconds',
    labels: { backend, phase: ['imap', 'webmail'] },
    moves: perLogin,
  },
  postern_logins_in_progress: {
    ...waitingNow,
    help: 'Sign-ins that have no answer yet, those that wait out a penalty included.',
  },
  postern_client_checks_total: {
    ...checks,
    help: 'Passwords of DAV, ActiveSync and other Basic clients that were checked; remembered ones are not.',
    labels: { result: clientCheckResults, backend: `${backend}, empty if the user’s is unknown, and for \`policy\`` },
    moves: 'each `basic-login` line of the log, unless the password was right and the backend is closed',
  },
  postern_silent_sign_ins_total: {
    ...signIns,
    help: 'Silent sign-ins after lost webmail sessions.',
    labels: { backend, result: silentResults },
    moves: 'each silent sign-in',
  },
  postern_penalties: {
    type: 'gauge',
    help: 'Penalties in force in the whole cluster, by whom they delay; counted at most every 30 s, up to 1000, among the 3000 names with the latest wrong passwords.',
    unit: 'penalties',
    labels: { kind: ['user-network', 'user', 'network'] },
    moves: 'each wrong password, and `postern penalty lift`',
  },
  postern_penalties_waiting: {
    ...waitingNow,
    help: 'Sign-ins and Basic clients that wait out a penalty now, or for the verdicts on others of their network.',
  },
  postern_penalty_delays_total: {
    ...signIns,
    help: 'Penalties and delays by the policy server: sign-ins and Basic clients that had to wait before their password was tried.',
    moves: 'each sign-in that is delayed so',
  },
  postern_penalty_delay_seconds_total: {
    type: 'counter',
    help: 'Time for which penalties and the policy server delayed sign-ins and Basic clients.',
    unit: 'seconds',
    moves: 'each sign-in that is delayed so',
  },
  postern_penalty_turned_away_total: {
    ...signIns,
    help: 'Sign-ins and Basic clients that were turned away, because too many of their network wait for penalties.',
    moves: 'each sign-in with the result `busy` for that reason',
  },
  postern_sessions_cached: {
    ...heldNow,
    help: 'Sessions that this node holds in memory. A session may be in the memory of several workers.',
  },
  postern_sessions_ends_pending: {
    ...heldNow,
    help: 'Sessions that ended on this node and whose end is not in the store yet.',
  },
  postern_directory_lookups_total: {
    ...lookups,
    help: 'Lookups in cached sources of the directory: hit, miss (the source was asked), or stale (it did not answer; an old answer was used).',
    labels: { source: 'place and type of a source, as `1 ldap`', result: ['hit', 'miss', 'stale'] },
    moves: 'each lookup; from 0 again at `config-reloaded`',
  },
  postern_directory_service_total: {
    ...lookups,
    help: 'Lookups by other proxies and by Postfix that the directory service answered; `foreign`: no address of `directory_service.domains`.',
    labels: { protocol: routeProtocols, result: routeResults },
    moves: 'each answer',
  },
  postern_moves: {
    type: 'gauge',
    help: 'Users who are being moved, or were, by the phase of the move, in the whole cluster.',
    unit: 'users',
    labels: { phase: phases },
    moves: '`move`',
  },
  postern_moves_oldest_timestamp_seconds: {
    ...aTime,
    help: 'When the oldest of the moves in a phase began; 0 if there is none.',
    labels: { phase: phases },
    moves: '`move`',
  },
  postern_opened_mailboxes: {
    type: 'gauge',
    help: 'Mailboxes that staff have open, in the whole cluster.',
    unit: 'mailboxes',
    moves: atScrape,
  },
  postern_audit_writable: {
    ...flag,
    help: '1 if the last line of the audit was written, its file can be opened and its disk has room, else 0.',
    moves: '`audit-unavailable`, `audit-line-not-written`, and read at each scrape',
    merge: 'min',
  },
  postern_audit_lines_total: {
    type: 'counter',
    help: 'Lines that were written to the audit.',
    unit: 'lines',
    moves: 'each `audit` line of the log',
  },
  postern_certificate_expiry_timestamp_seconds: {
    ...aTime,
    help: 'When a certificate of the public listener expires.',
    labels: { file: 'path of the file', name: 'first name in the certificate' },
    moves: '`certificate-in-use`, `certificate-expired`',
  },
  postern_store_up: {
    ...flag,
    help: '1 while the session store answers, else 0.',
    moves: 'each command to the store',
    merge: 'min',
  },
  postern_store_seconds: {
    ...spans,
    help: 'Round trips to Redis for sessions.',
    labels: { outcome: ['ok', 'failed'] },
    moves: 'each command to Redis',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5],
  },
  postern_locks: { ...standing, help: 'Locks in force.', unit: 'locks', labels: { kind: lockTargets } },
  postern_state_store_up: {
    ...flag,
    help: '1 while states, moves and overrides of other nodes can be read, else 0: then the last known ones stay in force.',
    moves: '`state-store-down`, `state-store-up`',
    merge: 'min',
  },
  postern_redis_connected: {
    ...flag,
    help: '1 while the connection to the Redis of the sessions stands, else 0; absent with the embedded store.',
    moves: '`redis-down`, `redis-up`',
    merge: 'min',
  },
  postern_redis_role: {
    ...flag,
    help: '1 for the role of the Redis of the sessions: master, replica, or unknown (it is away); absent with the embedded store.',
    labels: { role: ['master', 'replica', 'unknown'] },
    moves: atScrape,
  },
  postern_invalidations_followed: {
    ...flag,
    help: '1 while Redis pushes changes of sessions to this node; 0 while it may miss some and must ask before each use.',
    moves: '`redis-down`, `redis-untracked`',
    merge: 'min',
  },
  postern_invalidation_lag_seconds: {
    ...aSpan,
    help: 'Time from a change in Redis until this node heard of it, tried at this scrape; absent if it did not within 0.5 s.',
    moves: atScrape,
    merge: 'max',
  },
  postern_alarms_total: {
    type: 'counter',
    help: 'Conditions that need an operator, by code; the error line of the log with the same code has the details.',
    unit: 'alarms',
    labels: { code: '`ERR_…`, see docs/operate.md; `defect`: the line has no code' },
    moves: 'each `error` line of the log',
  },
  postern_alarms_last_hour: {
    type: 'gauge',
    help: 'The same of the last hour, for checks that keep no history, such as check_postern.',
    unit: 'alarms',
    labels: { code: 'as of postern_alarms_total' },
    moves: 'every 5 s',
  },
} as const satisfies Readonly<Record<string, MetricRow>>;

/** The name of a metric of Postern's own. */
export type MetricName = keyof typeof metricTable;

/** Whether a metric of Postern's own has this name. */
export const isMetricName = (name: string): name is MetricName => Object.hasOwn(metricTable, name);
