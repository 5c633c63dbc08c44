import { formField, queryOf, seeOther } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { type ConsoleActor, typedReason } from './backends.ts';
import { bar } from './charts.ts';
import { showMessage, showPage, timeText } from './layout.ts';
import type { LiveStreams } from './live.ts';

/** A user's move as operators see it. */
export interface ShownMove {
  readonly user: string;
  readonly from: string;
  readonly to: string;
  readonly phase: string;
  readonly reason: string;
  readonly by: string;
  readonly startedAtMs: number;
  readonly phaseAtMs: number;
  /** What it means, and the remedy, in one sentence. */
  readonly explanation: string;
  /** `stop`: it has not begun, or not got far. `back`: it was carried out. */
  readonly offer: 'stop' | 'back' | undefined;
}

/** Moves of users between backends. */
export interface ConsoleMoves {
  /** Those that go on first, then the latest. */
  all(): readonly ShownMove[];
  /** Stops a move, or begins the way back, after its audit line. Resolves with what stands in the way, if anything does. */
  stop(user: string, reason: string, by: ConsoleActor): Promise<string | undefined>;
  back(user: string, reason: string, by: ConsoleActor): Promise<string | undefined>;
}

const movesShown = 300;

/**
 * `/-/moves`: how far the moves of users are, stopping one, and moving a user back. `/-/moves/live`: the same as a
 * stream, for the script of its page.
 */
export function createConsoleMoves({
  moves,
  views,
  streams,
}: {
  readonly moves: ConsoleMoves;
  readonly views: Views;
  readonly streams: LiveStreams;
}): Readonly<Record<'show' | 'follow' | 'submit', StaffHandler>> {
  const locale = views.locales.choose('en', undefined);
  return {
    show(exchange: StaffExchange): void {
      const { request, response, frame } = exchange;
      const values = { ...moveValues(moves, exchange), did: didTexts[queryOf(request.url).get('did') ?? ''] };
      showPage(views, response, { ...frame, title: 'Moves', isLive: true }, ['console-moves', values]);
    },

    follow(exchange: StaffExchange): void {
      streams.begin(exchange, async () => {
        const values = { ...moveValues(moves, exchange), time: timeText };
        const frame = { locale, title: '' };
        return {
          rows: views.render('console-moves-rows', frame, values),
          strip: views.render('console-moves-strip', frame, values),
        };
      });
    },

    async submit({ request, response, frame, staff, actor }: StaffExchange): Promise<void> {
      const { body } = request;
      const by = { actor, address: staff.address };
      const [stopped, back] = [formField(body, 'stop'), formField(body, 'back')];
      const reason = typedReason(body);
      const problem =
        reason === undefined
          ? 'Stopping a move, or moving back, needs a reason, of at most 500 characters.'
          : stopped !== undefined
            ? await moves.stop(stopped, reason, by)
            : await moves.back(back ?? '', reason, by);
      if (problem === undefined) return seeOther(response, `/-/moves?did=${stopped === undefined ? 'back' : 'stop'}`);
      showMessage(views, response, { ...frame, title: 'Nothing was changed', status: 400 }, problem);
    },
  };
}

/** The moves that the address of a page asks for, and the sums of all. */
function moveValues(moves: ConsoleMoves, { request, staff }: StaffExchange) {
  const query = queryOf(request.url);
  const sought = (query.get('user') ?? '').trim().toLowerCase().slice(0, 254);
  const phase = (query.get('phase') ?? '').slice(0, 20);
  const all = moves.all();
  const found = all.filter((move) => move.user.includes(sought) && (phase === '' || move.phase === phase));
  const phases = [...Map.groupBy(all, (move) => move.phase)].map(([name, some]) => ({ name, count: some.length }));
  const done = phases.find(({ name }) => name === 'done')?.count ?? 0;
  return {
    sought,
    phase,
    phases,
    done,
    total: all.length,
    progress: bar(done, all.length),
    rows: found.slice(0, movesShown),
    isCut: found.length > movesShown,
    mayAct: staff.roles.includes('operator'),
    stream: `/-/moves/live?${new URLSearchParams({ user: sought, phase }).toString()}`,
  };
}

const didTexts: Readonly<Record<string, string>> = {
  stop: 'The move was stopped.',
  back: 'The way back has begun; this page shows how far it is.',
};
