import type { RecordKey } from '../../core/session.ts';
import { formField } from '../forms.ts';
import { seeOther } from '../redirects.ts';
import type { Views } from '../views.ts';
import type { Visit, VisitWork } from './authorisation.ts';
import { showPage } from './layout.ts';

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
}

/** `/-/opened`: what a member of staff has open, in whatever browser, and the end of it. */
export function createConsoleOpened({
  impersonation,
  views,
}: ConsoleOpenedDeps): Readonly<Record<'show' | 'stop', VisitWork>> {
  return {
    show({ staff, frame, response }: Visit): void {
      const opened = impersonation.openedBy(staff.user);
      showPage(views, response, { ...frame, title: 'Opened mailboxes' }, ['console-opened', { opened }]);
    },

    async stop({ staff, request, response }: Visit): Promise<void> {
      const wanted = formField(request.body, 'stop');
      const found = impersonation.openedBy(staff.user).find(({ session }) => session === wanted);
      if (found !== undefined) await impersonation.stop(found.session);
      seeOther(response, '/-/opened');
    },
  };
}
