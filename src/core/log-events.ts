import { capped, debug, type EventRow, error, info, row, warn } from './log-event-row.ts';

/**
 * Every event that the log can tell of. Names are stable: dashboards and alerts are built on them. `npm run docs`
 * makes docs/log.md of it.
 */
export const logEvents = {
  // The node
  ready: info('ready', ['public', 'console', 'operators', 'pid', 'backends', 'store', 'workers']),
  'worker-ready': info('worker ready', ['public', 'console', 'operators', 'pid', 'backends', 'store']),
  draining: info('draining', ['delayMs', 'deadlineMs']),
  closed: info('closed', []),
  'worker-exited': error('worker exited; starting another', ['worker', 'code', 'signal'], {
    action: 'Look for an out-of-memory kill in the log of the system; report a crash that repeats.',
  }),
  'secret-exposed': warn('others may read or change a secret', ['why'], {
    action: 'Change owner and mode of the file as `why` says.',
  }),
  'config-reloaded': info('configuration reloaded', ['changed', 'removed', 'serverKeys']),
  'config-refused': error('reload refused; the old configuration stays active', ['code', 'problems'], {
    action: 'Restart the node for these changes, or take them back.',
  }),
  'config-not-read': error('reload failed; the old configuration stays active', ['code', 'problems', 'err'], {
    action: 'Fix the problems (`postern check` lists them, too) and reload again.',
  }),
  'config-partly-active': error(
    'new configuration active, but certificates or sessions were not updated',
    ['code', 'problems', 'err'],
    { action: 'Reload again; restart the node if that does not help.' },
  ),
  'old-config-not-closed': warn('old configuration not closed', ['err']),
  'certificate-in-use': info('certificate in use', ['names', 'validTo']),
  'certificate-expired': error('certificate expired: put a new one in its file', ['names', 'validTo'], {
    action: 'Put a new certificate in its file: it is taken over within ten seconds.',
  }),
  'certificates-not-read': error('certificates not readable; the old ones stay in use', ['err'], {
    action: 'Make the files of `tls` readable to the gateway, with a key that belongs to its certificate.',
  }),
  'api-stale': debug("answering the operators' API from what this node already knew", ['err']),
  'api-failed': error("request to the operators' API failed", ['err'], { action: 'Report this defect.' }),

  // Requests
  request: info('request', ['backend', 'host', 'method', 'path', 'status', 'ms', 'bytes']),
  'request-failed': error('request failed', ['reference', 'kind', 'err'], { action: 'Report this defect.' }),
  'request-refused': capped('request refused', ['status', 'method', 'peer', 'why', 'remedy'], {
    action: 'Follow `remedy` if these requests are yours.',
  }),
  'page-failed': error('page failed', ['err', 'reference', 'path'], { action: 'Report this defect.' }),
  'host-missing': capped('request without a Host: have the load balancer send the one that users type', ['peer']),
  'host-foreign': capped('Host is not one of public_url', ['authority', 'peer', 'remedy'], {
    action: 'Follow `remedy` if users know the gateway by this name; otherwise it is a scan.',
  }),
  'redirect-loop': capped(
    'a client that was sent to https keeps coming back as http: if it does use https, the proxy that ends TLS must say so in X-Forwarded-Proto, and each proxy behind it must pass that on or append to it',
    ['peer', 'proxies', 'client', 'forwardedProto', 'forwardedFor'],
  ),
  'scheme-missing': capped('a trusted proxy says no scheme in X-Forwarded-Proto: have it send http or https', [
    'peer',
    'forwardedProto',
    'forwardedFor',
  ]),
  'https-not-public': capped('request came over https: add this origin to public_url', ['peer', 'origin']),
  'http-not-public': capped(
    'plain http for an https public_url: if this peer is the load balancer, add it to trusted_proxies',
    ['peer'],
  ),
  'tls-expected': capped(
    'refused bytes that are not TLS: have the load balancer speak TLS to the node (ssl in HAProxy), or remove tls here',
    ['peer', 'code'],
  ),
  'proxy-untrusted': capped(
    'refused a connection that is not from a trusted proxy: proxy_protocol is required; if this is the load balancer, add it to trusted_proxies',
    ['peer'],
  ),
  'proxy-header-missing': capped(
    'refused a connection of a trusted proxy without a PROXY protocol header: add send-proxy-v2 there, and check-send-proxy for its checks, or set proxy_protocol: optional',
    ['peer'],
  ),
  'proxy-header-late': capped('refused: no PROXY protocol header came in time', ['peer'], {
    action: 'Look at the load balancer: it connects and then says nothing.',
  }),
  'proxy-header-malformed': capped('refused a malformed PROXY protocol header', ['peer', 'why'], {
    action: 'Look at what `peer` is: a load balancer writes no such header.',
  }),
  'proxy-header-unexpected': capped('refused a PROXY protocol header', ['peer', 'remedy']),
  'proxy-header-without-tls': capped(
    'the PROXY protocol header does not say whether the client used TLS: have the load balancer write send-proxy-v2-ssl',
    ['peer', 'port'],
  ),

  // Webmails
  'webmail-request-failed': warn(
    'webmail request failed',
    ['reference', 'backend', 'host', 'kind', 'method', 'path', 'code', 'reason', 'err'],
    { action: 'Look at the webmail of that host.' },
  ),
  'webmail-answer-broken': warn(
    'webmail broke off its answer',
    ['backend', 'host', 'method', 'path', 'status', 'bytes', 'code', 'reason', 'err'],
    { action: "Look at the webmail's own log for this path." },
  ),
  'webmail-head-faulty': warn(
    'head of an answer is faulty; reading it leniently',
    ['backend', 'host', 'method', 'path', 'status', 'bytes', 'code', 'reason', 'err'],
    { action: 'Fix the plugin or extension of the webmail that writes this header.' },
  ),
  'webmail-session-lost': warn('webmail session lost too often', ['reference', 'user', 'host'], {
    action: 'Look at where the webmail keeps its sessions: a full disk, a table that is emptied, clocks.',
  }),
  'webmail-session-not-renewed': warn('webmail session lost; not signed in again', ['backend', 'host', 'err'], {
    action: 'Look at the webmail and the mail server of that host.',
  }),
  'webmail-logout-failed': info('sign-out did not reach the webmail', ['user', 'host', 'err']),
  'session-not-relocated': warn('session not moved to another host', ['reference', 'backend', 'host', 'code', 'err'], {
    action: 'Look at the hosts of that backend: none could take over the session.',
  }),
  'request-not-served': info('request not served', ['reference', 'backend', 'host', 'because']),
  'upgrade-failed': row('warn', 'error')('upgrade failed', ['reference', 'backend', 'host', 'code', 'err'], {
    action: 'Look at the WebSocket service of that host; report an error that has no `backend`.',
  }),
  'basic-request-failed': warn(
    'request of a Basic client failed',
    ['reference', 'kind', 'method', 'path', 'code', 'reason', 'err'],
    { action: 'Look at the DAV or ActiveSync service of the backends.' },
  ),
  'basic-home-not-checked': error('cannot check where a Basic client belongs', ['err', 'backend'], {
    action: 'Report this defect, unless a source of the directory was away.',
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
    { action: 'At `warn`, look at what `source` and `detail` name. An error is a defect: report it.' },
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
    { action: 'As `login`.' },
  ),
  'refusals-slow': warn(
    'mail server delays refusals longer than login.refusal_after: add the gateway to its login_trusted_networks',
    ['backend', 'imapMs', 'refusalAfterMs'],
  ),
  'penalty-stored': debug('penalty counts are kept in the store', ['counter']),

  // Sessions
  'redis-up': info('Redis answers', ['server']),
  'redis-down': warn('Redis does not answer', ['server', 'why', 'err'], {
    action: 'Bring it back: nodes notice within two seconds.',
  }),
  'redis-refused': warn('Redis refuses a command', ['server', 'why'], {
    action: 'Fix what `why` says: rights of the Redis user, memory, disk.',
  }),
  'redis-untracked': warn('Redis has no client tracking; reading sessions again twice a second', ['server', 'err']),
  'session-not-opened': warn('session not opened', ['err', 'reference'], { action: 'Look at the session store.' }),
  'session-end-not-stored': warn('session end not stored; will retry', ['session', 'reason', 'err'], {
    action: 'Look at the session store.',
  }),
  'session-end-dropped': error('too many session ends wait for the store; one was dropped', ['session'], {
    action: 'Bring the session store back: this session may still be open on other nodes.',
  }),
  'session-end-unconfirmed': error('session ended on this node, but perhaps not on others', ['err', 'user'], {
    action: 'Look at the session store; `postern kick` ends it everywhere.',
  }),
  'session-use-not-stored': debug('session use not stored; will retry', ['sessions', 'err']),
  'session-record-foreign': warn('session record does not belong to its cookie; ignoring it', ['session'], {
    action: 'Find out who else writes to the session store.',
  }),
  'sessions-not-counted': warn('cannot count the sessions of a user', ['user', 'err']),
  'cookie-jar-not-stored': warn('cookie jar not stored; will retry', ['err'], { action: 'Look at the session store.' }),
  'server-key-missing': error('this node lacks the server key of a session', ['code', 'key', 'file', 'from'], {
    action: 'Copy the keys file from a node that has this key, and reload.',
  }),
  'server-keys-not-read': error('server keys not readable', ['file', 'key', 'err'], {
    action: 'Make the keys file readable to the gateway, or put it back from another node.',
  }),

  // Backends
  'host-up': info('host is up', ['host', 'service']),
  'host-down': warn('host is down', ['host', 'service', 'why'], { action: 'Look at that service of the host.' }),
  failover: warn('standby took over', ['backend', 'from', 'to', 'because'], {
    action: 'Repair the host that was lost, then let it serve again: `postern backend`.',
  }),
  'checks-stopped': error('cannot check hosts: this node lacks descriptors, ports or memory', ['err'], {
    action: 'Raise the limits of the service (`LimitNOFILE`) or give the machine more memory.',
  }),
  'probe-login-works': info('test account signs in again', ['host']),
  'probe-login-failed': warn('test account cannot sign in', ['host', 'why'], {
    action: 'Try to sign in there; check the password of the test account.',
  }),
  'state-store-up': info('state store answers', []),
  'state-store-down': warn('state store does not answer; keeping what is known', ['err'], {
    action: 'Bring it back: until then states, moves and failover cannot change.',
  }),
  'state-lost': error('state store lost its states, overrides and moves', ['cursor', 'found'], {
    action: 'Set them again, and make that Redis keep its data ([operate.md](operate.md)).',
  }),
  'state-entries-forged': error(
    'state entries not written with a server key, or changed since; ignoring them',
    ['code', 'table', 'key', 'others'],
    { action: 'Find out who else writes to the state store.' },
  ),
  'session-counts-not-shared': debug('number of sessions not told to the other nodes', ['code']),
  'home-changed': info('home of a user changed in the directory', ['user', 'from', 'to']),
  move: info('move', ['user', 'from', 'to', 'phase', 'by', 'reason', 'why']),
  'move-progress-not-stored': warn('progress of a move not stored', ['user', 'err'], {
    action: 'Look at the state store: another node may take the move for abandoned.',
  }),

  // Directory
  'directory-stale': warn('directory source does not answer; using its last answer', ['source', 'ageMs'], {
    action: 'Look at that source.',
  }),
  'directory-unavailable': warn('directory source cannot be asked', ['source', 'code', 'why'], {
    action: 'Look at that source.',
  }),
  'directory-bad-answer': error('directory source gave a bad answer', ['source', 'code', 'why'], {
    action: 'Correct the entry of that user in the source.',
  }),
  'directory-bad-user': error('directory source answered with a malformed user name', ['source', 'answer'], {
    action: 'Correct the entry in the source.',
  }),
  'directory-bad-home': error('directory source answered with no configured backend', ['source', 'answer'], {
    action: 'Correct the entry, or configure that backend.',
  }),
  'directory-later': info('directory source says that the user is to try again later', ['source']),
  'directory-alias-loop': error('directory alias loop, or chain longer than 8', ['aliases'], {
    action: 'Correct the aliases in the directory.',
  }),
  'directory-catch-all-ignored': warn('alias for any name not followed at a sign-in; catch_all: true would follow it', [
    'source',
    'file',
    'key',
  ]),
  'directory-unknown-backends': warn(
    'directory table names backends that are not configured',
    ['source', 'file', 'why', 'entries'],
    { action: 'Correct these values, or configure the backends.' },
  ),
  'directory-unused-keys': warn('directory table has keys that no name can match', ['source', 'file', 'why'], {
    action: 'Take them out, or use `type: regex` for patterns.',
  }),
  'directory-file-changed': info('directory file changed; new content in use', ['source', 'file']),
  'directory-file-missing': error('directory file is missing; last content stays in use', ['source', 'file'], {
    action: 'Put the file back.',
  }),
  'directory-file-broken': error('directory file is broken; last content stays in use', ['source', 'file', 'why'], {
    action: 'Correct the file as `why` says.',
  }),
  'directory-copy-complete': info('directory copy is complete', ['source', 'server', 'inboxes']),
  'directory-copy-lost': warn('directory copy interrupted; connecting again', ['source', 'server', 'why'], {
    action: 'Look at the MUPDATE server.',
  }),
  'directory-service-failed': error('directory service failed', ['err'], { action: 'Report this defect.' }),
  'directory-service-refused': warn('directory service refused a client', ['client', 'why'], {
    action: 'Add the client to `directory_service.allow`, or give it the key, if it is yours.',
  }),
  'directory-service-unavailable': warn('directory service cannot answer', ['code', 'why'], {
    action: 'Look at the source of the directory that `why` names.',
  }),
  'mail-server-unresolved': warn('name of a mail server cannot be resolved', ['hostname', 'last', 'err'], {
    action: 'Correct the name, or look at the resolver.',
  }),

  // Support
  'console-login-refused': info('console sign-in refused', ['client', 'reference', 'why']),
  'console-login-without-role': warn('user without a role refused at the console', ['user', 'client', 'reference'], {
    action: 'Give the user a role if that is right (`support`).',
  }),
  'console-stale': warn('console page shows what this node already knew', ['err', 'code'], {
    action: 'Look at the state store.',
  }),
  'console-unavailable': warn('console page cannot be shown', ['err', 'code', 'reference'], {
    action: 'Look at what `code` names: the store, the audit or the directory.',
  }),
  'second-factor-guessed': error(
    'second factor guessed at: the password is known to others, so change it',
    ['user', 'rests', 'untilMs'],
    { action: 'Talk to this member of staff, and change the password.' },
  ),
  'staff-session-use-not-stored': debug('use of a staff session not stored', ['err']),
  'recent-login-not-stored': debug('sign-in not noted for support', ['err']),
  'impersonation-not-started': warn('impersonation not started', ['err', 'code', 'reference'], {
    action: 'Look at what `code` names: the mail server, the webmail or the audit.',
  }),
  'impersonation-not-checked': warn('cannot re-check an impersonation; leaving it open', ['err', 'actor'], {
    action: 'Look at the directory and the stores.',
  }),
  'impersonation-end-not-noted': error('end of an impersonation not noted; will retry', ['err'], {
    action: 'Look at the stores and the audit.',
  }),
  'notice-not-sent': warn('user not told by a message; will be told at the next sign-in', ['err', 'user'], {
    action: 'Look at the mail server of that user.',
  }),
  'notice-not-audited': error('audit did not take that a user was told', ['err', 'user'], {
    action: 'Look at the disk of the audit.',
  }),

  // Audit
  audit: info('audit', ['audited']),
  'audit-unavailable': error('audit cannot be written', ['code', 'err'], {
    action: 'Make room, or make the file writable: until then nobody can act as support.',
  }),
  'audit-line-not-written': error('audit line not written', ['code', 'err', 'audited'], {
    action: 'As `audit-unavailable`; `audited` holds the line.',
  }),
  'audit-torn': warn('audit ends in mid-line, after a crash or a full disk; starting a new line', ['file']),
  'audit-not-anchored': warn('end of the audit not anchored in the store', ['err'], {
    action: 'Look at the state store.',
  }),
  'audit-copy-waits': warn('audit cannot be copied to syslog; lines wait', ['syslog', 'err'], {
    action: 'Look at the syslog server.',
  }),
  'audit-copy-stopped': error('audit no longer copied to syslog: too many lines wait', ['code', 'syslog', 'waiting'], {
    action: 'Bring the syslog server back; copy the missing lines from the file.',
  }),
  'audit-copy-resumed': info('audit copied to syslog again', ['syslog', 'dropped']),
  'audit-copy-incomplete': error('audit lines not copied to syslog', ['code', 'syslog', 'lost'], {
    action: 'Copy the missing lines from the file.',
  }),
} as const satisfies Record<string, EventRow>;
