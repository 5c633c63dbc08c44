import type { Backend, BackendHost, MailPorts } from '../core/backend.ts';
import type { DirectorySource, LockRefusal } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { BackendName, CanonicalUser, LoginNameParser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Placement } from '../core/placement.ts';

interface MailRoutesDeps {
  readonly parseName: LoginNameParser;
  readonly directory: Pick<DirectorySource, 'lookup'>;
  readonly backends: ReadonlyMap<BackendName, Backend>;
  readonly placement: Pick<Placement, 'forSignIn' | 'activeHost'>;
  /** The refusal of all who come from an address; undefined if its network is not locked. */
  readonly networkLock?: (address: string) => LockRefusal | undefined;
}

/**
 * Where mail clients are led: as a sign-in, but neither a webmail that is down nor a drain keeps them from their mail.
 */
export function createMailRoutes(deps: MailRoutesDeps): RouteMail {
  const { parseName, directory, backends, placement, networkLock } = deps;
  return async (typed, signal, client) => {
    const barred = client === undefined ? undefined : networkLock?.(client);
    if (barred !== undefined) return barred;
    const parsed = parseName(typed);
    if (parsed.kind === 'malformed') return { kind: 'unknown-user' };
    const home = await directory.lookup(parsed.name, signal);
    if (home.kind === 'referred' && home.refusal !== undefined) return home.refusal;
    if (home.kind === 'referred') throw referredOnly(home.server.name);
    if (home.kind !== 'found') return home;
    const backend = backends.get(home.backend);
    if (backend === undefined) throw new TypeError('the directory answered with a backend that is not configured');
    const { name, mailPorts } = backend;
    const found = { kind: 'found', user: home.user, backend: name, ...defined({ mailPorts }) } as const;
    const place = placement.forSignIn(backend, home.user);
    if (place.kind === 'here') return { ...found, host: place.host };
    const { kind } = place.closure;
    if (kind === 'maintenance' || kind === 'moving') return { kind: 'closed' };
    return { ...found, host: placement.activeHost(backend) };
  };
}

/** The error for a user whose home only that server knows, and says only at a sign-in. */
export function referredOnly(server: string): PosternError {
  const message = `${server} names the backend only at sign-in`;
  return new PosternError('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true });
}

/** Where the mail of a user is served now. `closed`: not for now, in maintenance or during a move. */
export type MailRoute =
  | {
      readonly kind: 'found';
      readonly user: CanonicalUser;
      readonly backend: BackendName;
      readonly host: BackendHost;
      /** Ports of this backend that differ from those of the others. */
      readonly mailPorts?: Partial<MailPorts>;
    }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown-user' }
  | { readonly kind: 'closed' };

/**
 * Finds the route of a user by the typed name. `client`: the address of the mail client; undefined if nobody has told it.
 * Rejects with a PosternError if it cannot be found out.
 */
export type RouteMail = (typed: string, signal: AbortSignal, client?: string) => Promise<MailRoute>;

/** Protocols of mail clients, by nginx's names. */
export const mailProtocols = ['imap', 'pop3', 'smtp'] as const;

/** A mail protocol that the directory service answers for. */
export type MailProtocol = (typeof mailProtocols)[number];
