import { capped, debug, type EventRow, error, info, warn } from './log-event-row.ts';
import { userEvents } from './log-events-of-users.ts';

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
  'reload-ordered': info('reload ordered for all nodes', ['by', 'reason']),
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
  'log-copy-waits': warn('cannot copy the log to syslog; queueing lines', ['syslog', 'err'], {
    action: 'Check the syslog server.',
  }),
  'log-copy-stopped': warn('log not copied to syslog: queue full; dropping lines', ['syslog', 'waiting'], {
    action: 'Restore the syslog server; the lines are on standard output.',
  }),
  'log-copy-resumed': info('log copy to syslog resumed', ['syslog', 'dropped']),
  'log-copy-incomplete': warn('log lines not copied to syslog', ['syslog', 'lost']),
  'api-stale': debug("answering the operators' API from the last known state", ['err']),
  'api-token-expired': capped('expired token sent to the operators’ API', ['actor', 'until'], {
    action: 'Make another with `postern token create`, or stop the program that sends the old one.',
  }),
  'api-failed': error("request to the operators' API failed", ['err'], { action: 'Report this bug.' }),

  ...userEvents,

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
  'statistics-not-stored': error('statistics not stored', ['err'], { action: 'Do what `err` says: sign-ins go on.' }),
  'statistics-lost': warn('statistics were not stored before the end', ['attempts'], {
    action: 'These sign-ins are in no figure: `statistics-not-stored` before this line says why.',
  }),
  'statistics-stored': info('statistics stored again', ['awayMs', 'dropped']),
  'home-changed': info('home of a user changed in the directory', ['user', 'from', 'to']),
  'lock-set': info('user, domain or network locked', ['key', 'by', 'reason']),
  'lock-lifted': info('lock lifted', ['key', 'by']),
  'lock-over': info('lock lifted, because its time is over', ['key', 'by']),
  move: info('move', ['user', 'from', 'to', 'phase', 'by', 'reason', 'why']),
  'mail-proxy-unreached': warn('mail connections not listed or ended at a mail proxy', ['proxy', 'err'], {
    action: 'Look at the named proxy. Run the command again, or end the connections there by hand.',
  }),
  'move-progress-not-stored': warn('progress of a move not stored', ['user', 'err'], {
    action: 'Check the state store: another node may consider the move abandoned.',
  }),

  // Directory
  'directory-stale': warn('directory source does not answer; using its last answer', ['source', 'ageMs'], {
    action: 'Check that source.',
  }),
  'directory-unavailable': warn('directory source does not answer', ['source', 'code', 'why'], { action: 'Check it.' }),
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
  'directory-table-misread': capped('client of a Postfix map does not speak its protocol', ['client', 'why'], {
    action: 'Compare the type of the map in `main.cf` with the port: socketmap and tcp_table have one each.',
  }),
  'directory-table-refused': capped('client of a Postfix map refused', ['client', 'why'], {
    action: 'Add the client to `directory_service.allow` if it is your Postfix.',
  }),
  'directory-table-unavailable': capped('Postfix map cannot be answered; mail waits', ['code', 'why'], {
    action: 'Check the directory source that `why` names.',
  }),
  'directory-service-unavailable': warn('directory service cannot answer', ['code', 'why'], {
    action: 'Check the directory source that `why` names.',
  }),
  'mail-server-unresolved': warn('name of a mail server cannot be resolved', ['hostname', 'last', 'err'], {
    action: 'Correct the name, or check the resolver.',
  }),

  // Support
  'console-login-refused': info('console sign-in refused', ['client', 'reference', 'requestId', 'why']),
  'console-login-without-role': warn(
    'user without a role refused at the console',
    ['user', 'client', 'reference', 'requestId'],
    {
      action: 'Give the user a role under `support` if that is intended.',
    },
  ),
  'console-stale': warn('console shows the last known state', ['err', 'code'], { action: 'Check the state store.' }),
  'console-unavailable': warn('console page unavailable', ['err', 'code', 'reference', 'requestId'], {
    action: 'Check what `code` names: the store, the audit or the directory.',
  }),
  'second-factor-guessed': error('second factor is being guessed', ['user', 'rests', 'untilMs'], {
    action: 'Somebody else knows the password of this member of staff: have it changed.',
  }),
  'staff-session-use-not-stored': debug('use of a staff session not stored', ['err']),
  'recent-login-not-stored': debug('sign-in not recorded for support', ['err']),
  'impersonation-not-started': warn('impersonation not started', ['err', 'code', 'reference', 'requestId'], {
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
