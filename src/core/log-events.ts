import { capped, debug, type EventRow, error, info, row, warn } from './log-event-row.ts';

/** Every event of the log, by its name, which is stable: alerts are built on it. `npm run docs` makes docs/log.md. */
export const logEvents = {
  // The node
  ready: info('ready', ['version', 'commit', 'public', 'console', 'operators', 'pid', 'backends', 'store', 'workers']),
  'worker-ready': info('worker ready', ['public', 'console', 'operators', 'pid', 'backends', 'store']),
  draining: info('draining', ['delayMs', 'deadlineMs']),
  closed: info('closed', []),
  'worker-exited': error('worker exited; starting another', ['worker', 'code', 'signal'], {
    action: 'Look for an out-of-memory kill in the system log; report repeated crashes.',
  }),
  'secret-exposed': warn('secret is readable or writable by others', ['why'], {
    action: 'Change the owner and mode of the file as `why` says.',
  }),
  'unsigned-accepted': warn('sessions.accept_unsigned_until is set', ['until', 'why'], {
    action: 'Remove `sessions.accept_unsigned_until` when the upgrade from 0.1.0 is over (docs/upgrade.md).',
  }),
  'config-reloaded': info('configuration reloaded', ['changed', 'removed', 'serverKeys']),
  'config-refused': error('reload refused; the old configuration stays active', ['code', 'problems'], {
    action: 'Restart the node to apply these changes, or undo them.',
  }),
  'config-not-read': error('reload failed; the old configuration stays active', ['code', 'problems', 'err'], {
    action: 'Fix the problems (`postern check` lists them too), then reload again.',
  }),
  'config-partly-active': error(
    'new configuration active, but certificates or sessions were not updated',
    ['code', 'problems', 'err'],
    { action: 'Reload again; restart the node if that does not help.' },
  ),
  'old-config-not-closed': warn('old configuration not closed', ['err']),
  'certificate-in-use': info('certificate in use', ['names', 'validTo']),
  'certificate-expired': error('certificate expired: put a new one in its file', ['names', 'validTo'], {
    action: 'Put a new certificate in its file; the node uses it within ten seconds.',
  }),
  'certificates-not-read': error('certificates not readable; the old ones stay in use', ['err'], {
    action: 'Make the files of `tls` readable by the gateway, and each key match its certificate.',
  }),
  'api-stale': debug("answering the operators' API from the last known state", ['err']),
  'api-failed': error("request to the operators' API failed", ['err'], { action: 'Report this bug.' }),

  // Requests
  request: info('request', ['backend', 'host', 'method', 'path', 'status', 'ms', 'bytes']),
  'request-failed': error('request failed', ['reference', 'kind', 'err'], { action: 'Report this bug.' }),
  'request-refused': capped('request refused', ['status', 'method', 'peer', 'why', 'remedy'], {
    action: 'Do what `remedy` says if these are your own requests.',
  }),
  'page-failed': error('page failed', ['err', 'reference', 'path'], { action: 'Report this bug.' }),
  'host-missing': capped('request without a Host: have the load balancer pass on the Host that users type', ['peer']),
  'host-foreign': capped('Host is not one of public_url', ['authority', 'peer', 'remedy'], {
    action: 'Do what `remedy` says if users know the gateway by this name; otherwise it is a scan.',
  }),
  'redirect-loop': capped(
    'client is redirected to https again and again: if it does use https, the proxy that ends TLS must say so in X-Forwarded-Proto, and each proxy behind it must pass that on or append to it',
    ['peer', 'proxies', 'client', 'forwardedProto', 'forwardedFor'],
  ),
  'scheme-missing': capped('no scheme in X-Forwarded-Proto', ['peer', 'forwardedProto', 'forwardedFor'], {
    action: 'Have this trusted proxy send http or https.',
  }),
  'https-not-public': capped('request came over https: add this origin to public_url', ['peer', 'origin']),
  'http-not-public': capped(
    'plain http for an https public_url: if this peer is the load balancer, add it to trusted_proxies',
    ['peer'],
  ),
  'tls-expected': capped(
    'connection without TLS refused: have the load balancer speak TLS to the node (ssl in HAProxy), or remove tls here',
    ['peer', 'code'],
  ),
  'proxy-untrusted': capped(
    'connection refused, because proxy_protocol is required and this peer is not in trusted_proxies: add it if it is the load balancer',
    ['peer'],
  ),
  'proxy-header-missing': capped(
    'connection without a PROXY protocol header refused: add send-proxy-v2 there, and check-send-proxy for its checks, or set proxy_protocol: optional',
    ['peer'],
  ),
  'proxy-header-late': capped('connection refused: no PROXY protocol header in time', ['peer'], {
    action: 'Check the load balancer: it connects and then sends nothing.',
  }),
  'proxy-header-malformed': capped('malformed PROXY protocol header refused', ['peer', 'why'], {
    action: 'Find out what `peer` is: no load balancer writes such a header.',
  }),
  'proxy-header-unexpected': capped('PROXY protocol header refused', ['peer', 'remedy']),
  'proxy-header-without-tls': capped(
    'PROXY protocol header does not say whether the client used TLS: use send-proxy-v2-ssl in the load balancer',
    ['peer', 'port'],
  ),

  // Webmails
  'webmail-request-failed': warn(
    'webmail request failed',
    ['reference', 'backend', 'host', 'kind', 'method', 'path', 'code', 'reason', 'err'],
    { action: 'Check the webmail on that host.' },
  ),
  'webmail-answer-broken': warn(
    'webmail cut its answer short',
    ['backend', 'host', 'method', 'path', 'status', 'bytes', 'code', 'reason', 'err'],
    { action: "Check the webmail's own log for this path." },
  ),
  'webmail-head-faulty': warn(
    'malformed response head; parsing it leniently',
    ['backend', 'host', 'method', 'path', 'status', 'bytes', 'code', 'reason', 'err'],
    { action: 'Fix the plugin or extension of the webmail that writes this header.' },
  ),
  'webmail-session-lost': warn('webmail session lost too often', ['reference', 'user', 'host'], {
    action: 'Check where the webmail keeps its sessions: is the disk full, is a table emptied, are clocks wrong?',
  }),
  'webmail-session-not-renewed': warn('webmail session lost; not signed in again', ['backend', 'host', 'err'], {
    action: 'Check the webmail and the mail server of that host.',
  }),
  'webmail-logout-failed': info('sign-out did not reach the webmail', ['user', 'host', 'err']),
  'session-not-relocated': warn('session not moved to another host', ['reference', 'backend', 'host', 'code', 'err'], {
    action: 'Check the hosts of that backend: none could take over the session.',
  }),
  'request-not-served': info('request not served', ['reference', 'backend', 'host', 'because']),
  'upgrade-failed': row('warn', 'error')('upgrade failed', ['reference', 'backend', 'host', 'code', 'err'], {
    action: 'Check the WebSocket service of that host; report an error without `backend`.',
  }),
  'basic-request-failed': warn(
    'request of a Basic client failed',
    ['reference', 'kind', 'method', 'path', 'code', 'reason', 'err'],
    { action: 'Check the DAV or ActiveSync service of the backends.' },
  ),
  'basic-home-not-checked': error('cannot check the home of a Basic client', ['err', 'backend'], {
    action: 'Report this bug, unless a source of the directory did not answer.',
  }),

  // Sign-in
  login: row('info', 'warn', 'error')(
    'login',
    [
      'result',
      'why',
      'said',
      'phase',
      'reference',
      'client',
      'user',
      'backend',
      'host',
      'ms',
      'code',
      'source',
      'detail',
      'err',
    ],
    { action: 'At `warn`, check what `source` and `detail` name. An `error` is a bug: report it.' },
  ),
  'basic-login': row(
    'debug',
    'info',
    'warn',
    'error',
  )(
    'login of a Basic client',
    [
      'result',
      'why',
      'said',
      'user',
      'backend',
      'host',
      'client',
      'reference',
      'ms',
      'code',
      'source',
      'detail',
      'err',
    ],
    { action: 'See `login`.' },
  ),
  'refusals-slow': warn(
    'mail server delays refusals longer than login.refusal_after: add the gateway to its login_trusted_networks',
    ['backend', 'imapMs', 'refusalAfterMs'],
  ),
  'penalty-not-named': debug('penalty is missing in the list of penalties', ['err']),
  'penalty-stored': debug('penalty counter moved to the store', ['counter']),

  // Sessions
  'redis-up': info('Redis answers', ['server']),
  'redis-down': warn('Redis does not answer', ['server', 'why', 'err'], {
    action: 'Start Redis again: nodes notice within two seconds.',
  }),
  'redis-refused': warn('Redis refuses a command', ['server', 'why'], {
    action: 'Fix what `why` says: permissions of the Redis user, memory or disk.',
  }),
  'redis-untracked': warn('Redis has no client tracking; polling sessions twice a second', ['server', 'err']),
  'session-not-opened': warn('cannot create session', ['err', 'reference'], { action: 'Check the session store.' }),
  'session-end-not-stored': warn('session end not stored; will retry', ['session', 'reason', 'err'], {
    action: 'Check the session store.',
  }),
  'session-end-dropped': error('too many unstored session ends; one was dropped', ['session'], {
    action: 'Restore the session store: this session may still be open on other nodes.',
  }),
  'session-end-unconfirmed': error('session ended on this node, but possibly not on others', ['err', 'user'], {
    action: 'Check the session store; `postern kick` ends it everywhere.',
  }),
  'session-use-not-stored': debug('session use not stored; will retry', ['sessions', 'err']),
  'session-record-foreign': warn('session record does not belong to its cookie; ignoring it', ['session'], {
    action: 'Find out what else writes to the session store.',
  }),
  'sessions-not-counted': warn('cannot count the sessions of a user', ['user', 'err']),
  'cookie-jar-not-stored': warn('cookie jar not stored; will retry', ['err'], { action: 'Check the session store.' }),
  'server-key-missing': error('this node lacks the server key of a session', ['code', 'key', 'file', 'from'], {
    action: 'Copy the keys file from a node that has this key, and reload.',
  }),
  'server-keys-not-read': error('server keys not readable', ['file', 'key', 'err'], {
    action: 'Make the keys file readable by the gateway, or restore it from another node.',
  }),

  // Backends
  'host-up': info('host is up', ['host', 'service']),
  'host-down': warn('host is down', ['host', 'service', 'why'], { action: 'Check that service of the host.' }),
  failover: warn('standby took over', ['backend', 'from', 'to', 'because'], {
    action: 'Repair the lost host, then make it active again: `postern backend activate`.',
  }),
  'checks-stopped': error('cannot check hosts: this node is out of descriptors, ports or memory', ['err'], {
    action: 'Raise the limits of the service (`LimitNOFILE`), or add memory.',
  }),
  'probe-login-works': info('test account signs in again', ['host']),
  'probe-login-failed': warn('test account cannot sign in', ['host', 'why'], {
    action: 'Try to sign in there, and check the password of the test account.',
  }),
  'state-store-up': info('state store answers', []),
  'state-store-down': warn('state store does not answer; keeping the last known state', ['err'], {
    action: 'Start it again: until then, states, moves and failovers cannot change.',
  }),
  'state-lost': error('state store lost its states, overrides and moves', ['cursor', 'found'], {
    action: 'Set them again, and make that Redis persistent ([operate.md](operate.md)).',
  }),
  'state-entries-forged': error('forged or altered state entries ignored', ['code', 'table', 'key', 'others'], {
    action: 'Find out what else writes to the state store.',
  }),
  'unsigned-entry-vouched': info('state entry without a proof counts, and has one from now on', ['table', 'key']),
  'node-report-not-published': debug('report of this node not published; the others show it as gone', ['code']),
  'session-counts-not-shared': debug('session counts not shared with other nodes', ['code']),
  'home-changed': info('home of a user changed in the directory', ['user', 'from', 'to']),
  move: info('move', ['user', 'from', 'to', 'phase', 'by', 'reason', 'why']),
  'move-progress-not-stored': warn('progress of a move not stored', ['user', 'err'], {
    action: 'Check the state store: another node may consider the move abandoned.',
  }),

  // Directory
  'directory-stale': warn('directory source does not answer; using its last answer', ['source', 'ageMs'], {
    action: 'Check that source.',
  }),
  'directory-unavailable': warn('directory source does not answer', ['source', 'code', 'why'], {
    action: 'Check that source.',
  }),
  'directory-bad-answer': error('directory source gave a bad answer', ['source', 'code', 'why'], {
    action: 'Correct the entry of this user in the source.',
  }),
  'directory-bad-user': error('directory source returned a malformed user name', ['source', 'answer'], {
    action: 'Correct the entry in the source.',
  }),
  'directory-bad-home': error('directory source named an unknown backend', ['source', 'answer'], {
    action: 'Correct the entry, or configure that backend.',
  }),
  'directory-later': info('directory source says "try again later"', ['source']),
  'directory-alias-loop': error('directory alias loop, or chain longer than 8', ['aliases'], {
    action: 'Correct the aliases in the directory.',
  }),
  'directory-catch-all-ignored': warn('catch-all alias ignored at sign-in; catch_all: true would follow it', [
    'source',
    'file',
    'key',
  ]),
  'directory-unknown-backends': warn(
    'directory table names backends that are not configured',
    ['source', 'file', 'why', 'entries'],
    { action: 'Correct these values, or configure the backends.' },
  ),
  'directory-unused-keys': warn('directory table has keys that match no name', ['source', 'file', 'why'], {
    action: 'Remove them, or use `type: regex` for patterns.',
  }),
  'directory-file-changed': info('directory file changed; new content in use', ['source', 'file']),
  'directory-file-missing': error('directory file is missing; last content stays in use', ['source', 'file'], {
    action: 'Restore the file.',
  }),
  'directory-file-broken': error('directory file is broken; last content stays in use', ['source', 'file', 'why'], {
    action: 'Correct the file as `why` says.',
  }),
  'directory-copy-complete': info('directory copy is complete', ['source', 'server', 'inboxes']),
  'directory-copy-lost': warn('directory copy interrupted; connecting again', ['source', 'server', 'why'], {
    action: 'Check the MUPDATE server.',
  }),
  'directory-service-failed': error('directory service failed', ['err'], { action: 'Report this bug.' }),
  'directory-service-refused': warn('directory service refused a client', ['client', 'why'], {
    action: 'Add the client to `directory_service.allow`, or give it the key, if it is yours.',
  }),
  'directory-service-unavailable': warn('directory service cannot answer', ['code', 'why'], {
    action: 'Check the directory source that `why` names.',
  }),
  'mail-server-unresolved': warn('name of a mail server cannot be resolved', ['hostname', 'last', 'err'], {
    action: 'Correct the name, or check the resolver.',
  }),

  // Support
  'console-login-refused': info('console sign-in refused', ['client', 'reference', 'why']),
  'console-login-without-role': warn('user without a role refused at the console', ['user', 'client', 'reference'], {
    action: 'Give the user a role under `support` if that is intended.',
  }),
  'console-stale': warn('console shows the last known state', ['err', 'code'], { action: 'Check the state store.' }),
  'console-unavailable': warn('console page unavailable', ['err', 'code', 'reference'], {
    action: 'Check what `code` names: the store, the audit or the directory.',
  }),
  'second-factor-guessed': error('second factor is being guessed', ['user', 'rests', 'untilMs'], {
    action: 'Somebody else knows the password of this member of staff: have it changed.',
  }),
  'staff-session-use-not-stored': debug('use of a staff session not stored', ['err']),
  'recent-login-not-stored': debug('sign-in not recorded for support', ['err']),
  'impersonation-not-started': warn('impersonation not started', ['err', 'code', 'reference'], {
    action: 'Check what `code` names: the mail server, the webmail or the audit.',
  }),
  'impersonation-not-checked': warn('cannot re-check an impersonation; leaving it open', ['err', 'actor'], {
    action: 'Check the directory and the stores.',
  }),
  'impersonation-end-not-noted': error('end of an impersonation not recorded; will retry', ['err'], {
    action: 'Check the stores and the audit.',
  }),
  'notice-not-sent': warn('notice not delivered by mail; the user sees it at the next sign-in', ['err', 'user'], {
    action: 'Check the mail server of that user.',
  }),
  'notice-not-audited': error('delivery of a notice not recorded in the audit', ['err', 'user'], {
    action: 'Check the disk that holds the audit.',
  }),

  // Audit
  audit: info('audit', ['audited']),
  'audit-unavailable': error('audit cannot be written', ['code', 'err'], {
    action: 'Free disk space, or make the file writable: until then support cannot open mailboxes.',
  }),
  'audit-line-not-written': error('audit line not written', ['code', 'err', 'audited'], {
    action: 'See `audit-unavailable`; `audited` holds the line.',
  }),
  'audit-torn': warn('audit ends in the middle of a line, after a crash or a full disk; starting a new line', ['file']),
  'audit-not-anchored': warn('audit end not anchored in the store', ['err'], { action: 'Check the state store.' }),
  'audit-copy-waits': warn('cannot copy the audit to syslog; queueing lines', ['syslog', 'err'], {
    action: 'Check the syslog server.',
  }),
  'audit-copy-stopped': error('audit not copied to syslog: queue full', ['code', 'syslog', 'waiting'], {
    action: 'Restore the syslog server, and copy the missing lines from the file.',
  }),
  'audit-copy-resumed': info('audit copy to syslog resumed', ['syslog', 'dropped']),
  'audit-copy-incomplete': error('audit lines not copied to syslog', ['code', 'syslog', 'lost'], {
    action: 'Copy the missing lines from the file.',
  }),
} as const satisfies Record<string, EventRow>;
