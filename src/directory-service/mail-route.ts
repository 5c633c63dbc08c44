import type { BackendHost } from '../core/backend.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';

/** Where the mail of a user is served now. `closed`: nowhere for a while, as in maintenance or during a move. */
export type MailRoute =
  | { readonly kind: 'found'; readonly user: CanonicalUser; readonly backend: BackendName; readonly host: BackendHost }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown-user' }
  | { readonly kind: 'closed' };

/** Finds it for a name as somebody typed it. Rejects with a PosternError when it cannot be said. */
export type RouteMail = (typed: string, signal: AbortSignal) => Promise<MailRoute>;

/** The protocols of mail clients, as nginx calls them, each with the port of the mail servers. */
export const mailProtocols = ['imap', 'pop3', 'smtp'] as const;
export type MailProtocol = (typeof mailProtocols)[number];
export type MailPorts = Readonly<Record<MailProtocol, number>>;
