<?php

// Horde 5 with IMP 6 on Dovecot, behind Postern: for horde/config/hooks.php; where there is one, add the function to its
// class. Driver: horde, with
//   master: { user: gateway, password: { file: master.password } }
//   horde: { master_login: true, own_account: true }
//
// Postern enters a mailbox without the user's password as USER*gateway, with the password of the master, and Dovecot
// takes that as USER. Without this hook Horde makes it another account, with preferences and address book of its own.

class Horde_Hooks
{
    // Dovecot's auth_master_user_separator, and the master user of dovecot/*/postern.conf.
    private const MASTER = '*gateway';

    // The name by which Horde keeps what belongs to a user. Dovecot has let the whole name in before this is asked.
    public function authusername($userId, $toHorde)
    {
        $isMaster = substr($userId, -strlen(self::MASTER)) === self::MASTER;
        return $toHorde && $isMaster ? substr($userId, 0, -strlen(self::MASTER)) : $userId;
    }
}
