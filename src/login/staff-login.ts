import type { BackendName, CanonicalUser } from '../core/names.ts';
import { type AuthenticationDeps, type AuthenticationRefusal, createAuthenticate } from './authentication.ts';
import { type CoursesDeps, createCourses, type PasswordAttempt } from './course.ts';

/** `authenticated`: the name and the password are right. That alone opens nothing. */
type StaffLoginOutcome =
  | {
      readonly kind: 'authenticated';
      readonly user: CanonicalUser;
      readonly backend: BackendName;
      readonly host: string;
    }
  | AuthenticationRefusal;

export type StaffLogin = (attempt: PasswordAttempt, gone: AbortSignal) => Promise<StaffLoginOutcome>;

/** Checks the own mailbox password of a member of staff as a sign-in would, and enters no webmail. */
export function createStaffLogin(deps: AuthenticationDeps & CoursesDeps): StaffLogin {
  const run = createCourses(deps);
  const authenticate = createAuthenticate(deps);
  return (attempt, gone) =>
    run(attempt, gone, async (course): Promise<StaffLoginOutcome> => {
      const outcome = await authenticate(course);
      if (outcome.kind !== 'authenticated') return outcome;
      const { user, home } = outcome;
      return { kind: 'authenticated', user, backend: home.backend.name, host: home.host.name };
    });
}
