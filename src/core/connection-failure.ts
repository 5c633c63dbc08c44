import { messageFrom } from './error.ts';
import { shortLine } from './text.ts';

/**
 * Says in a few words why a connection to a server failed, and names the usual remedy if there is one. It quotes no
 * bytes of the server.
 */
export function explainFailure(error: unknown): string {
  const message = messageFrom(error);
  const code = error instanceof Error && 'code' in error ? preciseCode(String(error.code), message) : '';
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused: nothing listens there';
    case 'ECONNRESET':
      return 'the connection was reset: the server refuses this client, or expects TLS';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name is not known to the DNS';
    case 'ABORT_ERR':
    case 'ETIMEDOUT':
      return 'no answer in time';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `this address cannot be reached from here: ${message}`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate is for another name: use that name in the address, or set tls_server_name on a backend (${shortLine(message)})`;
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
    case 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION':
      return 'the server supports only TLS 1.1 or older: upgrade it to TLS 1.2';
    case 'ERR_SSL_DH_KEY_TOO_SMALL':
      return 'the server’s Diffie-Hellman parameters are too short (under 2048 bits): renew them there (Dovecot: ssl_dh)';
    case 'ERR_SSL_EE_KEY_TOO_SMALL':
    case 'ERR_SSL_CA_MD_TOO_WEAK':
      return 'the server’s certificate has too short a key or too weak a signature: renew it with 2048 bits and SHA-256';
    case 'CERT_HAS_EXPIRED':
      return 'the certificate has expired: renew it';
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'the server does not speak TLS on this port: is the port right, or did you mean imap:// or ldap:// (STARTTLS), http:// or redis://?';
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'the certificate is from an unknown authority: set tls_ca_file';
    default:
      return message === '' ? code : shortLine(message);
  }
}

/**
 * The message of an error, for logs; where a certificate is refused, what {@link explainFailure} says, since Node's own
 * message advises an option of its command line, which does not reach the trust of a backend.
 */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /CERT|^UNABLE_TO_/.test(code) ? explainFailure(error) : shortLine(messageFrom(error));
}

/** Where Node's code is only EPROTO, OpenSSL's own reason stands in the message. */
function preciseCode(code: string, message: string): string {
  const [, reason] = code === 'EPROTO' ? (/:SSL routines:[^:]*:([a-z0-9 ]+):/.exec(message) ?? []) : [];
  return reason === undefined ? code : `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`;
}
