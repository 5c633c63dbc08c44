import { type Audit, type AuditEvent, type AuditFacts, recordIfPossible } from '../core/audit.ts';
import type { Backend, BackendHost } from '../core/backend.ts';
import { type Clock, isRecent } from '../core/clock.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { Client, StaffGrant } from '../core/identity.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { Closure } from '../core/placement.ts';
import { oneLine } from '../core/text.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { type ImpersonationGrant, impersonationMinutes, type OneTimeLinks } from './one-time-links.ts';
import type { AskPermission, Permission, PermissionRefusal } from './permission.ts';
import type { StaffChecks, StaffMember } from './roles.ts';

/** The place where a user's mailbox is opened now. */
interface MailboxPlace {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

/** The mail server's answer to the master identity: `ok` means that it opened this user's mailbox, and no other. */
type MasterCheck = { readonly kind: 'ok' } | { readonly kind: 'refused'; readonly why: string };

/** Dependencies of createImpersonation. */
export interface ImpersonationDeps {
  readonly permission: AskPermission;
  readonly staffChecks: Pick<StaffChecks, 'grantOf' | 'isSignedIn'>;
  readonly links: Pick<OneTimeLinks, 'issue' | 'use'>;
  readonly audit: Pick<Audit, 'record'>;
  /**
   * The host where this user would be signed in, or why it is closed; undefined for a backend that is not configured.
   */
  readonly placeOf: (
    backend: BackendName,
    user: CanonicalUser,
  ) => MailboxPlace | { readonly closure: Closure } | undefined;
  /** Asks the mail server whether the master identity is let in for this user. */
  readonly checkMaster: (
    user: CanonicalUser,
    place: MailboxPlace,
    client: Client,
    signal: AbortSignal,
  ) => Promise<MasterCheck>;
  /** The public origin under which opened mailboxes are served. */
  readonly assistOrigin: string;
  readonly clock: Clock;
}

/** The console's form, unchecked. */
interface ImpersonationRequest {
  readonly subject: string;
  readonly reason: string;
  readonly ticket: string;
  readonly minutes: number;
}

/** `unproven`: the second factor must be shown again; `reason`, `ticket`, `minutes`: this field is invalid. */
type StartRefusal = PermissionRefusal | { readonly why: 'unproven' | 'reason' | 'ticket' | 'minutes' };

/** The result of a request to open a mailbox. */
export type StartOutcome =
  | {
      readonly kind: 'started' /** The link for the browser, valid for one use within a minute. */;
      readonly link: string;
    }
  | ({ readonly kind: 'refused' } & StartRefusal);

/** `dead`: the link is used, too old or forged; `off-duty`: the staff session or the role has ended. */
type OpenRefusal =
  | PermissionRefusal
  | { readonly why: 'dead' | 'off-duty' }
  | { readonly why: 'mail-server' | 'webmail'; readonly detail: string }
  | { readonly why: 'closed'; readonly closure: Closure };

/** A user's webmail that the master identity has entered for staff. */
export interface OpenedWebmail {
  readonly kind: 'opened';
  readonly grant: ImpersonationGrant;
  readonly backend: BackendName;
  readonly host: string;
  readonly jar: CookieJar;
  readonly landing: string;
  readonly browserCookies: readonly string[];
}

/** The result of following a one-time link. */
export type OpenOutcome = OpenedWebmail | ({ readonly kind: 'refused' } & OpenRefusal);

/** Opens users' mailboxes for staff. Each call rejects if directory, store, audit or mail server cannot be asked. */
export interface Impersonation {
  permission: AskPermission;
  /** Called by the console: checks the request, writes it to the audit, and creates a link. No audit, no link. */
  start(staff: StaffMember, request: ImpersonationRequest, signal: AbortSignal): Promise<StartOutcome>;
  /**
   * Called for a link: checks everything again, writes it to the audit, and enters the webmail by the master identity,
   * never with a password.
   */
  open(token: string, client: Client, signal: AbortSignal): Promise<OpenOutcome>;
  /** Writes to the audit that an impersonation failed after its start, and why. Never rejects. */
  failed(grant: ImpersonationGrant, client: Client, error: unknown): Promise<void>;
}

const provenForMs = 5 * 60_000;
const shortestReason = 10;
const longestReason = 500;
const longestTicket = 100;

/** Creates the impersonation. Its steps are permission, one-time link and webmail session, each with an audit line. */
export function createImpersonation(deps: ImpersonationDeps): Impersonation {
  return new StaffImpersonation(deps);
}

class StaffImpersonation implements Impersonation {
  readonly #deps: ImpersonationDeps;

  constructor(deps: ImpersonationDeps) {
    this.#deps = deps;
  }

  async start(staff: StaffMember, request: ImpersonationRequest, signal: AbortSignal): Promise<StartOutcome> {
    const asked = { ...request, reason: oneLine(request.reason), ticket: oneLine(request.ticket) };
    const facts = { reason: asked.reason, ticket: asked.ticket, minutes: asked.minutes };
    const who = { actor: staff.user, address: staff.address };
    const refuse = async (subject: string, refusal: StartRefusal): Promise<StartOutcome> => {
      await this.#deps.audit.record({
        event: 'impersonation-refused',
        ...who,
        subject,
        facts: { ...facts, why: refusal.why },
      });
      return { kind: 'refused', ...refusal };
    };
    const minutes = impersonationMinutes.find((known) => known === asked.minutes);
    const problem = this.#unfit(asked, staff);
    if (problem !== undefined) return refuse(asked.subject, problem);
    if (minutes === undefined) return refuse(asked.subject, { why: 'minutes' });
    const answer = await this.#deps.permission(staff, asked.subject, signal);
    if (answer.kind === 'refused') return refuse(asked.subject, answer);
    const { subject } = answer;
    // The line is synced first: an impersonation that the audit does not show must not happen.
    await this.#deps.audit.record({
      event: 'impersonation-start',
      ...who,
      subject,
      facts: { ...facts, backend: answer.backend },
    });
    const { reason, ticket } = asked;
    const token = await this.#deps.links.issue({
      actor: staff.user,
      staffSession: staff.session,
      subject,
      reason,
      ticket,
      minutes,
    });
    return { kind: 'started', link: `${this.#deps.assistOrigin}/-/assist/open?link=${token}` };
  }

  async open(token: string, client: Client, signal: AbortSignal): Promise<OpenOutcome> {
    const grant = await this.#deps.links.use(token);
    if (grant === undefined) return { kind: 'refused', why: 'dead' };
    try {
      return await this.#enter(grant, client, signal);
    } catch (error) {
      await this.failed(grant, client, signal.aborted ? signal.reason : error);
      const refusal = refusalIn(error);
      if (refusal === undefined) throw error;
      return { kind: 'refused', ...refusal };
    }
  }

  async failed(grant: ImpersonationGrant, client: Client, error: unknown): Promise<void> {
    await recordIfPossible(this.#deps.audit, {
      ...lineOf(grant, client),
      event: 'impersonation-failed',
      facts: factsOfFailure(error),
    });
  }

  get permission() {
    return this.#deps.permission;
  }

  #unfit({ reason, ticket }: ImpersonationRequest, staff: StaffMember): StartRefusal | undefined {
    if (!isRecent(staff.provenAtMs, provenForMs, this.#deps.clock.nowMs())) return { why: 'unproven' };
    if (reason.length < shortestReason || reason.length > longestReason) return { why: 'reason' };
    return ticket.length > longestTicket ? { why: 'ticket' } : undefined;
  }

  async #enter(grant: ImpersonationGrant, client: Client, signal: AbortSignal): Promise<OpenOutcome> {
    const refuse = async (refusal: OpenRefusal): Promise<OpenOutcome> => {
      await this.#deps.audit.record({
        ...lineOf(grant, client),
        event: 'impersonation-refused',
        facts: refusalFacts(refusal),
      });
      return { kind: 'refused', ...refusal };
    };
    const answer = await this.#permissionNow(grant, signal);
    if (answer.kind === 'refused') return refuse(answer);
    const place = this.#deps.placeOf(answer.backend, grant.subject);
    if (place === undefined) return refuse({ why: 'unknown-user' });
    if ('closure' in place) return refuse({ why: 'closed', closure: place.closure });
    const check = await this.#deps.checkMaster(grant.subject, place, client, signal);
    if (check.kind === 'refused') return refuse({ why: 'mail-server', detail: check.why });
    // The line has the address of this browser: the link may have been carried to another one.
    const facts = { backend: place.backend.name, host: place.host.name };
    await this.#deps.audit.record({ ...lineOf(grant, client), event: 'impersonation-opened', facts });
    const entered = await place.driver.signIn(place.host, this.#identityOf(grant, client), signal);
    if (entered.kind === 'rejected') {
      const refusal = { why: 'webmail', detail: 'the webmail did not let the master identity in' } as const;
      await recordIfPossible(this.#deps.audit, {
        ...lineOf(grant, client),
        event: 'impersonation-failed',
        facts: refusalFacts(refusal),
      });
      return { kind: 'refused', ...refusal };
    }
    const { jar, landing, browserCookies } = entered;
    return {
      kind: 'opened',
      grant,
      backend: place.backend.name,
      host: place.host.name,
      jar,
      landing,
      browserCookies,
    };
  }

  /** The present permission: rights may have been withdrawn since the link was created. */
  async #permissionNow(
    { actor, staffSession, subject }: ImpersonationGrant,
    signal: AbortSignal,
  ): Promise<Extract<Permission, { kind: 'allowed' }> | ({ kind: 'refused' } & OpenRefusal)> {
    const grant: StaffGrant | undefined = await this.#deps.staffChecks.grantOf(actor, signal);
    if (grant === undefined || !(await this.#deps.staffChecks.isSignedIn(staffSession)))
      return { kind: 'refused', why: 'off-duty' };
    return this.#deps.permission({ ...grant, user: actor }, subject, signal);
  }

  #identityOf({ actor, subject }: ImpersonationGrant, client: Client) {
    return {
      user: subject,
      password: undefined,
      client,
      timeZone: undefined,
      publicOrigin: this.#deps.assistOrigin,
      actor,
    };
  }
}

function lineOf(
  { actor, subject }: ImpersonationGrant,
  client: Client,
): Pick<AuditEvent, 'actor' | 'subject' | 'address'> {
  return { actor, subject, address: client.address };
}

function refusalFacts(refusal: OpenRefusal): { readonly why: string; readonly detail?: string } {
  return 'detail' in refusal ? { why: refusal.why, detail: refusal.detail } : { why: refusal.why };
}

function factsOfFailure(error: unknown): AuditFacts {
  if (error instanceof PosternError) return { why: error.source, detail: error.message };
  return isAbort(error) ? { why: 'the browser was gone' } : { why: 'a defect of the gateway' };
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** The refusal behind an error that a retry would repeat; undefined for others. Another try costs another code. */
function refusalIn(error: unknown): OpenRefusal | undefined {
  if (!(error instanceof PosternError) || error.retryable) return undefined;
  if (error.source === 'imap') return { why: 'mail-server', detail: error.message };
  return error.source === 'webmail' ? { why: 'webmail', detail: error.message } : undefined;
}
