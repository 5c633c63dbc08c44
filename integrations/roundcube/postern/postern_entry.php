<?php

/**
 * The field `X-Postern-Entry`: for whom the gateway makes one request, signed and short-lived.
 *
 *   X-Postern-Entry: PAYLOAD "." SIGNATURE
 *   PAYLOAD    base64url of a JSON object: user, session, time (seconds), and where there is one: zone, actor
 *   SIGNATURE  base64url of HMAC-SHA256, under the shared key, of
 *              "postern-entry-1" LF METHOD LF TARGET LF PAYLOAD
 *
 * TARGET is the path with its query, byte for byte as the gateway sent it. A copy of the field therefore opens nothing
 * but the same request once more, and only for half a minute.
 *
 * @license MIT
 */
class postern_entry
{
    /** Seconds by which the clocks of gateway and webmail may differ, the way of the request included. */
    const TOLERANCE = 30;

    /** Shorter keys are not used at all: they could be guessed from a recorded signature. */
    const SHORTEST_KEY = 32;

    /** @var string whose mailbox it is */
    public $user;

    /** @var string stands for the gateway's session as long as it lives; empty where there is none yet */
    public $session;

    /** @var string IANA name such as Europe/Berlin, or empty */
    public $zone;

    /** @var string the member of staff who opens the mailbox, or empty */
    public $actor;

    private function __construct(array $claims)
    {
        $this->user    = $claims['user'];
        $this->session = $claims['session'];
        $this->zone    = $claims['zone'];
        $this->actor   = $claims['actor'];
    }

    /**
     * Reads and verifies the field of one request.
     *
     * @param string   $field  The value of X-Postern-Entry
     * @param string   $method Request method
     * @param string   $target Request target, as it was sent
     * @param string[] $keys   Any of them may have signed: so that a key can be changed without a gap
     * @param int      $now    Seconds since the epoch
     *
     * @return postern_entry|string The entry, or in a word why there is none: key, malformed, signature, time
     */
    public static function read($field, $method, $target, array $keys, $now)
    {
        $keys = array_filter($keys, function ($key) {
            return is_string($key) && strlen($key) >= self::SHORTEST_KEY;
        });
        if (!$keys) {
            return 'key';
        }
        if (strlen($field) > 4096 || !preg_match('/^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/D', $field, $part)) {
            return 'malformed';
        }
        if (!self::signed($part[1], $part[2], $method, $target, $keys)) {
            return 'signature';
        }
        $claims = self::claims(json_decode(self::decode($part[1]), true));
        if ($claims === null) {
            return 'malformed';
        }
        return abs($now - $claims['time']) > self::TOLERANCE ? 'time' : new self($claims);
    }

    /**
     * The request token of Roundcube for this session of the gateway: the same after each new entry, so that pages
     * which are open in the browser go on working. It tells nothing of the key and is no other session's.
     *
     * @return string|null Nothing before the gateway has a session
     */
    public function request_token(array $keys)
    {
        if ($this->session === '') {
            return null;
        }
        $text = "postern-token-1\n" . $this->user . "\n" . $this->session;
        return substr(hash_hmac('sha256', $text, reset($keys)), 0, 32);
    }

    private static function signed($payload, $signature, $method, $target, array $keys)
    {
        $given = self::decode($signature);
        $text  = "postern-entry-1\n$method\n$target\n$payload";
        foreach ($keys as $key) {
            if (hash_equals(hash_hmac('sha256', $text, $key, true), $given)) {
                return true;
            }
        }
        return false;
    }

    private static function claims($json)
    {
        if (!is_array($json) || !isset($json['time']) || !is_int($json['time'])) {
            return null;
        }
        $claims = ['time' => $json['time']];
        foreach (['user', 'session', 'zone', 'actor'] as $name) {
            $value = isset($json[$name]) ? $json[$name] : '';
            if (!is_string($value) || strlen($value) > 254 || preg_match('/[\x00-\x1f\x7f]/', $value)) {
                return null;
            }
            $claims[$name] = $value;
        }
        return $claims['user'] === '' ? null : $claims;
    }

    private static function decode($text)
    {
        return (string) base64_decode(strtr($text, '-_', '+/'));
    }
}
