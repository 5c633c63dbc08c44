import { type Audit, recordIfPossible } from '../core/audit.ts';
import { isoTime } from '../core/clock.ts';
import type { CanonicalUser, RecordKey } from '../core/names.ts';
import type { Secret } from '../core/secrets.ts';
import type { SessionRecord } from '../core/session.ts';
import { ApiRefusal, type ApiRoute, askerOf, ok, reasonIn } from './api-exchange.ts';

/** Dependencies of the API's operations on staff. */
export interface ApiStaffDeps {
  readonly staff: {
    /** The staff that the configuration names, with their roles. */
    configured(): ReadonlyMap<string, { readonly roles: readonly string[]; readonly domains?: readonly string[] }>;
    /** Whether this user has a role now. Rejects if the directory could not be asked. */
    isStaff(user: CanonicalUser): Promise<boolean>;
    /** Makes a link that opens the console once for an operator; undefined if there is no console. */
    consoleLink(by: string): Promise<{ readonly link: string; readonly untilMs: number } | undefined>;
    /** The console's URL; undefined if there is none. */
    console(): string | undefined;
    readonly factors: {
      all(): readonly { readonly user: string; readonly state: string; readonly sinceMs?: number }[];
      invite(user: string): Promise<{ readonly code: Secret; readonly untilMs: number } | undefined>;
      reset(user: string): Promise<boolean>;
    };
  };
  readonly sessions: {
    sessionsOfUser(
      user: CanonicalUser,
    ): Promise<readonly { readonly key: RecordKey; readonly record: SessionRecord }[]>;
    end(key: RecordKey, reason: 'kicked', by: string): Promise<void>;
  };
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  readonly audit: Pick<Audit, 'record'>;
}

/** Routes for staff and their second factors: list them, make a one-time code, remove a factor. */
export function staffRoutes({ staff, sessions, userNamed, audit }: ApiStaffDeps): readonly ApiRoute[] {
  function consoleAddress(): string {
    const address = staff.console();
    if (address === undefined)
      throw new ApiRefusal(
        409,
        'there is no console: set support.console and support.assist in the configuration (docs/console.md)',
      );
    return address;
  }

  return [
    {
      name: 'listStaff',
      method: 'GET',
      path: '/staff',
      async handle() {
        const known = new Map(staff.factors.all().map(({ user, ...rest }) => [user, rest]));
        const configured = staff.configured();
        const users = [...new Set([...configured.keys(), ...known.keys()])].sort();
        const described = users.map((user) => {
          const { state = 'none', sinceMs } = known.get(user) ?? {};
          const { roles, domains } = configured.get(user) ?? {};
          const since = sinceMs === undefined ? {} : { since: isoTime(sinceMs) };
          return { user, roles, domains, second_factor: state, ...since };
        });
        return ok({ staff: described });
      },
    },
    consoleLinkRoute({ staff, audit }, consoleAddress),
    {
      name: 'inviteStaff',
      method: 'POST',
      path: '/staff/{user}/enrolment',
      async handle(request) {
        const address = consoleAddress();
        const user = userNamed(request.path['user']);
        if (!(await staff.isStaff(user)))
          throw new ApiRefusal(409, `${user} has no role: add one under support.staff first`);
        // Without an audit line no code is made.
        await audit.record({ event: 'staff-invited', ...askerOf(request), subject: user });
        const invited = await staff.factors.invite(user);
        if (invited === undefined) {
          throw new ApiRefusal(409, `${user} has a second factor: remove it first, with postern staff reset`);
        }
        return ok({ user, code: invited.code.reveal(), until: isoTime(invited.untilMs), console: address });
      },
    },
    {
      name: 'resetStaff',
      method: 'DELETE',
      path: '/staff/{user}/enrolment',
      async handle(request) {
        const user = userNamed(request.path['user']);
        const reason = reasonIn(request);
        if (!(await staff.factors.reset(user))) throw new ApiRefusal(404, `${user} has no second factor`);
        const atConsole = (await sessions.sessionsOfUser(user)).filter(({ record }) => record.staff !== undefined);
        await Promise.all(atConsole.map(({ key }) => sessions.end(key, 'kicked', request.by)));
        await recordIfPossible(audit, {
          event: 'staff-unenrolled',
          ...askerOf(request),
          subject: user,
          facts: { reason, ended: atConsole.length },
        });
        return ok({ user, ended: atConsole.length });
      },
    },
  ];
}

/** The way into the console for sites without staff accounts. */
function consoleLinkRoute(
  { staff, audit }: Pick<ApiStaffDeps, 'staff' | 'audit'>,
  consoleAddress: () => string,
): ApiRoute {
  return {
    name: 'makeConsoleLink',
    method: 'POST',
    path: '/console/link',
    async handle(request) {
      if (request.way !== 'socket')
        throw new ApiRefusal(
          403,
          'a link to the console is made over the socket only: set operators.socket, and run the command on this machine',
        );
      consoleAddress();
      // Without an audit line no link is made.
      await audit.record({ event: 'console-link-made', ...askerOf(request) });
      const made = await staff.consoleLink(request.by);
      if (made === undefined)
        throw new ApiRefusal(409, 'the console opens after a restart: support was added since the start');
      return ok({ link: made.link, until: isoTime(made.untilMs) });
    },
  };
}
