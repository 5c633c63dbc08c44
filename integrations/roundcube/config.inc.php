<?php

// Roundcube behind Postern: lines for its config.inc.php.

// The gateways: their X-Forwarded-For and X-Forwarded-Proto are believed. Single addresses only. Without it every user
// has the gateway's address in logs and in ip_check, and all failed sign-ins count as one client's.
$config['proxy_whitelist'] = ['10.0.0.21', '10.0.0.22'];

// In minutes: near the gateway's sessions.idle_timeout (30 min). A shorter one heals in silence, but costs sign-ins.
$config['session_lifetime'] = 30;

// Settings and contacts hang on (user name, mail_host). Write the same host on every backend: a user who is moved would
// otherwise seem to have lost both.
$config['imap_host'] = 'localhost:143';

// Roundcube's own limit of failed sign-ins counts per user; the gateway has one already. Not lower than this.
$config['login_rate_limit'] = 10;

// Optional: the plugin, see postern/README.md.
//$config['plugins'][] = 'postern';
