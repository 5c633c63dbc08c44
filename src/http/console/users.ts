import type { Audit } from '../../core/audit.ts';
import type { Clock } from '../../core/clock.ts';
import { PosternError } from '../../core/error.ts';
import type { CanonicalUser } from '../../core/names.ts';
import type { SessionRecord } from '../../core/session.ts';
import type { StaffOnDuty } from '../../support/duty.ts';
import type { Started } from '../../support/impersonation.ts';
import type { RecentLogin } from '../../support/recent-logins.ts';
import type { SecondFactors } from '../../support/second-factor.ts';
import type { StaffSessions } from '../../support/staff-sessions.ts';
import { deviceName } from '../device-name.ts';
import { formField, queryParameter } from '../forms.ts';
import type { Views } from '../views.ts';
import type { Visit, VisitWork } from './authorisation.ts';
import { showMessage, showPage, sourceKeyOf } from './layout.ts';
import { codeProblem } from './second-factor.ts';

/** Why a user is led where the user is led. */
interface ExplainedUser {
  readonly answer: 'found' | 'unknown' | 'refused' | 'malformed' | 'could-not-ask';
  readonly why?: string;
  readonly user?: string;
  readonly backend?: string;
  readonly driver?: string;
  readonly moved?: { readonly by: string; readonly reason: string; readonly sinceMs: number };
  readonly hosts?: readonly {
    readonly name: string;
    readonly state: string;
    readonly why?: string;
    readonly serves: boolean;
  }[];
  readonly steps: readonly {
    readonly source: string;
    readonly answer: string;
    readonly home?: string;
    readonly why?: string;
  }[];
}

/** The penalty of one user. */
interface PenaltyState {
  /** The longest delay that the next sign-in from a known network would meet. */
  readonly delayMs: number;
}

/** Users as support sees them. Each call rejects when a server could not be asked. */
export interface ConsoleUsers {
  explain(typed: string): Promise<ExplainedUser>;
  /** The canonical user; undefined for a malformed name. */
  named(typed: string): string | undefined;
  sessions(user: string): Promise<readonly { readonly record: SessionRecord; readonly lastUseMs: number }[]>;
  signIns(user: string): Promise<readonly RecentLogin[]>;
  penalty(user: string): Promise<PenaltyState>;
  liftPenalty(user: string): Promise<void>;
}

type Refused = Extract<Started, { kind: 'refused' }>;

/** Opening mailboxes, as far as a user's page has a part in it. */
interface ConsoleOpening {
  permission(
    staff: StaffOnDuty,
    typed: string,
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'allowed'; readonly subject: CanonicalUser; readonly note?: string } | Refused>;
  start(
    staff: StaffOnDuty,
    request: { readonly subject: string; readonly reason: string; readonly ticket: string; readonly minutes: number },
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'started'; readonly link: string } | Refused>;
}

/** Dependencies of the console's pages about users. */
export interface ConsoleUsersDeps {
  readonly users: ConsoleUsers;
  readonly impersonation: ConsoleOpening;
  readonly factors: Pick<SecondFactors, 'check'>;
  readonly sessions: Pick<StaffSessions, 'proveAnew'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly views: Views;
  readonly clock: Clock;
}

/** The fields of the form that opens a mailbox. */
type OpeningField = 'reason' | 'ticket' | 'minutes' | 'code';

/** The form as it was typed, shown again with its problem and where that is. */
interface Typed {
  readonly problem: string;
  /** The field to correct; none where the whole is refused. */
  readonly field?: OpeningField;
  readonly reason: string;
  readonly ticket: string;
  readonly minutes: number;
}

/** `/-/users`: find a user, see what is the case with the mail of this user, open the mailbox, lift the penalty. */
export function createConsoleUsers(deps: ConsoleUsersDeps): Readonly<Record<'show' | 'submit', VisitWork>> {
  const { users, impersonation, audit, views, clock } = deps;
  const english = views.locales.choose('en', undefined);

  function refusalText(refusal: Refused): string {
    return english.text(`support.refused.${refusal.why}`, 'detail' in refusal ? { detail: refusal.detail } : {});
  }

  /** Only those whom the role covers: of others it is not even said whether they exist. */
  function coveredName({ staff }: Visit, typed: string): string | undefined {
    const user = users.named(typed);
    if (user === undefined) return undefined;
    const domain = user.slice(user.lastIndexOf('@') + 1);
    return staff.domains === undefined || staff.domains.includes(domain) ? user : undefined;
  }

  /** The page is shown while the directory is away, too: that is when it is needed. */
  async function mayOpen({ staff, gone }: Visit, user: string): Promise<{ cannotOpen?: string; note?: string }> {
    try {
      const permission = await impersonation.permission(staff, user, gone);
      if (permission.kind === 'refused') return { cannotOpen: refusalText(permission) };
      return permission.note === undefined ? {} : { note: permission.note };
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      const source = english.text(sourceKeyOf(error.source));
      const detail = english.text('support.cause', { detail: error.message });
      return { cannotOpen: `${english.text('support.unavailable.other', { source })} ${detail}` };
    }
  }

  /** An attempt at names of other domains is audited. */
  async function noteNotCovered({ staff, request }: Visit, typed: string): Promise<void> {
    const facts = { path: request.path, why: 'domain' };
    await audit.record({ event: 'role-refused', ...who(staff), subject: typed.slice(0, 254), facts });
  }

  async function showUser(visit: Visit, typed: string, back?: Typed): Promise<void> {
    const { staff, frame, response } = visit;
    const named = coveredName(visit, typed);
    const explained = named === undefined ? undefined : await users.explain(named);
    // An alias may lead to somebody of another domain.
    const user = explained?.user === undefined ? undefined : coveredName(visit, explained.user);
    if (explained === undefined || user === undefined) {
      await noteNotCovered(visit, typed);
      const problem = noSubject;
      return showPage(views, response, { ...frame, title: 'Users', status: 404 }, [
        'console-users',
        { typed, problem },
      ]);
    }
    await audit.record({ event: 'role-used', ...who(staff), subject: user, facts: { did: 'looked at a user' } });
    const [permission, sessions, signIns, penalty] = await Promise.all([
      mayOpen(visit, user),
      users.sessions(user),
      users.signIns(user),
      users.penalty(user),
    ]);
    const values = {
      typed,
      explained,
      subject: user,
      ...permission,
      sessions: sessions.map(({ record, lastUseMs }) => ({
        device: deviceName(record.userAgent) ?? 'Unknown browser',
        address: record.clientAddress,
        sinceMs: record.createdAtMs,
        lastUseMs: Math.max(lastUseMs, record.createdAtMs),
        by: record.assist?.actor,
        isConsole: record.staff !== undefined,
      })),
      signIns,
      penalty,
      back,
    };
    const title = back === undefined ? user : english.text('error.title', { title: user });
    const page = { ...frame, title, status: back === undefined ? 200 : 403 };
    showPage(views, response, page, ['console-users', values]);
  }

  async function lift({ staff, response, frame }: Visit, subject: string): Promise<void> {
    await audit.record({ event: 'penalty-lifted', ...who(staff), subject });
    await users.liftPenalty(subject);
    showMessage(views, response, { ...frame, title: 'The delay is removed' }, `${subject} can sign in without delay.`);
  }

  async function open(visit: Visit, subject: string): Promise<void> {
    const { request, response, frame, gone } = visit;
    const form = {
      reason: formField(request.body, 'reason') ?? '',
      ticket: formField(request.body, 'ticket') ?? '',
      minutes: Number(formField(request.body, 'minutes')),
    };
    const proven = await prove(visit, formField(request.body, 'code') ?? '');
    if (typeof proven === 'string') return showUser(visit, subject, { ...form, problem: proven, field: 'code' });
    const started = await impersonation.start(proven, { ...form, subject }, gone);
    if (started.kind === 'refused') {
      return showUser(visit, subject, { ...form, problem: refusalText(started), ...fieldOf(started) });
    }
    // A form may lead to our own origin only: to the other host leads a link that staff follow themselves.
    const values = { link: started.link, subject, minutes: form.minutes };
    showPage(views, response, { ...frame, title: 'The mailbox can be opened' }, ['console-link', values]);
  }

  /** A fresh code, each time; what is wrong with it otherwise. */
  async function prove({ staff, session }: Visit, code: string): Promise<StaffOnDuty | string> {
    const check = await deps.factors.check(staff.user, code);
    if (check.kind !== 'right') {
      const facts = { step: 'fresh code', why: check.kind };
      await audit.record({ event: 'staff-refused', ...who(staff), facts });
      return codeProblem(check, clock.nowMs(), 'app');
    }
    const proven = await deps.sessions.proveAnew(session);
    return proven === undefined ? 'Your session has ended meanwhile.' : { ...staff, provenAtMs: proven.provenAtMs };
  }

  return {
    async show(visit: Visit): Promise<void> {
      const typed = queryParameter(visit.request.url, 'user')?.trim() ?? '';
      if (typed !== '') return showUser(visit, typed);
      const { frame, response } = visit;
      showPage(views, response, { ...frame, title: 'Users' }, ['console-users', { typed }]);
    },

    async submit(visit: Visit): Promise<void> {
      const typed = formField(visit.request.body, 'user') ?? '';
      const subject = coveredName(visit, typed);
      const wanted = formField(visit.request.body, 'do');
      if (subject === undefined || (wanted !== 'open' && wanted !== 'lift')) {
        await noteNotCovered(visit, typed);
        return showMessage(views, visit.response, { ...visit.frame, title: 'Not possible', status: 403 }, noSubject);
      }
      await (wanted === 'open' ? open(visit, subject) : lift(visit, subject));
    },
  };
}

function fieldOf({ why }: Refused): { readonly field?: OpeningField } {
  if (why === 'unproven') return { field: 'code' };
  return why === 'reason' || why === 'ticket' || why === 'minutes' ? { field: why } : {};
}

const noSubject = 'There is no such user, or your role does not cover the domain.';

function who({ user, address }: StaffOnDuty) {
  return { actor: user, address };
}
