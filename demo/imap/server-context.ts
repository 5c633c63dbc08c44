import type { SecureContext } from 'node:tls';
import type { ImapConnection } from './connection.ts';
import type { Account } from './mailbox.ts';

/** A sign-in that a client tried. */
export interface LoginAttempt {
  /** The user whose mailbox was requested. */
  readonly user: string;
  /** The owner of the password: the same user, or a master user by SASL authzid. */
  readonly actor: string;
  readonly result: 'ok' | 'refused';
  readonly secure: boolean;
  /** The client's earlier fields of ID, such as `x-originating-ip`, with names in lower case. */
  readonly clientId: ReadonlyMap<string, string>;
}

/** The point at which a script may step in: before the greeting, or before a command. */
export interface ImapMoment {
  /** `GREETING`, or the command's verb in upper case. */
  readonly verb: string;
  /** The name that LOGIN gave, or the user who is signed in. */
  readonly user: string | undefined;
}

/**
 * The step of a script instead of the server's own: `answer` sends this line (after the command's tag, or after `*` for
 * a greeting) and goes on; `raw` sends these bytes and goes on; `hang` answers nothing more; `drop` ends the
 * connection; `late` waits first.
 */
export type Twist =
  | { readonly kind: 'answer'; readonly line: string }
  | { readonly kind: 'raw'; readonly bytes: string }
  | { readonly kind: 'hang' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'late'; readonly ms: number };

/** Dependencies of the commands. */
export interface ServerContext {
  readonly accounts: ReadonlyMap<string, Account>;
  /** Master users and their passwords. */
  readonly masters: ReadonlyMap<string, string>;
  readonly secureContext: SecureContext | undefined;
  /** Whether a password may travel over this connection. */
  readonly mayLogIn: (connection: ImapConnection) => boolean;
  readonly capabilities: (connection: ImapConnection) => string;
  readonly record: (attempt: LoginAttempt) => void;
  /** Waits for the delay of a failed login. */
  readonly holdBack: () => Promise<void>;
}

/** The result of a command: the tagged line. */
export type Completion = `${'OK' | 'NO' | 'BAD'} ${string}`;
