/** The meaning of a server's text in a NO that has no response code for it. */
type KnownMeaning = 'later' | 'expired' | 'elsewhere';

interface KnownText {
  readonly server: string;
  /** The origin of the text: the server's source code, its documentation, or an observed answer. */
  readonly source: string;
  readonly text: RegExp;
  readonly means: KnownMeaning;
}

/**
 * Texts by which servers say that they did not judge the password, each as its server writes it. Any other text is a
 * refusal; operators add their own texts that mean "later" by `imap_later` of a backend.
 */
export const knownTexts: readonly KnownText[] = [
  {
    server: 'Exchange',
    source: 'Imap4, ProcessException: the mailbox server behind it cannot be reached',
    text: /^server unavailable\. \d+/i,
    means: 'later',
  },
  {
    server: 'Exchange Online',
    source: 'its throttling, with BAD and NO',
    text: /^request is throttled\b|^server busy\b/i,
    means: 'later',
  },
  {
    server: 'Zimbra',
    source: 'ImapHandler, MAINTENANCE_MODE',
    text: /^account undergoing maintenance; please try again later/i,
    means: 'later',
  },
  {
    server: 'Zimbra',
    source: 'ImapHandler, CHANGE_PASSWORD: after the right password',
    text: /^password must be changed before imap login permitted/i,
    means: 'expired',
  },
  {
    server: 'Zimbra',
    source: 'ImapHandler, the account is on another server',
    text: /^(?:login|authenticate) failed \(wrong host\)/i,
    means: 'elsewhere',
  },
  {
    server: 'Cyrus',
    source: 'libcyrus_imap, imap_err: its own store or lists cannot be read; libsasl2, sasl_errstring',
    text: /(?:^|: )(?:system i\/o error|operating system error|internal error|mailbox is locked|remote authentication server unavailable|transient failure\b.*|no memory available)$/i,
    means: 'later',
  },
  {
    server: 'Cyrus',
    source: 'libsasl2, sasl_errstring, SASL_EXPIRED',
    text: /(?:^|: )passphrase expired, has to be reset$/i,
    means: 'expired',
  },
  {
    server: 'Cyrus',
    source: 'libsasl2 and libcyrus_imap: saslauthd or a server of the murder does not answer',
    text: /\bno response\b|\bcannot connect to (?:saslauthd|courier authdaemond)\b|\bserver\(s\) unavailable to complete operation\b|\bgeneric failure$/i,
    means: 'later',
  },
  {
    server: 'Courier',
    source: 'imapd, when authdaemond fails',
    text: /\btemporary (?:problem|failure)\b|\btemporary authentication failure\b/i,
    means: 'later',
  },
  {
    server: 'Dovecot',
    source: 'login-common (AUTH_TEMP_FAILED_MSG, LOGIN_PROXY_FAILURE_MSG), imap-login before response codes',
    text: /^temporary authentication failure\b|^account is temporarily unavailable\b|^internal (?:error occurred|login failure)\. refer to server log/i,
    means: 'later',
  },
  {
    server: 'Dovecot',
    source: 'login-common, ERR_TOO_MANY_USERIP_CONNECTIONS: after the right password',
    text: /^maximum number of connections from user\+ip exceeded/i,
    means: 'later',
  },
  {
    server: 'nginx',
    source: 'mail proxy, the Auth-Status that its documentation gives for a failure of auth_http',
    text: /^temporary server problem\b/i,
    means: 'later',
  },
  {
    server: 'Perdition',
    source:
      'perdition.c: what went wrong before the server behind it had the password, for which it says Re-Authentication Failure',
    text: /^failed: (?:could not connect to server|connection negotiation failure|tls not present|login disabled)/i,
    means: 'later',
  },
  {
    server: 'Gmail',
    source: 'its limits, as clients report them',
    text: /^too many (?:simultaneous connections|login attempts)\b|^account exceeded command or bandwidth limits|^temporary system (?:problem|error)\b|^system error \(failure\)/i,
    means: 'later',
  },
];

/** The meaning of a text; undefined if no server is known to send it. */
export function meaningOf(text: string): KnownText | undefined {
  const plain = text.replace(/\s+/g, ' ').trim();
  return knownTexts.find((known) => known.text.test(plain));
}
