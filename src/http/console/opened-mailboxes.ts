import type { Clock } from '../../core/clock.ts';
import { includesRole } from '../../core/identity.ts';
import type { RecordKey } from '../../core/names.ts';
import { formField, seeOther } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { endText, showPage } from './layout.ts';

/** Mailboxes that are open now. */
interface ConsoleOpenMailboxes {
  /** The open ones of a member of staff. */
  openedBy(actor: string): readonly {
    readonly session: RecordKey;
    readonly subject: string;
    readonly reason: string;
    readonly ticket: string;
    readonly untilMs: number;
  }[];
  stop(session: RecordKey): Promise<void>;
}

/** Dependencies of the page of opened mailboxes. */
export interface ConsoleOpenedDeps {
  readonly impersonation: ConsoleOpenMailboxes;
  readonly views: Views;
  readonly clock: Clock;
}

/** `/-/opened`: the mailboxes that a member of staff has open in any browser, with a button to end each. */
export function createConsoleOpened({
  impersonation,
  views,
  clock,
}: ConsoleOpenedDeps): Readonly<Record<'show' | 'stop', StaffHandler>> {
  return {
    show({ staff, frame, response }: StaffExchange): void {
      const values = {
        opened: impersonation.openedBy(staff.user),
        mayListSessions: includesRole(staff.roles, 'viewer'),
        end: endText(clock.nowMs()),
      };
      showPage(views, response, { ...frame, title: 'Opened mailboxes' }, ['console-opened', values]);
    },

    async stop({ staff, request, response }: StaffExchange): Promise<void> {
      const wanted = formField(request.body, 'stop');
      const found = impersonation.openedBy(staff.user).find(({ session }) => session === wanted);
      if (found !== undefined) await impersonation.stop(found.session);
      seeOther(response, '/-/opened');
    },
  };
}
