/** The part that failed. */
export type FailureSource =
  | 'client'
  | 'config'
  | 'directory'
  | 'imap'
  | 'webmail'
  | 'store'
  | 'audit'
  | 'policy'
  | 'gateway';

/** Every stable error code, with the sentence that docs/operate.md shows for it. */
export const errorCodes = {
  ERR_CONFIG_INVALID: 'The configuration has problems; each one is listed with its place and its remedy.',
  ERR_KEYS_UNUSABLE: 'The server keys file is missing or unreadable, or lacks a key that other nodes use.',
  ERR_KEY_UNKNOWN: 'A session or a state entry is under a server key that this node does not have.',
  ERR_ENTRY_FORGED:
    'State entries were not written with a server key, or were changed or moved since; they are ignored.',
  ERR_SESSION_ENDED: 'The session ended while a request was still writing to it.',
  ERR_STORE_UNAVAILABLE: 'The session store did not answer in time.',
  ERR_DIRECTORY_UNAVAILABLE: 'A source of the directory did not answer, or asked to try again later.',
  ERR_DIRECTORY_ANSWER: 'A source of the directory gave an answer that cannot be used, such as an unknown backend.',
  ERR_IMAP_UNAVAILABLE: 'The IMAP server of the backend did not answer.',
  ERR_IMAP_PROTOCOL: 'The IMAP server of the backend broke the protocol or offered no safe way to sign in.',
  ERR_MAIL_PROXY: 'A mail proxy did not answer, or could not list or end the mail connections of a user.',
  ERR_WEBMAIL_UNAVAILABLE: 'The webmail of the backend did not answer.',
  ERR_WEBMAIL_ANSWER: 'The webmail of the backend gave an answer that the driver does not understand.',
  ERR_WEBMAIL_MAIL_SERVER: 'The webmail could not reach its own mail server.',
  ERR_WEBMAIL_LOCKED:
    'The webmail refuses sign-ins by this user, or by the gateway, for a while after too many attempts.',
  ERR_AUDIT_UNAVAILABLE: 'The audit could not be written or read; until it can be, staff cannot open mailboxes.',
  ERR_NO_MASTER_ENTRY: 'A mailbox cannot be opened without its user’s password, because its backend does not allow it.',
  ERR_AUDIT_COPY: 'Audit lines could not be copied to syslog; the audit file has them.',
  ERR_BUSY: 'A bounded queue is full: of requests or logins for a backend, or of logins that wait for a penalty.',
  ERR_POLICY_UNAVAILABLE: 'The policy server of `login.policy` did not answer, or gave an answer that cannot be used.',
  ERR_DEADLINE: 'The deadline passed before an answer came.',
} as const;

/** A stable code of a failure. */
export type ErrorCode = keyof typeof errorCodes;

/**
 * A failure: something could not be asked or done. An expected answer such as "no" is a value, never an error.
 *
 * `message` is for operators: it names the thing, the value and the remedy, if there is one. It contains no secret and
 * nothing that a client sent. `retryable`: the same call may succeed later without a change.
 */
export class PosternError extends Error {
  readonly code: ErrorCode;
  readonly source: FailureSource;
  readonly retryable: boolean;

  constructor(
    code: ErrorCode,
    message: string,
    details: { source: FailureSource; retryable: boolean; cause?: unknown },
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'PosternError';
    this.code = code;
    this.source = details.source;
    this.retryable = details.retryable;
  }
}

const shortages: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

/** The message of an error; of any other thrown value, its text. */
export function messageFrom(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Whether a call failed because this machine ran out of descriptors, ports or memory. Such a failure says nothing about
 * the server that was called.
 */
export function isOwnShortage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && shortages.has(error.code)) || isOwnShortage(error.cause);
}
