import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import {
  type EndedLogin,
  type CountedOutcome,
  countField,
  hourMs,
  longestWaitMs,
  otherValue,
  type StatisticsBatch,
  type WayIn,
} from '../../core/statistics.ts';
import { browserFamilies } from '../../core/text.ts';
import { notErased } from './erasures.ts';

/** Dependencies of a collector. */
interface CollectorDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** A name that no other process has. */
  readonly process: string;
  /** Counts what has been noted elsewhere; called before each batch. */
  readonly collect: () => void;
  /**
   * Stores a batch. Resolves with a text that changes with each erasure. Rejects if the store cannot be asked; then the
   * same batch is stored again.
   */
  readonly store: (batch: StatisticsBatch) => Promise<string>;
  readonly settings: () => { readonly enabled: boolean; readonly lastLogins: boolean; readonly flushMs: number };
}

/** The most counts, and the most users of a set or with a last sign-in, that wait for the store. */
const mostWaiting = 50_000;
/** The most domains of one batch. */
const mostDomains = 1_000;
/** The most users of programs whose hour is remembered. */
const mostNoted = 100_000;
const months = 7;

/**
 * Counts in memory what signs in, and hands it to the store by a timer: no sign-in waits for that, and none fails with
 * it. While the store does not answer, the counts wait, up to a bound.
 */
export class StatisticsCollector implements AsyncDisposable {
  readonly #deps: CollectorDeps;
  #waiting: WaitingCounts;
  /** The batch that is being stored, or is to be stored again. */
  #sent: StatisticsBatch | undefined;
  #sequence = 0;
  #failedAtMs: number | undefined;
  #dropped = 0;
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isDisposed = false;
  /** The hour in which a program or a mail route of a user was last noted: they come once a minute. */
  readonly #noted = new Map<string, number>();
  /** Changes when users were erased. */
  #erasures = '';

  constructor(deps: CollectorDeps) {
    this.#deps = deps;
    this.#waiting = new WaitingCounts(deps.clock.nowMs());
    this.#plan();
  }

  /** Counts an attempt that has ended. */
  count(login: EndedLogin): void {
    if (!this.#deps.settings().enabled) return;
    const outcome = outcomeOf(login);
    this.#note(() => this.#waiting.addLogin(login, outcome, login.atMs));
    const { user, way, atMs } = login;
    if (user !== undefined && (outcome === 'signed_in' || outcome === 'program_accepted')) this.#seen(user, way, atMs);
  }

  /** Notes that the directory service led a mail client to the home of a user. */
  routed(user: string): void {
    if (this.#deps.settings().enabled) this.#seen(user, 'mail', this.#deps.clock.nowMs());
  }

  /** Stores what waits. Resolves also if that failed: then it waits on. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    await this.#flushing;
    await this.flush();
    const attempts = attemptsIn(this.#sent?.counts) + attemptsIn(this.#waiting.batch('', 0).counts);
    if (attempts > 0) this.#deps.log.warn('statistics-lost', { attempts });
  }

  #plan(): void {
    if (this.#isDisposed) return;
    this.#timer = setTimeout(() => {
      void this.flush().finally(() => this.#plan());
    }, this.#deps.settings().flushMs).unref();
  }

  #seen(user: string, way: WayIn, nowMs: number): void {
    if (way !== 'web') {
      const key = `${way} ${user}`;
      const hour = Math.floor(nowMs / hourMs);
      if (this.#noted.get(key) === hour) return;
      if (this.#noted.size >= mostNoted) this.#noted.clear();
      this.#noted.set(key, hour);
    }
    if (way !== 'mail') this.#note(() => this.#waiting.addUser(user, way, nowMs));
    if (this.#deps.settings().lastLogins) this.#note(() => this.#waiting.addLast(user, way, nowMs));
  }

  #note(add: () => boolean): void {
    if (!add()) this.#dropped += 1;
  }

  async #flush(): Promise<void> {
    const { clock, log, collect } = this.#deps;
    collect();
    try {
      // First what may have been stored already, unchanged, so that the store knows it again.
      if (this.#sent !== undefined) await this.#store(this.#sent);
      if (this.#waiting.isEmpty()) return;
      this.#sequence += 1;
      const batch = this.#waiting.batch(this.#deps.process, this.#sequence);
      this.#waiting = new WaitingCounts(clock.nowMs());
      await this.#store(batch);
    } catch (error) {
      // One alarm for an outage, however long.
      if (this.#failedAtMs === undefined) log.error('statistics-not-stored', { err: error });
      this.#failedAtMs ??= clock.nowMs();
      return;
    }
    if (this.#failedAtMs === undefined) return;
    log.info('statistics-stored', { awayMs: clock.nowMs() - this.#failedAtMs, dropped: this.#dropped });
    this.#failedAtMs = undefined;
    this.#dropped = 0;
  }

  async #store(batch: StatisticsBatch): Promise<void> {
    this.#sent = this.#withoutLongWaiting(batch);
    const erasures = await this.#deps.store(this.#sent);
    this.#sent = undefined;
    // A program that signs in again after the erasure must be noted in the same hour.
    if (erasures !== this.#erasures) this.#noted.clear();
    this.#erasures = erasures;
  }

  /** The store no longer knows whether a user was erased since. */
  #withoutLongWaiting(batch: StatisticsBatch): StatisticsBatch {
    const nowMs = this.#deps.clock.nowMs();
    const oldestMs = nowMs - longestWaitMs;
    if (batch.beganMs >= oldestMs) return batch;
    const lastLogins = new Map(notErased(batch.lastLogins, () => oldestMs, nowMs));
    this.#dropped += batch.lastLogins.size - lastLogins.size;
    return { ...batch, lastLogins };
  }
}

/** Counts that no batch has yet. Each `add…` returns false if it had no room. */
class WaitingCounts {
  readonly #beganMs: number;
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #users = new Map<string, Set<string>>();
  readonly #lastLogins = new Map<string, Partial<Record<WayIn, number>>>();
  readonly #domains = new Set<string>();
  #fields = 0;
  #members = 0;

  constructor(beganMs: number) {
    this.#beganMs = beganMs;
  }

  isEmpty(): boolean {
    return this.#counts.size === 0 && this.#lastLogins.size === 0;
  }

  addLogin(login: EndedLogin, outcome: CountedOutcome, nowMs: number): boolean {
    const time = new Date(nowMs).toISOString();
    const day = time.slice(0, 10);
    const { way, result, backend, webmail, user, userAgent = '' } = login;
    const values = {
      backend: backend ?? '(none)',
      domain: user === undefined ? '(unknown user)' : this.#domainOf(user),
      webmail: webmail ?? '(none)',
      result: way === 'web' ? result : `program: ${result}`,
      client: clientKind(userAgent),
    };
    const added = [this.#raise(`hours:${day}`, countField(time.slice(11, 13), outcome))];
    for (const [by, value] of Object.entries(values))
      added.push(this.#raise(`days:${day}`, countField(by, value, outcome)));
    return added.every(Boolean);
  }

  addUser(user: string, way: WayIn, nowMs: number): boolean {
    const day = new Date(nowMs).toISOString().slice(0, 10);
    return [day, day.slice(0, months)].map((period) => this.#join(`${way}:${period}`, user)).every(Boolean);
  }

  addLast(user: string, way: WayIn, nowMs: number): boolean {
    const last = this.#lastLogins.get(user);
    if (last !== undefined) last[way] = Math.max(last[way] ?? 0, nowMs);
    else if (this.#lastLogins.size >= mostWaiting) return false;
    else this.#lastLogins.set(user, { [way]: nowMs });
    return true;
  }

  batch(process: string, sequence: number): StatisticsBatch {
    return {
      process,
      sequence,
      beganMs: this.#beganMs,
      counts: this.#counts,
      users: this.#users,
      lastLogins: this.#lastLogins,
    };
  }

  #domainOf(user: string): string {
    const domain = user.slice(user.lastIndexOf('@') + 1);
    if (!user.includes('@')) return '(none)';
    if (this.#domains.size >= mostDomains && !this.#domains.has(domain)) return otherValue;
    this.#domains.add(domain);
    return domain;
  }

  #raise(table: string, field: string): boolean {
    const counts = this.#counts.get(table) ?? new Map<string, number>();
    const before = counts.get(field);
    if (before === undefined && this.#fields >= mostWaiting) return false;
    if (before === undefined) this.#fields += 1;
    this.#counts.set(table, counts.set(field, (before ?? 0) + 1));
    return true;
  }

  #join(set: string, user: string): boolean {
    const users = this.#users.get(set) ?? new Set<string>();
    if (users.has(user)) return true;
    if (this.#members >= 4 * mostWaiting) return false;
    this.#members += 1;
    this.#users.set(set, users.add(user));
    return true;
  }
}

function attemptsIn(counts: StatisticsBatch['counts'] = new Map()): number {
  const tables = [...counts].flatMap(([table, fields]) => (table.startsWith('hours:') ? [...fields.values()] : []));
  return tables.reduce((sum, count) => sum + count, 0);
}

const noAnswer: ReadonlySet<string> = new Set(['busy', 'closed', 'unavailable', 'abandoned', 'failed']);

function outcomeOf({ way, result }: EndedLogin): CountedOutcome {
  if (way === 'web') return result === 'signed-in' ? 'signed_in' : noAnswer.has(result) ? 'failed' : 'refused';
  return result === 'right' ? 'program_accepted' : noAnswer.has(result) ? 'program_failed' : 'program_refused';
}

/** Kinds of clients by a mark in their User-Agent; the first that fits counts. */
const clientKinds: readonly (readonly [kind: string, mark: RegExp])[] = [
  ['Outlook', /\bOutlook\b|\bMSFT-|Microsoft Office/],
  ['Thunderbird', /\bThunderbird\/|\bLightning\//],
  ['DAVx5', /\bDAVx5\//],
  ['Evolution', /\bEvolution\//],
  ['iOS programs', /\bdataaccessd\/|^Apple-iP|^iOS\/|\baccountsd\//],
  ['macOS programs', /^macOS\/|^Mac[ _+]OS[ _+]X\/|^Mac\+OS\+X/],
  ['Android programs', /^Android[-/]|\bAndroid-Mail\b|^SAMSUNG-/],
  ...browserFamilies,
];

/** The kind of a client, one of a fixed set: a browser family, or a kind of program. */
function clientKind(userAgent: string): string {
  if (userAgent === '') return '(none)';
  const start = userAgent.slice(0, 500);
  return clientKinds.find(([, mark]) => mark.test(start))?.[0] ?? otherValue;
}
