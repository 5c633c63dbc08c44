/** The part that failed. */
export type FailureSource = 'client' | 'config' | 'directory' | 'imap' | 'webmail' | 'store' | 'audit' | 'gateway';

/** Every stable error code, with the sentence that docs/operate.md shows for it. */
export const errorCodes = {
  ERR_CONFIG_INVALID: 'The configuration has problems; each one is listed with its place and its remedy.',
  ERR_KEYS_UNUSABLE: 'The server keys file is missing, unreadable, or lacks a key that the other nodes use.',
  ERR_KEY_UNKNOWN: 'A session, or an entry of the state, stands under a server key that this node does not have.',
  ERR_ENTRY_FORGED:
    'Entries of the state were not written with a server key, or were changed or moved since: they count as none.',
  ERR_SESSION_ENDED: 'The session ended while a request was still writing to it.',
  ERR_STORE_UNAVAILABLE: 'The session store did not answer in time.',
  ERR_DIRECTORY_UNAVAILABLE: 'No source of the directory could say where the user lives.',
  ERR_DIRECTORY_ANSWER: 'A source of the directory gave an answer that names no configured backend.',
  ERR_IMAP_UNAVAILABLE: 'The IMAP server of the backend could not be asked.',
  ERR_IMAP_PROTOCOL: 'The IMAP server of the backend broke the protocol or offered no safe way to sign in.',
  ERR_WEBMAIL_UNAVAILABLE: 'The webmail of the backend could not be asked.',
  ERR_WEBMAIL_ANSWER: 'The webmail of the backend gave an answer that its driver does not understand.',
  ERR_WEBMAIL_MAIL_SERVER: 'The webmail could not reach its own mail server.',
  ERR_WEBMAIL_LOCKED:
    'The webmail takes no sign-ins of this user, or of the gateway, for a while: it has seen too many.',
  ERR_AUDIT_UNAVAILABLE: 'The audit could not be written or read: nobody opens a mailbox of others until it can be.',
  ERR_NO_MASTER_ENTRY: 'A mailbox was to be opened without its user’s password, which its backend does not allow.',
  ERR_AUDIT_COPY: 'Lines of the audit could not be copied to syslog; the file of the audit has them.',
  ERR_BUSY: 'The bounded queue for this backend is full.',
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
