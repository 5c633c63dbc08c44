import type { Client } from './identity.ts';

/** One address under which users know the gateway. */
export interface PublicUrl {
  /** Scheme, host and port as a browser writes its Origin: `https://mail.example.org`. */
  readonly origin: string;
  /** Host and, where it is not the scheme's own, port: as in a Host field, in lower case. */
  readonly authority: string;
  readonly secure: boolean;
}

/**
 * Which of the gateway's host names a request was for: the one that users know, the console of the staff, or the one
 * under which staff see the mailboxes that they opened. Browsers keep them apart.
 */
export type HostKind = 'public' | 'console' | 'assist';

/** Where a request came in: decided once, from the connection, the Host and the proxies that are trusted. */
export interface Ingress {
  /** The address of this request: of the users, or one of the staff's. */
  readonly publicUrl: PublicUrl;
  readonly hostKind: HostKind;
  readonly client: Client;
}
