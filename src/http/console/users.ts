import type { Audit } from '../../core/audit.ts';
import type { Clock } from '../../core/clock.ts';
import { PosternError } from '../../core/error.ts';
import type { CanonicalUser } from '../../core/names.ts';
import { defined } from '../../core/objects.ts';
import type { ListedSession } from '../../core/session.ts';
import { deviceName } from '../../core/text.ts';
import type { StartOutcome } from '../../support/impersonation.ts';
import type { RecentLogin } from '../../support/recent-logins.ts';
import type { StaffMember } from '../../support/roles.ts';
import type { SecondFactors } from '../../support/second-factor.ts';
import type { StaffSessions } from '../../support/staff-sessions.ts';
import { formField, queryParameter } from '../forms.ts';
import type { Locale } from '../locales.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { typedReason } from './backends.ts';
import { showMessage, showPage, sourceKeyOf } from './layout.ts';
import type { ConsoleSessions } from './sessions.ts';
import { type ConsoleLocks, submitLock } from './lock-form.ts';
import { codeProblem } from './second-factor.ts';

/** Why a user is routed to a backend. */
interface ExplainedUser {
  readonly answer: 'found' | 'unknown' | 'refused' | 'malformed' | 'could-not-ask';
  readonly why?: string;
  readonly user?: string;
  readonly backend?: string;
  readonly driver?: string;
  readonly moved?: { readonly by: string; readonly reason: string; readonly sinceMs: number };
  readonly locked?: {
    readonly kind: string;
    readonly name: string;
    readonly by: string;
    readonly reason: string;
    readonly sinceMs: number;
    readonly untilMs?: number;
  };
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
    readonly tookMs?: number;
  }[];
}

/** The penalty of one user. */
interface PenaltyState {
  /** The longest delay of a login now from a known network; milliseconds. */
  readonly delayMs: number;
}

/** Users as support sees them. Each call rejects when a server could not be asked. */
export interface ConsoleUsers {
  explain(typed: string): Promise<ExplainedUser>;
  /** The canonical user; undefined for a malformed name. */
  named(typed: string): string | undefined;
  sessions(user: string): Promise<readonly ListedSession[]>;
  signIns(user: string): Promise<readonly RecentLogin[]>;
  penalty(user: string): Promise<PenaltyState>;
  liftPenalty(user: string): Promise<void>;
}

type RefusedOpening = Extract<StartOutcome, { kind: 'refused' }>;

/** Opening mailboxes, as far as a user's page has a part in it. */
interface ConsoleOpening {
  permission(
    staff: StaffMember,
    typed: string,
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'allowed'; readonly subject: CanonicalUser; readonly note?: string } | RefusedOpening>;
  start(
    staff: StaffMember,
    request: { readonly subject: string; readonly reason: string; readonly ticket: string; readonly minutes: number },
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'started'; readonly link: string } | RefusedOpening>;
}

/** Dependencies of the console's pages about users. */
export interface ConsoleUsersDeps {
  readonly users: ConsoleUsers;
  readonly impersonation: ConsoleOpening;
  readonly sessionControl: Pick<ConsoleSessions, 'end'>;
  readonly locks: ConsoleLocks;
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

/** `/-/users`: find a user, see the state of the user's mail, open the mailbox, lift the penalty. */
export function createConsoleUsers(deps: ConsoleUsersDeps): Readonly<Record<'show' | 'submit', StaffHandler>> {
  const pages = new UserPages(deps);
  return { show: (exchange) => pages.show(exchange), submit: (exchange) => pages.submit(exchange) };
}

class UserPages {
  readonly #deps: ConsoleUsersDeps;
  readonly #english: Locale;

  constructor(deps: ConsoleUsersDeps) {
    this.#deps = deps;
    this.#english = this.#deps.views.locales.choose('en', undefined);
  }

  async show(exchange: StaffExchange): Promise<void> {
    const typed = queryParameter(exchange.request.url, 'user')?.trim() ?? '';
    if (typed !== '') return this.#showUser(exchange, typed);
    const { frame, response } = exchange;
    showPage(this.#deps.views, response, { ...frame, title: 'Users' }, ['console-users', { typed }]);
  }

  async submit(exchange: StaffExchange): Promise<void> {
    const typed = formField(exchange.request.body, 'user') ?? '';
    const subject = this.#coveredName(exchange, typed);
    const wanted = formField(exchange.request.body, 'do');
    const isKnown = wanted !== undefined && actions.has(wanted);
    if (subject === undefined || !isKnown) {
      await this.#noteNotCovered(exchange, typed);
      return showMessage(
        this.#deps.views,
        exchange.response,
        { ...exchange.frame, title: 'Something went wrong', status: 403 },
        noSubject,
      );
    }
    if (wanted === 'end') return this.#end(exchange, subject);
    if (wanted === 'lock' || wanted === 'unlock') return submitLock(this.#deps, exchange, subject, wanted);
    await (wanted === 'open' ? this.#open(exchange, subject) : this.#lift(exchange, subject));
  }

  #refusalText(refusal: RefusedOpening): string {
    return this.#english.text(`support.refused.${refusal.why}`, 'detail' in refusal ? { detail: refusal.detail } : {});
  }

  /** The name, if the role covers it. Otherwise the page does not even tell whether the user exists. */
  #coveredName({ staff }: StaffExchange, typed: string): string | undefined {
    const user = this.#deps.users.named(typed);
    if (user === undefined) return undefined;
    const domain = user.slice(user.lastIndexOf('@') + 1);
    return staff.domains === undefined || staff.domains.includes(domain) ? user : undefined;
  }

  /** The page is shown while the directory is away, too: that is when it is needed. */
  async #mayOpen({ staff, gone }: StaffExchange, user: string): Promise<{ cannotOpen?: string; note?: string }> {
    try {
      const permission = await this.#deps.impersonation.permission(staff, user, gone);
      if (permission.kind === 'refused') return { cannotOpen: this.#refusalText(permission) };
      return defined({ note: permission.note });
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      const source = this.#english.text(sourceKeyOf(error.source));
      const detail = this.#english.text('support.cause', { detail: error.message });
      return { cannotOpen: `${this.#english.text('support.unavailable.other', { source })} ${detail}` };
    }
  }

  /** An attempt at names of other domains is audited. */
  async #noteNotCovered({ staff, request }: StaffExchange, typed: string): Promise<void> {
    const facts = { path: request.path, why: 'domain' };
    await this.#deps.audit.record({ event: 'role-refused', ...who(staff), subject: typed.slice(0, 254), facts });
  }

  async #showUser(exchange: StaffExchange, typed: string, back?: Typed): Promise<void> {
    const { staff, frame, response } = exchange;
    const named = this.#coveredName(exchange, typed);
    const explained = named === undefined ? undefined : await this.#deps.users.explain(named);
    // An alias may lead to somebody of another domain.
    const user = explained?.user === undefined ? undefined : this.#coveredName(exchange, explained.user);
    if (explained === undefined || user === undefined) {
      await this.#noteNotCovered(exchange, typed);
      const problem = noSubject;
      return showPage(this.#deps.views, response, { ...frame, title: 'Users', status: 404 }, [
        'console-users',
        { typed, problem },
      ]);
    }
    await this.#deps.audit.record({
      event: 'role-used',
      ...who(staff),
      subject: user,
      facts: { did: 'looked at a user' },
    });
    const [permission, sessions, signIns, penalty] = await Promise.all([
      this.#mayOpen(exchange, user),
      this.#deps.users.sessions(user),
      this.#deps.users.signIns(user),
      this.#deps.users.penalty(user),
    ]);
    const values = {
      typed,
      explained,
      subject: user,
      ...permission,
      sessions: sessions.map(({ key, record, lastUseMs }) => ({
        device: deviceName(record.userAgent) ?? 'Unknown browser',
        address: record.clientAddress,
        sinceMs: record.createdAtMs,
        lastUseMs: Math.max(lastUseMs, record.createdAtMs),
        by: record.impersonation?.actor,
        isConsole: record.staff !== undefined,
        key,
      })),
      signIns,
      penalty,
      back,
    };
    const title = back === undefined ? user : this.#english.text('error.title', { title: user });
    const page = { ...frame, title, status: back === undefined ? 200 : 403 };
    showPage(this.#deps.views, response, page, ['console-users', values]);
  }

  async #lift({ staff, response, frame }: StaffExchange, subject: string): Promise<void> {
    await this.#deps.audit.record({ event: 'penalty-lifted', ...who(staff), subject });
    await this.#deps.users.liftPenalty(subject);
    showMessage(
      this.#deps.views,
      response,
      { ...frame, title: 'Delay removed' },
      `${subject} can sign in without delay.`,
    );
  }

  /** Ends one session of a user, who can sign in again. Sessions at the console are for operators to end. */
  async #end({ request, response, frame, staff, actor }: StaffExchange, subject: string): Promise<void> {
    const key = formField(request.body, 'session');
    const found = (await this.#deps.users.sessions(subject)).find((one) => one.key === key);
    const reason = typedReason(request.body);
    const page = (title: string, status: number) => ({ ...frame, title, status });
    if (reason === undefined)
      return showMessage(this.#deps.views, response, page('Nothing was changed', 400), noReason);
    if (found !== undefined && found.record.staff === undefined)
      await this.#deps.sessionControl.end([found], reason, { actor, address: staff.address });
    showMessage(this.#deps.views, response, page('Session ended', 200), `The session of ${subject} has ended.`);
  }

  async #open(exchange: StaffExchange, subject: string): Promise<void> {
    const { request, response, frame, gone } = exchange;
    const form = {
      reason: formField(request.body, 'reason') ?? '',
      ticket: formField(request.body, 'ticket') ?? '',
      minutes: Number(formField(request.body, 'minutes')),
    };
    const proven = await this.#prove(exchange, formField(request.body, 'code') ?? '');
    if (typeof proven === 'string')
      return this.#showUser(exchange, subject, { ...form, problem: proven, field: 'code' });
    const started = await this.#deps.impersonation.start(proven, { ...form, subject }, gone);
    if (started.kind === 'refused') {
      return this.#showUser(exchange, subject, { ...form, problem: this.#refusalText(started), ...fieldOf(started) });
    }
    // A form may lead only to our own origin, so staff follow a link to the other host themselves.
    const values = { link: started.link, subject, minutes: form.minutes };
    showPage(this.#deps.views, response, { ...frame, title: 'The mailbox is ready' }, ['console-link', values]);
  }

  /** Requires a current code each time. Returns the problem as a text if it is wrong. */
  async #prove({ staff, session }: StaffExchange, code: string): Promise<StaffMember | string> {
    const check = await this.#deps.factors.check(staff.user, code);
    if (check.kind !== 'right') {
      const facts = { step: 'fresh code', why: check.kind };
      await this.#deps.audit.record({ event: 'staff-refused', ...who(staff), facts });
      return codeProblem(check, this.#deps.clock.nowMs(), 'app');
    }
    const proven = await this.#deps.sessions.proveAnew(session);
    return proven === undefined
      ? 'Your session has ended in the meantime.'
      : { ...staff, provenAtMs: proven.provenAtMs };
  }
}

function fieldOf({ why }: RefusedOpening): { readonly field?: OpeningField } {
  if (why === 'unproven') return { field: 'code' };
  return why === 'reason' || why === 'ticket' || why === 'minutes' ? { field: why } : {};
}

const actions: ReadonlySet<string> = new Set(['open', 'lift', 'end', 'lock', 'unlock']);
const noReason = 'Ending a session needs a reason, of at most 500 characters.';
const noSubject = 'There is no such user, or your role does not cover the domain of this user.';

function who({ user, address }: StaffMember) {
  return { actor: user, address };
}
