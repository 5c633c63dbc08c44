import { formField, seeOther } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { showMessage, showPage } from './layout.ts';

/** A backend as operators see it. */
interface ConsoleBackend {
  readonly name: string;
  readonly hosts: readonly {
    readonly name: string;
    readonly state: string;
    readonly serves: boolean;
    readonly sessions: number;
    /** The reason, if it is down. */
    readonly why?: string;
  }[];
  readonly set?: { readonly state: string; readonly reason: string; readonly by: string; readonly sinceMs: number };
}

/** Backends as the console sees and changes them. */
export interface ConsoleBackends {
  all(): readonly ConsoleBackend[];
  /**
   * As the operators' API does it, with its audit line; `unknown` for an unknown backend or state. Rejects when the
   * store cannot take it.
   */
  set(
    name: string,
    state: string,
    reason: string,
    by: { readonly actor: string; readonly address: string },
  ): Promise<'set' | 'unknown'>;
}

/** `/-/backends`: their states, and setting them. */
export function createConsoleBackends(deps: {
  readonly backends: ConsoleBackends;
  readonly views: Views;
}): Readonly<Record<'show' | 'submit', StaffHandler>> {
  const { backends, views } = deps;
  return {
    show({ frame, response }: StaffExchange): void {
      const values = { backends: backends.all() };
      showPage(views, response, { ...frame, title: 'Backends' }, ['console-backends', values]);
    },

    async submit({ request, response, frame, staff }: StaffExchange): Promise<void> {
      const name = formField(request.body, 'backend') ?? '';
      const state = formField(request.body, 'state') ?? '';
      const reason = (formField(request.body, 'reason') ?? '').replace(/\p{C}+/gu, ' ').trim();
      const refuse = (text: string) =>
        showMessage(views, response, { ...frame, title: 'Nothing was changed', status: 400 }, text);
      if (reason === '' || reason.length > 500)
        return refuse('Every change needs a reason, of at most 500 characters.');
      if ((await backends.set(name, state, reason, { actor: staff.user, address: staff.address })) === 'unknown') {
        return refuse('There is no such backend, or no such state.');
      }
      seeOther(response, '/-/backends');
    },
  };
}
