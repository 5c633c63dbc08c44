<?php

// Horde 5 with IMP 6 behind Postern: for horde/config/conf.local.php. Driver: horde.

// The web server says "https" where the gateway does (apache/webmail.conf), and Horde builds its redirects from that.
$conf['use_ssl'] = 2;

// Bound to the browser: works, because the gateway signs in with the browser's own User-Agent.
$conf['auth']['checkbrowser'] = true;
// Bound to the address: Horde looks at the connection, which is the gateway's. Two gateways would throw users out.
$conf['auth']['checkip'] = false;

// Where the session cookies count, the same path in public. They stay in the gateway.
$conf['cookie']['path'] = '/horde';

// A sign-out must show Horde's own page: the gateway knows it by the cookie that Horde deletes there.
$conf['auth']['redirect_on_logout'] = false;

// Seconds: near the gateway's sessions.idle_timeout. 0: as long as PHP keeps it.
$conf['session']['timeout'] = 0;

// ---- Instead of the form: user and password from the gateway's fields. Driver: header, with
//   header: { user_field: X-Remote-User, password_field: X-Remote-Password, secret: { file: horde.key },
//             signed_out: { path: /horde/login.php, removes_cookie: horde_secret_key } }
// The web server must pass these fields from the gateways alone, and only with the secret. IMP needs the password: it
// knows no authorization id, so this is no entry without one (hooks.php is, with Dovecot). In imp/config/backends.local.php: 'hordeauth' => 'full'.
//$conf['auth']['driver'] = 'shibboleth';
//$conf['auth']['params'] = [
//    'username_header' => 'HTTP_X_REMOTE_USER', 'password_holder' => 'header',
//    'password_header' => 'HTTP_X_REMOTE_PASSWORD', 'password_preference' => '',
//];
