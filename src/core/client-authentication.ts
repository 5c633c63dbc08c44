import type { Backend, BackendHost } from './backend.ts';
import type { Client } from './identity.ts';
import type { BackendName, CanonicalUser } from './names.ts';
import type { Secret } from './secret.ts';
import type { WebmailDriver } from './webmail.ts';

/** What a client that authenticates on every request sent along. */
export interface ClientCredentials {
  /** As it was sent. */
  readonly user: string;
  /** As it was sent, never trimmed. */
  readonly password: Secret;
  readonly client: Client;
}

/**
 * What the gateway says of them. `admitted`: with the user's home at this moment. `rejected` is an unknown user or a
 * wrong password; `refused` is a known user who may not sign in, with a reason for that user. `unavailable`: somebody
 * could not be asked, which is never a no; `busy`: too many wait already. Both have a reference that the log has too.
 */
export type ClientAdmission =
  | {
      readonly kind: 'admitted';
      readonly user: CanonicalUser;
      readonly backend: Backend;
      readonly host: BackendHost;
      readonly driver: WebmailDriver;
    }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'busy' | 'unavailable'; readonly reference: string };

/** Decides over clients that authenticate on every request. */
export interface ClientAuthentication {
  /** Rejects with the signal's reason when the client is gone. */
  admit(credentials: ClientCredentials, gone: AbortSignal): Promise<ClientAdmission>;
  /**
   * Whether the user is still served there: for requests that wait long, while users are moved and backends closed.
   * `true` also when nobody can say.
   */
  isStillAt(user: CanonicalUser, backend: BackendName, host: string): Promise<boolean>;
  /** Forgets that these were good: the user's own backend has just refused them. */
  distrust(user: CanonicalUser, backend: BackendName, credentials: Omit<ClientCredentials, 'user'>): void;
}
