<?php

/**
 * A list of addresses and networks (`192.0.2.7`, `10.1.2.0/24`, `2001:db8::/64`).
 *
 * @license MIT
 */
class postern_networks
{
    /**
     * Whether an address is in one of the networks. What cannot be read, on either side, is in none.
     *
     * @param string   $address
     * @param string[] $networks
     *
     * @return bool
     */
    public static function hold($address, array $networks)
    {
        $bits = self::bits($address);
        if ($bits === null) {
            return false;
        }
        foreach ($networks as $network) {
            $part = explode('/', (string) $network, 2);
            $base = self::bits($part[0]);
            if ($base === null || strlen($base) !== strlen($bits)) {
                continue;
            }
            $length = strlen($bits);
            if (isset($part[1])) {
                // "/0" would be everybody: nobody means that here
                if (!preg_match('/^[1-9]\d{0,2}$/D', $part[1]) || $part[1] > $length) {
                    continue;
                }
                $length = (int) $part[1];
            }
            if (substr($bits, 0, $length) === substr($base, 0, $length)) {
                return true;
            }
        }
        return false;
    }

    /** The address as a text of zeros and ones; an IPv4 address in IPv6 form is the IPv4 address. */
    private static function bits($address)
    {
        $bytes = filter_var($address, FILTER_VALIDATE_IP) === false ? false : inet_pton($address);
        if ($bytes === false) {
            return null;
        }
        if (strlen($bytes) === 16 && strncmp($bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) === 0) {
            $bytes = substr($bytes, 12);
        }
        $bits = '';
        foreach (unpack('C*', $bytes) as $byte) {
            $bits .= sprintf('%08b', $byte);
        }
        return $bits;
    }
}
