<?php

/**
 * Roundcube behind the gateway Postern.
 *
 * For requests that come from a listed gateway (`postern_gateways`):
 *  - each answer says in X-Postern-Session whose session it belongs to, so that the gateway sees an expired or a mixed-up
 *    session without reading bodies;
 *  - the IMAP server learns the browser's address before the login (IMAP ID, x-originating-ip).
 *
 * With a shared key (`postern_keys`) the gateway also signs every request (postern_entry.php), and then:
 *  - the user is entered without a password, by SASL PLAIN with the user as authorization id;
 *  - a session that was entered so lives only under that signature, and only for that user;
 *  - the request token stays the same for a session of the gateway, so that open pages outlive a new entry.
 *
 * @license MIT
 */
class postern extends rcube_plugin
{
    /** @var postern_entry|null of the running request */
    private $entry;

    /** @var bool whether the running request comes from a listed gateway */
    private $from_gateway = false;

    public function init()
    {
        require_once __DIR__ . '/postern_networks.php';
        require_once __DIR__ . '/postern_entry.php';

        $this->load_config();
        $gateways = (array) $this->setting('postern_gateways', []);
        $this->from_gateway = postern_networks::hold((string) $_SERVER['REMOTE_ADDR'], $gateways);

        $this->add_hook('startup', [$this, 'startup']);
        $this->add_hook('login_after', [$this, 'login_after']);
        $this->add_hook('request_token', [$this, 'request_token']);
        foreach (['storage_connect', 'smtp_connect', 'managesieve_connect'] as $hook) {
            $this->add_hook($hook, [$this, $hook]);
        }
        foreach (['unauthenticated', 'login_failed', 'session_destroy', 'logout_after'] as $hook) {
            $this->add_hook($hook, [$this, 'no_session']);
        }
    }

    public function startup($args)
    {
        $rcmail = rcmail::get_instance();
        $this->entry = $this->read_entry();

        if (!$this->may_stay($rcmail)) {
            $rcmail->kill_session();
        }
        if (empty($_SESSION['user_id']) && $this->entry !== null) {
            $this->enter_unless_useless($rcmail);
        }
        if (!empty($_SESSION['user_id'])) {
            $this->keep_request_token();
        }
        $this->tell_session();
        return $args;
    }

    public function login_after($args)
    {
        $this->tell_session();
        return $args;
    }

    public function request_token($args)
    {
        $token = $this->entry === null ? null : $this->entry->request_token($this->keys());
        if ($token !== null) {
            $args['value'] = $token;
        }
        return $args;
    }

    public function storage_connect($args)
    {
        $address = rcube_utils::remote_addr();
        if ($this->from_gateway && filter_var($address, FILTER_VALIDATE_IP) !== false) {
            $args['preauth_ident'] = ['x-originating-ip' => $address];
        }
        if ($this->by_entry()) {
            // PLAIN alone carries the user as authorization id; with any other method the master itself would be let in
            $args['auth_type'] = 'PLAIN';
            [$args['auth_cid'], $args['auth_pw']] = $this->master();
        }
        return $args;
    }

    public function smtp_connect($args)
    {
        // without a user name Roundcube sends without authentication, and so it stays
        if ($this->by_entry() && !empty($args['smtp_user'])) {
            $args['smtp_auth_type'] = 'PLAIN';
            [$args['smtp_auth_cid'], $args['smtp_auth_pw']] = $this->master();
        }
        return $args;
    }

    public function managesieve_connect($args)
    {
        if ($this->by_entry()) {
            $args['auth_type'] = 'PLAIN';
            [$args['auth_cid'], $args['auth_pw']] = $this->master();
        }
        return $args;
    }

    public function no_session($args)
    {
        $this->tell('X-Postern-Session: none');
        return $args;
    }

    /** The verified entry of this request. A refused one is told to the gateway and the log, never to a stranger. */
    private function read_entry()
    {
        if (!$this->from_gateway || !isset($_SERVER['HTTP_X_POSTERN_ENTRY'])) {
            return null;
        }
        $field = $_SERVER['HTTP_X_POSTERN_ENTRY'];
        $entry = postern_entry::read($field, $_SERVER['REQUEST_METHOD'], $_SERVER['REQUEST_URI'], $this->keys(), time());
        if ($entry instanceof postern_entry) {
            return $entry;
        }
        $this->tell("X-Postern-Refused: $entry");
        rcube::raise_error(['code' => 403, 'file' => __FILE__, 'line' => __LINE__,
            'message' => "postern: the signed entry of a gateway was refused ($entry)"], true);
        return null;
    }

    /** Whether the session of the cookies may serve this request. */
    private function may_stay($rcmail)
    {
        if (empty($_SESSION['user_id'])) {
            return true;
        }
        if (isset($_SESSION['postern_user'])) {
            $same = $this->entry !== null && $this->entry->user === $_SESSION['postern_user'];
        } else {
            // The user signed in with a password; a signed request enters by its signature instead
            $same = $this->entry === null;
        }
        // Roundcube would find a wrong auth cookie only later, and show its sign-in form
        return $same && ($this->entry === null || $rcmail->session->check_auth());
    }

    private function enter_unless_useless($rcmail)
    {
        // Without a session Roundcube calls every task "login": what was asked for is in the request
        $task   = rcube_utils::get_input_string('_task', rcube_utils::INPUT_GPC);
        $action = rcube_utils::get_input_string('_action', rcube_utils::INPUT_GPC);
        // A message being written belongs to the old session: in a new one it would only meet an internal error. For the
        // lost session Roundcube's script keeps the text in the browser and offers it again.
        $writing = $task === 'mail' && in_array($action, ['send', 'upload']);
        if ($task !== 'logout' && !$writing) {
            $this->enter($rcmail, $task);
        }
    }

    /**
     * Signs the user in and has the browser repeat its request, body included (307), in the new session. Where the
     * mailbox cannot be opened this returns, and Roundcube answers as to anybody without a session.
     */
    private function enter($rcmail, $task)
    {
        if (!$rcmail->login($this->entry->user, 'entered-by-postern', $rcmail->autoselect_host(), false)) {
            $rcmail->log_login($this->entry->user, true, $rcmail->login_error());
            $this->tell('X-Postern-Refused: imap');
            return;
        }
        $_SESSION['postern_user'] = $this->entry->user;
        if ($this->entry->zone !== '') {
            $_SESSION['timezone'] = $this->entry->zone;
        }
        $rcmail->session->remove('temp');
        $rcmail->session->regenerate_id(false);
        $rcmail->session->set_auth_cookie();
        $rcmail->log_login();
        if ($this->entry->actor !== '' && $rcmail->config->get('log_logins')) {
            rcube::write_log('userlogins', sprintf('%s was entered by %s', $this->entry->user, $this->entry->actor));
        }
        $this->keep_request_token();
        $rcmail->plugins->exec_hook('login_after', ['_task' => 'mail']);

        if ($task === 'login') {
            header('Location: ' . $rcmail->url(['task' => 'mail']), true, 302);
        } else {
            header('Location: ' . $this->same_target(), true, 307);
        }
        header('Cache-Control: no-store');
        session_write_close();
        exit;
    }

    /** The target of this request as a redirect to the same server, even if its path begins with two slashes. */
    private function same_target()
    {
        return '/' . ltrim($_SERVER['REQUEST_URI'], '/\\');
    }

    /** Roundcube keeps its token in the session; the gateway's session may have begun after Roundcube's. */
    private function keep_request_token()
    {
        $token = $this->entry === null ? null : $this->entry->request_token($this->keys());
        if ($token !== null) {
            $_SESSION['request_token'] = $token;
        }
    }

    private function tell_session()
    {
        $user = isset($_SESSION['postern_user']) ? $_SESSION['postern_user'] : ($_SESSION['username'] ?? '');
        $this->tell('X-Postern-Session: ' . (empty($_SESSION['user_id']) ? 'none' : 'user=' . rawurlencode($user)));
    }

    /** Only a gateway is told anything. */
    private function tell($header)
    {
        if ($this->from_gateway && !headers_sent()) {
            header($header);
        }
    }

    /** Whether this request works in the user's name by the master identity. */
    private function by_entry()
    {
        return $this->entry !== null && $this->master()[0] !== null;
    }

    /** Name and password of the master identity of this request: another one for staff, where there is one. */
    private function master()
    {
        $for = $this->entry->actor !== '' && $this->setting('postern_support_cid') !== null ? 'support' : 'auth';
        return [$this->setting("postern_{$for}_cid"), $this->setting("postern_{$for}_pw")];
    }

    private function keys()
    {
        return (array) $this->setting('postern_keys', []);
    }

    private function setting($name, $default = null)
    {
        return rcmail::get_instance()->config->get($name, $default);
    }
}
