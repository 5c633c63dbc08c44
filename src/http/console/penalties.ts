import { defined } from '../../core/objects.ts';
import { formField, queryOf, seeOther } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { type ConsoleActor, typedReason } from './backends.ts';
import { showMessage, showPage } from './layout.ts';

/** A penalty of a user, a network, or a user from one network. */
interface ShownPenalty {
  readonly user?: string;
  readonly network?: string;
  readonly refusals: number;
  readonly delayMs: number;
  readonly atMs: number;
  /** How long it still lasts, in milliseconds. */
  readonly leftMs: number;
}

interface PenaltySelection {
  readonly user?: string;
  /** A network in CIDR form, or an address. */
  readonly network?: string;
}

/** The penalties in force on all nodes. Each call rejects if the store cannot be asked. */
export interface ConsolePenalties {
  /** The latest first. None for texts that can be no user or no network. */
  list(selection: PenaltySelection, most: number): Promise<readonly ShownPenalty[]>;
  /** Lifts what matches, after its audit line; resolves with how many. */
  lift(selection: PenaltySelection, reason: string, by: ConsoleActor): Promise<number>;
}

const penaltiesShown = 300;

/** `/-/penalties`: whose sign-ins are slowed down after wrong passwords, and lifting that. */
export function createConsolePenalties({
  penalties,
  views,
}: {
  readonly penalties: ConsolePenalties;
  readonly views: Views;
}): Readonly<Record<'show' | 'submit', StaffHandler>> {
  return {
    async show({ request, response, frame, staff }: StaffExchange): Promise<void> {
      const query = queryOf(request.url);
      const selection = selectionIn(query);
      const found = await penalties.list(selection, penaltiesShown + 1);
      const values = {
        selection,
        rows: found.slice(0, penaltiesShown),
        isCut: found.length > penaltiesShown,
        mayAct: staff.roles.includes('operator'),
        lifted: /^\d{1,5}$/.exec(query.get('lifted') ?? '')?.[0],
      };
      showPage(views, response, { ...frame, title: 'Penalties' }, ['console-penalties', values]);
    },

    async submit({ request, response, frame, staff, actor }: StaffExchange): Promise<void> {
      const { body } = request;
      // The button carries both, as the row that it stands in.
      const selection = selectionIn(new URLSearchParams(formField(body, 'lift') ?? ''));
      const reason = typedReason(body);
      if (reason === undefined || (selection.user ?? selection.network) === undefined) {
        const text = 'Lifting a penalty needs a reason, of at most 500 characters. Nothing was changed.';
        return showMessage(views, response, { ...frame, title: 'Nothing was changed', status: 400 }, text);
      }
      const lifted = await penalties.lift(selection, reason, { actor, address: staff.address });
      seeOther(response, `/-/penalties?lifted=${lifted}`);
    },
  };
}

function selectionIn(query: URLSearchParams): PenaltySelection {
  const text = (name: string) => (query.get(name) ?? '').trim().slice(0, 254) || undefined;
  return defined({ user: text('user'), network: text('network') });
}
