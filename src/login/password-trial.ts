import type { HomeLookup } from '../core/directory.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { Passdb, PasswordCheck, Referrals, ServerWords } from '../core/passdb.ts';
import type { Home } from './authentication.ts';
import type { Course } from './course.ts';
import type { Admission } from './penalty.ts';
import { findReferredHome, type ReferredHome } from './referred-home.ts';

/** One password on its way to the servers that may judge it; the penalty hears of each verdict. */
export interface PasswordTrial {
  /** The home that is known, or that a server says to who has the password, which is then to be tried there. */
  whereIs(found: Extract<HomeLookup, { kind: 'found' | 'referred' }>): Promise<ReferredHome>;
  check(user: CanonicalUser, home: Home): Promise<PasswordCheck>;
}

export function createPasswordTrial(
  passdb: Passdb & Referrals,
  course: Course,
  admission: Extract<Admission, { kind: 'admitted' }>,
): PasswordTrial {
  const { client, password, reference } = course.attempt;
  const heard = (said: ServerWords): void => {
    course.trace.said = said;
  };

  async function settled<T extends PasswordCheck | ReferredHome>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const check = await course.within('imap', ask);
    if (check.kind === 'right' || check.kind === 'wrong') await admission.settle(check.kind);
    else if (check.kind !== 'found') await admission.settle('undecided');
    return check;
  }

  return {
    async whereIs(found) {
      if (found.kind === 'found') return found;
      const context = { client, reference, heard };
      return settled((signal) => findReferredHome(passdb, found, password, context, signal));
    },
    check(user, { backend, host }) {
      const context = { client, reference, heard, limits: backend.limits };
      return settled((signal) => passdb.verify({ user, password }, host, context, signal));
    },
  };
}
