import type { Client } from './identity.ts';

/** One address under which users know the gateway. */
export interface PublicUrl {
  /** Scheme, host and port as a browser writes its Origin: `https://mail.example.org`. */
  readonly origin: string;
  /** Host and, where it is not the scheme's own, port: as in a Host field, in lower case. */
  readonly authority: string;
  readonly secure: boolean;
}

/** Where a request came in: decided once, from the connection, the Host and the proxies that are trusted. */
export interface Ingress {
  readonly publicUrl: PublicUrl;
  readonly client: Client;
}
