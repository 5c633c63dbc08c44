import type { Audit } from '../../core/audit.ts';
import type { Clock } from '../../core/clock.ts';
import { qrPicture, type SecondFactors, totpAddress } from '../../support/second-factor.ts';
import { staffCookieLine, type StaffSessions } from '../../support/staff-sessions.ts';
import { formField, seeOther } from '../forms.ts';
import { ingressOf } from '../request-context.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { showPage } from './layout.ts';

/** Dependencies of the page of the second factor. */
export interface ConsoleFactorDeps {
  readonly factors: SecondFactors;
  readonly sessions: StaffSessions;
  readonly audit: Pick<Audit, 'record'>;
  readonly views: Views;
  /** The name of this service in an authenticator app. */
  readonly serviceName: string;
  readonly clock: Clock;
}

type RefusedCode = Exclude<Awaited<ReturnType<SecondFactors['check']>>, { kind: 'right' }>;

/** `/-/factor` and `/-/enrol`: the second step of a sign-in, and its enrolment. */
export function createConsoleFactor(
  deps: ConsoleFactorDeps,
): Readonly<Record<'show' | 'submit' | 'showEnrol' | 'submitEnrol', StaffHandler>> {
  const { factors, sessions, audit, views, clock } = deps;

  async function refused(
    exchange: StaffExchange,
    refusal: RefusedCode,
    step: 'second factor' | 'one-time code' | 'first code',
  ) {
    await audit.record({ event: 'staff-refused', ...whoOf(exchange), facts: { step, why: refusal.kind } });
    return codeProblem(refusal, clock.nowMs(), step === 'one-time code' ? 'operator' : 'app');
  }

  async function stepUp({ session, request, response }: StaffExchange): Promise<void> {
    const { cookie } = await sessions.stepUp(session, ingressOf(request).requestId);
    response.appendHeader('Set-Cookie', staffCookieLine(cookie, ingressOf(request).publicUrl.secure));
  }

  function showFactor({ frame, response }: StaffExchange, problem?: string): void {
    const page = { ...frame, title: 'Second factor', status: problem === undefined ? 200 : 403 };
    showPage(views, response, page, ['console-factor', { problem }]);
  }

  function showEnrol(exchange: StaffExchange, problem?: string): void {
    const { frame, response, session, staff } = exchange;
    const key = factors.offered(staff.user, session.key);
    const offer =
      key === undefined
        ? undefined
        : {
            picture: qrPicture(totpAddress(key, deps.serviceName, staff.user)),
            key: key.reveal().replace(/.{4}(?=.)/g, '$& '),
          };
    const isInvited = factors.stateOf(staff.user) === 'invited';
    const page = { ...frame, title: 'Set up the second factor', status: problem === undefined ? 200 : 403 };
    showPage(views, response, page, ['console-enrol', { problem, offer, isInvited }]);
  }

  return {
    show(exchange: StaffExchange): void {
      if (factors.stateOf(exchange.staff.user) === 'enrolled') showFactor(exchange);
      else seeOther(exchange.response, '/-/enrol');
    },

    async submit(exchange: StaffExchange): Promise<void> {
      const { staff, request, response } = exchange;
      const check = await factors.check(staff.user, formField(request.body, 'code') ?? '');
      if (check.kind !== 'right') return showFactor(exchange, await refused(exchange, check, 'second factor'));
      const facts = { by: check.by, recovery_left: check.recoveryLeft, roles: staff.roles.join(' ') };
      await audit.record({ event: 'staff-sign-in', ...whoOf(exchange), facts });
      await stepUp(exchange);
      seeOther(response, '/-/');
    },

    showEnrol(exchange: StaffExchange): void {
      if (factors.stateOf(exchange.staff.user) === 'enrolled') seeOther(exchange.response, '/-/factor');
      else showEnrol(exchange);
    },

    /** The one-time code first; then the first code of the app. */
    async submitEnrol(exchange: StaffExchange): Promise<void> {
      const { staff, session, request, response, frame } = exchange;
      if (factors.stateOf(staff.user) === 'enrolled') return seeOther(response, '/-/factor');
      const invitation = formField(request.body, 'invitation');
      if (invitation !== undefined) {
        const accepted = await factors.accept(staff.user, session.key, invitation);
        if (accepted.kind !== 'right') return showEnrol(exchange, await refused(exchange, accepted, 'one-time code'));
        return seeOther(response, '/-/enrol');
      }
      const confirmed = await factors.confirm(staff.user, session.key, formField(request.body, 'code') ?? '');
      if (confirmed.kind !== 'right') return showEnrol(exchange, await refused(exchange, confirmed, 'first code'));
      await audit.record({ event: 'staff-enrolled', ...whoOf(exchange) });
      await audit.record({ event: 'staff-sign-in', ...whoOf(exchange), facts: { by: 'enrolment' } });
      await stepUp(exchange);
      const page = { ...frame, title: 'Your recovery codes' };
      showPage(views, response, page, ['console-recovery', { codes: confirmed.recovery }]);
    },
  };
}

/** The message for a code that did not count. `from`: who made the code, which decides the remedy. */
export function codeProblem(refusal: RefusedCode, nowMs: number, from: 'app' | 'operator'): string {
  switch (refusal.kind) {
    case 'wrong':
      return from === 'operator'
        ? 'This one-time code is wrong or no longer valid. Ask the operator for a new one.'
        : 'This code is wrong. Enter the code that your app shows now. If that fails, check the clock of your phone.';
    case 'used':
      return 'This code has been used, as at your sign-in: each is good once. Your app shows the next one within 30 s.';
    case 'locked': {
      const minutes = Math.max(1, Math.ceil((refusal.untilMs - nowMs) / 60_000));
      return `Too many wrong codes. Try again in ${minutes} min.`;
    }
    default:
      return refusal satisfies never;
  }
}

function whoOf({ staff }: StaffExchange) {
  return { actor: staff.user, address: staff.address };
}
