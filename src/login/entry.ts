import type { Client, SignInIdentity } from '../core/identity.ts';
import type { LiveSession } from '../core/session.ts';
import type { WebmailDriver } from '../core/webmail.ts';

type Entering = Pick<LiveSession, 'record' | 'password'>;

/** Whether a webmail can be entered with what the session holds: its password, or a master identity without one. */
export function canEnter({ password }: Pick<Entering, 'password'>, { masterEntry }: WebmailDriver): boolean {
  return password !== undefined || masterEntry.kind !== 'impossible';
}

/** Whom the webmail is entered as when a session's user is signed in to it once more. */
export function identityOf({ record, password }: Entering, client: Client, publicOrigin: string): SignInIdentity {
  const { user, timeZone, assist } = record;
  const actor = assist === undefined ? {} : { actor: assist.actor };
  return { user, password, client, timeZone, publicOrigin, ...actor };
}
