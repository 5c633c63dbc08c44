import type { ReferredUser } from '../core/directory.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { PasswordCheck, PasswordCheckContext, Referrals } from '../core/passdb.ts';
import type { Secret } from '../core/secret.ts';

/** Where the user lives, or why the server that should say so refused the password. */
export type ReferredHome =
  | { readonly kind: 'found'; readonly user: CanonicalUser; readonly backend: BackendName }
  | Exclude<PasswordCheck, { kind: 'right' }>;

/**
 * Asks the server that refers users to their homes, with the user's own password. The password is then to be tried on
 * the home, which may not refer on. Rejects with source `imap` when the server could not be asked, with source
 * `directory` when it names no configured backend, or another user.
 */
export async function findReferredHome(
  referrals: Referrals,
  { user, server }: ReferredUser,
  password: Secret,
  context: Omit<PasswordCheckContext, 'limits'>,
  signal: AbortSignal,
): Promise<ReferredHome> {
  const check = await referrals.ask({ user, password }, server, { ...context, limits: server.limits }, signal);
  switch (check.kind) {
    case 'right':
      return { kind: 'found', user, backend: server.homeOf(undefined) };
    case 'referred':
      return { kind: 'found', user, backend: server.homeOf(check.to) };
    default:
      return check;
  }
}
