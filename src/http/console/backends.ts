import { type Clock, momentNamed } from '../../core/clock.ts';
import { defined } from '../../core/objects.ts';
import type { Closure } from '../../core/placement.ts';
import { formField, queryParameter, seeOther } from '../forms.ts';
import { closureText } from '../gateway-answers.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import {
  agoText,
  sortedTable,
  type ShownBackend,
  type ShownHost,
  type ShownSetState,
  type TableQuery,
  tableHeads,
  tableQueryOf,
  tableQueryText,
} from './backend-table.ts';
import { endText, showMessage, showPage } from './layout.ts';

/** The member of staff who acts, as the audit names them. */
export interface ConsoleActor {
  readonly actor: string;
  readonly address: string;
}

/** The state that an operator wants. */
export type WantedState = Omit<ShownSetState, 'by' | 'sinceMs'> & { readonly state: 'READY' | 'DRAIN' | 'MAINT' };

/** Who is met when a backend, or one host of it, closes. */
interface PeopleMet {
  readonly sessions: number;
  readonly people: number;
  /** Whether all sessions were counted; otherwise there are more. */
  readonly isWhole: boolean;
}

/** Backends as the console sees and changes them. Every change is audited first, and rejects if that fails. */
export interface ConsoleBackends {
  /** Every backend. Without the reports of the nodes, figures are left out. */
  all(): Promise<readonly ShownBackend[]>;
  /** Rejects if the store cannot be asked. */
  peopleOn(backend: string, host?: string): Promise<PeopleMet>;
  /** Sets the state of a backend, or of one host of it. */
  set(backend: string, host: string | undefined, wanted: WantedState, by: ConsoleActor): Promise<void>;
  /** Makes a host serve in the place of the one that does. */
  activate(backend: string, host: string, reason: string, by: ConsoleActor): Promise<void>;
}

/** Dependencies of the pages about backends. */
export interface ConsoleBackendsDeps {
  readonly backends: ConsoleBackends;
  readonly views: Views;
  readonly clock: Clock;
}

/** `/-/backends`, the table of all, and `/-/backend?name=…`: one with its hosts, and what can be done. */
export function createConsoleBackends(
  deps: ConsoleBackendsDeps,
): Readonly<Record<'showAll' | 'showOne' | 'submit', StaffHandler>> {
  const pages = new BackendPages(deps);
  return {
    showAll: (exchange) => pages.showAll(exchange),
    showOne: (exchange) => pages.showOne(exchange),
    submit: (exchange) => pages.submit(exchange),
  };
}

/** The values of the table, on the page and in its stream. */
export async function backendTableValues({ backends, clock }: ConsoleBackendsDeps, query: TableQuery) {
  const all = await backends.all();
  const isComplete = all.every(({ traffic }) => traffic !== undefined);
  return { table: sortedTable(all, query, clock.nowMs()), isComplete };
}

class BackendPages {
  readonly #deps: ConsoleBackendsDeps;

  constructor(deps: ConsoleBackendsDeps) {
    this.#deps = deps;
  }

  async showAll({ request, response, frame }: StaffExchange): Promise<void> {
    const query = tableQueryOf(request.url);
    const groups = ([undefined, 'state', 'prefix'] as const).map((group) => ({
      label: group === undefined ? 'None' : group === 'state' ? 'State' : 'Name',
      href: `/-/backends${tableQueryText({ ...query, group })}`,
      isChosen: group === query.group,
    }));
    const values = {
      ...(await backendTableValues(this.#deps, query)),
      query,
      heads: tableHeads(query),
      groups,
      everyState: `/-/backends${tableQueryText({ ...query, state: undefined })}`,
      stream: `/-/backends/live${tableQueryText(query)}`,
    };
    showPage(this.#deps.views, response, { ...frame, title: 'Backends', isLive: true }, ['console-backends', values]);
  }

  async showOne(exchange: StaffExchange): Promise<void> {
    const name = queryParameter(exchange.request.url, 'name') ?? '';
    const backend = await this.#named(name);
    if (backend === undefined) return this.#refuse(exchange, `There is no backend "${name.slice(0, 100)}".`, 404);
    this.#show(exchange, backend);
  }

  async submit(exchange: StaffExchange): Promise<void> {
    const { body } = exchange.request;
    const backend = await this.#named(formField(body, 'backend') ?? '');
    if (backend === undefined) return this.#refuse(exchange, 'There is no such backend. Nothing was changed.', 400);
    const hostName = formField(body, 'host') ?? '';
    const host = backend.hosts.find((one) => one.name === hostName);
    if (host === undefined && hostName !== '')
      return this.#refuse(exchange, `${backend.name} has no such host. Nothing was changed.`, 400);
    const by = { actor: exchange.actor, address: exchange.staff.address };
    if (formField(body, 'do') === 'activate') {
      const reason = typedReason(body);
      if (host === undefined || reason === undefined || backend.arrangement !== 'standby')
        return this.#show(exchange, backend, host === undefined ? 'Choose a host.' : reasonNeeded);
      await this.#deps.backends.activate(backend.name, host.name, reason, by);
      return this.#done(exchange, backend.name, 'active');
    }
    const drainsPartly = host === undefined ? backend.drainsPartly : backend.arrangement === 'pool';
    const wanted = wantedIn(body, this.#tags(), drainsPartly, this.#deps.clock.nowMs());
    if (typeof wanted === 'string') return this.#show(exchange, backend, wanted);
    if (wanted.state === 'MAINT' && formField(body, 'sure') !== 'yes')
      return this.#ask(exchange, backend, host, wanted);
    await this.#deps.backends.set(backend.name, host?.name, wanted, by);
    this.#done(exchange, backend.name, wanted.state);
  }

  async #named(name: string): Promise<ShownBackend | undefined> {
    return (await this.#deps.backends.all()).find((backend) => backend.name === name);
  }

  #tags(): readonly string[] {
    return this.#deps.views.locales.all.map(({ tag }) => tag);
  }

  /** Shows one backend; with a problem, what was typed stands in its form again. */
  #show({ request, response, frame, staff }: StaffExchange, backend: ShownBackend, problem?: string): void {
    const nowMs = this.#deps.clock.nowMs();
    const isTyped = problem !== undefined;
    const typed = (name: string) => (isTyped ? formField(request.body, name) : undefined);
    const done = isTyped ? undefined : doneTexts[queryParameter(request.url, 'done') ?? ''];
    const values = {
      backend,
      mayAct: staff.roles.includes('operator'),
      languages: this.#deps.views.locales.all.map(({ tag, label }) => ({ tag, label })),
      problem,
      done,
      typed,
      end: endText(nowMs),
      ago: (ms: number | undefined) => (ms === undefined ? '–' : `${agoText(nowMs - ms)} ago`),
      fieldTime: (ms: number | undefined) => (ms === undefined ? '' : new Date(ms).toISOString().slice(0, 16)),
    };
    const title = isTyped ? `Error: ${backend.name}` : backend.name;
    showPage(this.#deps.views, response, { ...frame, title, status: isTyped ? 400 : 200 }, ['console-backend', values]);
  }

  /** Asks once more before users are kept out: how many there are, and what they will read. */
  async #ask(
    { request, response, frame }: StaffExchange,
    backend: ShownBackend,
    host: ShownHost | undefined,
    wanted: WantedState,
  ): Promise<void> {
    const met = await this.#deps.backends.peopleOn(backend.name, host?.name);
    const fields = [...(request.body instanceof URLSearchParams ? request.body : [])].filter(
      ([name]) => name !== 'token' && name !== 'sure',
    );
    const words = this.#deps.views.locales.all.map((locale) => {
      const { untilMs, texts } = wanted;
      const nowMs = this.#deps.clock.nowMs();
      const closure: Closure = {
        kind: 'maintenance',
        backend: backend.name,
        sinceMs: nowMs,
        ...defined({ untilMs }),
        texts,
      };
      const said = (as: 'user' | 'visitor') => closureText(locale, closure, { as, timeZone: undefined, nowMs });
      return { label: locale.label, tag: locale.tag, user: said('user'), visitor: said('visitor') };
    });
    const values = { backend, host, met, fields, words };
    const title = `Maintenance of ${host?.name ?? backend.name}`;
    showPage(this.#deps.views, response, { ...frame, title }, ['console-maintenance', values]);
  }

  #done({ response }: StaffExchange, name: string, what: string): void {
    seeOther(response, `/-/backend?${new URLSearchParams({ name, done: what }).toString()}`);
  }

  #refuse({ response, frame }: StaffExchange, text: string, status: 400 | 404): void {
    showMessage(this.#deps.views, response, { ...frame, title: 'Nothing was changed', status }, text);
  }
}

const doneTexts: Readonly<Record<string, string>> = {
  READY: 'The state was set to ready.',
  DRAIN: 'The state was set to drain.',
  MAINT: 'The state was set to maintenance.',
  active: 'The active host was changed.',
};

const reasonNeeded = 'Every change needs a reason, of at most 500 characters.';

/** The reason of a form as one line; undefined without one, or if it is too long. */
export function typedReason(body: unknown): string | undefined {
  const reason = (formField(body, 'reason') ?? '').replace(/\p{C}+/gu, ' ').trim();
  return reason === '' || reason.length > 500 ? undefined : reason;
}

/** The state that a form asks for, or what is wrong with the form. */
function wantedIn(
  body: unknown,
  languages: readonly string[],
  drainsPartly: boolean,
  nowMs: number,
): WantedState | string {
  const state = formField(body, 'state');
  if (state !== 'READY' && state !== 'DRAIN' && state !== 'MAINT') return 'Choose one of ready, drain and maintenance.';
  const reason = typedReason(body);
  if (reason === undefined) return reasonNeeded;
  const typedUntil = (formField(body, 'until') ?? '').trim();
  const untilMs = typedUntil === '' ? undefined : momentNamed(typedUntil);
  if (untilMs !== undefined && Number.isNaN(untilMs))
    return 'The end is not a time. Write it in UTC, such as 2030-01-31T06:00.';
  if (untilMs !== undefined && untilMs <= nowMs) return 'The end lies in the past. Name a time to come, in UTC.';
  const typedPercent = (formField(body, 'percent') ?? '').trim();
  const percent = state !== 'DRAIN' || typedPercent === '' || typedPercent === '100' ? undefined : Number(typedPercent);
  if (percent !== undefined && !(percent > 0 && percent <= 100)) return 'Percent is not a number above 0, up to 100.';
  if (percent !== undefined && !drainsPartly)
    return 'A part of the users can be turned away only where they can go elsewhere: at a host among equals, or with shared storage.';
  const texts = languages.flatMap((tag) => {
    const text = (formField(body, `text-${tag}`) ?? '').replace(/\p{C}+/gu, ' ').trim();
    return text === '' ? [] : [[tag, text] as const];
  });
  if (texts.some(([, text]) => text.length > 500)) return 'A text for users has at most 500 characters.';
  return { state, reason, texts: Object.fromEntries(texts), ...defined({ untilMs, percent }) };
}
