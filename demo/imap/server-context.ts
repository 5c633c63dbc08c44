import type { SecureContext } from 'node:tls';
import type { ImapConnection } from './connection.ts';
import type { Account } from './mailbox.ts';

/** A sign-in that a client tried. */
export interface LoginAttempt {
  /** Whose mailbox was asked for. */
  readonly user: string;
  /** Who gave the password: the same user, or a master user by SASL authzid. */
  readonly actor: string;
  readonly result: 'ok' | 'refused';
  readonly secure: boolean;
  /** What the client said of itself by ID before, such as `x-originating-ip`; names in lower case. */
  readonly clientId: ReadonlyMap<string, string>;
}

/** Where a script may step in: before the greeting, or before a command is carried out. */
export interface ImapMoment {
  /** `GREETING`, or the command's verb in upper case. */
  readonly verb: string;
  /** The name that LOGIN gave, or the user who is signed in. */
  readonly user: string | undefined;
}

/**
 * What a scripted server does instead of its own: `answer` sends this line (after the command's tag, or after `*` for a
 * greeting) and goes on; `raw` sends these bytes and goes on; `hang` answers nothing more; `drop` ends the connection;
 * `late` waits first.
 */
export type Twist =
  | { readonly kind: 'answer'; readonly line: string }
  | { readonly kind: 'raw'; readonly bytes: string }
  | { readonly kind: 'hang' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'late'; readonly ms: number };

/** What the commands need of their server. */
export interface ServerContext {
  readonly accounts: ReadonlyMap<string, Account>;
  /** Master users and their passwords. */
  readonly masters: ReadonlyMap<string, string>;
  readonly secureContext: SecureContext | undefined;
  /** Whether a password may travel over this connection. */
  readonly mayLogIn: (connection: ImapConnection) => boolean;
  readonly capabilities: (connection: ImapConnection) => string;
  readonly record: (attempt: LoginAttempt) => void;
  /** Waits as long as a failed login is held back. */
  readonly holdBack: () => Promise<void>;
}

/** How a command ended: the tagged line. */
export type Completion = `${'OK' | 'NO' | 'BAD'} ${string}`;
