import type { Clock } from '../../core/clock.ts';
import { isRecordKey, type RecordKey, shortSessionId } from '../../core/names.ts';
import { defined } from '../../core/objects.ts';
import { type ListedSession, mayFilterEnd, sessionKind } from '../../core/session.ts';
import { deviceName } from '../../core/text.ts';
import { formField, queryOf, seeOther } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { type ConsoleActor, typedReason } from './backends.ts';
import { endText, showMessage, showPage } from './layout.ts';

/** Selects sessions: one must match every field that is given. */
interface ConsoleSessionFilter {
  /** As it was typed. */
  readonly user?: string;
  readonly backend?: string;
  readonly address?: string;
  readonly kind?: string;
}

/** The sessions of all nodes. Each call rejects if the store cannot be asked. */
export interface ConsoleSessions {
  /** The matching sessions, at most `most`, the newest first; none for a user name that cannot be one. */
  list(filter: ConsoleSessionFilter, most: number): Promise<readonly ListedSession[]>;
  /** The living session of this name; undefined if there is none. */
  named(key: RecordKey): Promise<ListedSession | undefined>;
  /** Ends sessions on all nodes. Each user is audited first; rejects if that fails. */
  end(sessions: readonly ListedSession[], reason: string, by: ConsoleActor): Promise<void>;
}

const filterNames = ['user', 'backend', 'address', 'kind'] as const;
const sessionsShown = 200;
const endedAtOnce = 1_000;
const needsReason = 'Ending a session needs a reason, of at most 500 characters. Nothing was changed.';

/** `/-/sessions`: who is signed in, on all nodes, and ending that. */
export function createConsoleSessions({
  sessions,
  views,
  clock,
}: {
  readonly sessions: ConsoleSessions;
  readonly views: Views;
  readonly clock: Clock;
}): Readonly<Record<'show' | 'submit', StaffHandler>> {
  async function endOne({ request, staff, actor }: StaffExchange, reason: string): Promise<number> {
    const key = formField(request.body, 'end') ?? '';
    const session = isRecordKey(key) ? await sessions.named(key) : undefined;
    if (session === undefined) return 0;
    await sessions.end([session], reason, { actor, address: staff.address });
    return 1;
  }

  return {
    async show({ request, response, frame, staff }: StaffExchange): Promise<void> {
      const query = queryOf(request.url);
      const filter = typedFilter(query);
      // One more than shown tells whether there are more.
      const found = await sessions.list(filter, sessionsShown + 1);
      const values = {
        filter,
        end: endText(clock.nowMs()),
        kinds: ['user', 'console', 'opened'],
        mayAct: staff.roles.includes('operator'),
        rows: found.slice(0, sessionsShown).map(sessionRow),
        isCut: found.length > sessionsShown,
        hasFilter: Object.keys(filter).length > 0,
        ended: /^\d{1,5}$/.exec(query.get('ended') ?? '')?.[0],
      };
      showPage(views, response, { ...frame, title: 'Sessions' }, ['console-sessions', values]);
    },

    async submit(exchange: StaffExchange): Promise<void> {
      const { request, response, frame, staff, actor } = exchange;
      const { body } = request;
      const filter = typedFilter(body instanceof URLSearchParams ? body : new URLSearchParams());
      const refuse = (text: string) =>
        showMessage(views, response, { ...frame, title: 'Nothing was changed', status: 400 }, text);
      const reason = typedReason(body);
      if (reason === undefined) return refuse(needsReason);
      const done = (count: number) => seeOther(response, `/-/sessions?${filterText(filter, { ended: String(count) })}`);
      if (formField(body, 'all') === undefined) return done(await endOne(exchange, reason));
      if (Object.keys(filter).length === 0)
        return refuse('Ending all sessions of everybody is not offered: filter first.');
      const listed = await sessions.list(filter, endedAtOnce);
      const { backend, kind } = filter;
      const found = listed.filter(({ record }) => mayFilterEnd({ backend, host: undefined, kind }, record));
      if (formField(body, 'sure') !== 'yes') {
        const people = new Set(found.map(({ record }) => record.user)).size;
        const values = { filter, reason, people, count: found.length, isCut: listed.length === endedAtOnce };
        return showPage(views, response, { ...frame, title: 'End sessions' }, ['console-sessions-end', values]);
      }
      await sessions.end(found, reason, { actor, address: staff.address });
      done(found.length);
    },
  };
}

function typedFilter(query: URLSearchParams): ConsoleSessionFilter {
  const texts = filterNames.map((name) => [name, (query.get(name) ?? '').trim().slice(0, 254)] as const);
  return Object.fromEntries(texts.filter(([, text]) => text !== ''));
}

function filterText(filter: ConsoleSessionFilter, more: Readonly<Record<string, string>>): string {
  return new URLSearchParams({ ...defined(filter), ...more }).toString();
}

function sessionRow({ key, record, lastUseMs }: ListedSession) {
  return {
    key,
    id: shortSessionId(key),
    user: record.user,
    kind: sessionKind(record),
    ...defined({ openedBy: record.impersonation?.actor }),
    backend: record.backend,
    host: record.host,
    address: record.clientAddress,
    device: deviceName(record.userAgent) ?? 'Unknown browser',
    sinceMs: record.createdAtMs,
    lastUseMs: Math.max(lastUseMs, record.createdAtMs),
    untilMs: record.absoluteEndMs,
  };
}
