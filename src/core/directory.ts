import type { BackendName, CanonicalUser, LoginName } from './names.ts';

/**
 * What a source knows of a user. `refused` is a known user who may not sign in; `reason` may be shown to that user.
 * `role` is what the directory calls this member of the staff; whether it grants anything is the configuration's to say.
 * A source that could not be asked rejects with a {@link PosternError} of source `directory`: that is never an answer.
 */
export type HomeLookup =
  | { readonly kind: 'found'; readonly backend: BackendName; readonly user: CanonicalUser; readonly role?: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown-user' };

export interface DirectorySource extends AsyncDisposable {
  /** Rejects when it could not ask, and when `signal` is aborted. */
  lookup(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
}
