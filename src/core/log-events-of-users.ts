import { capped, debug, type EventRow, error, info, row, warn } from './log-event-row.ts';

/** The events of the log that users cause: requests, webmails, sign-ins, sessions. Part of `logEvents`. */
export const userEvents = {
  // Requests
  request: info('request', [
    'requestId',
    'user',
    'client',
    'session',
    'backend',
    'host',
    'method',
    'path',
    'status',
    'ms',
    'bytes',
    'bytesIn',
  ]),
  'request-failed': error('request failed', ['reference', 'requestId', 'kind', 'err'], { action: 'Report this bug.' }),
  'request-refused': capped('request refused', ['status', 'method', 'peer', 'why', 'remedy'], {
    action: 'Do what `remedy` says if these are your own requests.',
  }),
  'page-failed': error('page failed', ['err', 'reference', 'requestId', 'path'], { action: 'Report this bug.' }),
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
    ['reference', 'requestId', 'user', 'client', 'backend', 'host', 'kind', 'method', 'path', 'code', 'reason', 'err'],
    { action: 'Check the webmail on that host.' },
  ),
  'webmail-answer-broken': warn(
    'webmail cut its answer short',
    ['requestId', 'backend', 'host', 'method', 'path', 'status', 'bytes', 'code', 'reason', 'err'],
    { action: "Check the webmail's own log for this path." },
  ),
  'webmail-head-faulty': warn(
    'malformed response head; parsing it leniently',
    ['requestId', 'backend', 'host', 'method', 'path', 'status', 'bytes', 'code', 'reason', 'err'],
    { action: 'Fix the plugin or extension of the webmail that writes this header.' },
  ),
  'webmail-session-lost': warn('webmail session lost too often', ['reference', 'requestId', 'user', 'host'], {
    action: 'Check where the webmail keeps its sessions: is the disk full, is a table emptied, are clocks wrong?',
  }),
  'webmail-session-not-renewed': warn(
    'webmail session lost; not signed in again',
    ['requestId', 'backend', 'host', 'err'],
    {
      action: 'Check the webmail and the mail server of that host.',
    },
  ),
  'webmail-logout-failed': info('sign-out did not reach the webmail', ['user', 'host', 'err']),
  'session-not-relocated': warn(
    'session not moved to another host',
    ['reference', 'requestId', 'user', 'backend', 'host', 'code', 'err'],
    {
      action: 'Check the hosts of that backend: none could take over the session.',
    },
  ),
  'request-not-served': info('request not served', ['reference', 'requestId', 'user', 'backend', 'host', 'because']),
  'upgrade-failed': row('warn', 'error')(
    'upgrade failed',
    ['reference', 'requestId', 'user', 'backend', 'host', 'code', 'err'],
    {
      action: 'Check the WebSocket service of that host; report an error without `backend`.',
    },
  ),
  'basic-request-failed': warn(
    'request of a Basic client failed',
    ['reference', 'requestId', 'kind', 'method', 'path', 'code', 'reason', 'err'],
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
      'requestId',
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
      'requestId',
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
  'policy-unavailable': error(
    'policy server could not be asked; at most one such line a minute',
    ['code', 'detail', 'method', 'result'],
    {
      action:
        'Check the server of `login.policy.url`, and `api_key`; `postern check --online` asks it. `method` is `allow` or `report`; `result` what happens to sign-ins meanwhile (`login.policy.when_unavailable`).',
    },
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
  'session-not-opened': warn('cannot create session', ['err', 'reference', 'requestId'], {
    action: 'Check the session store.',
  }),
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
  'session-start': info('session opened', [
    'requestId',
    'session',
    'user',
    'kind',
    'actor',
    'client',
    'backend',
    'host',
  ]),
  'session-moved': info('session goes on at another host', ['session', 'user', 'from', 'to']),
  'session-end': info('session ended', [
    'requestId',
    'session',
    'user',
    'kind',
    'actor',
    'client',
    'backend',
    'host',
    'reason',
    'by',
    'ms',
    'requests',
    'bytesIn',
    'bytesOut',
  ]),
  'sessions-not-counted': warn('cannot count the sessions of a user', ['user', 'err']),
  'cookie-jar-not-stored': warn('cookie jar not stored; will retry', ['err'], { action: 'Check the session store.' }),
  'server-key-missing': error('this node lacks the server key of a session', ['code', 'key', 'file', 'from'], {
    action: 'Copy the keys file from a node that has this key, and reload.',
  }),
  'server-keys-not-read': error('server keys not readable', ['file', 'key', 'err'], {
    action: 'Make the keys file readable by the gateway, or restore it from another node.',
  }),
} as const satisfies Record<string, EventRow>;
