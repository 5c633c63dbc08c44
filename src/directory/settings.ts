import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import { parseDuration } from '../core/duration.ts';
import { Secret } from '../core/secret.ts';

/**
 * The settings of one source while its driver reads them.
 *
 * Every reader returns a usable value, also where it noted a problem: the driver reads all of its settings, so that all
 * problems are seen at once, and is not opened if there were any. Keys that nobody read are problems too.
 */
export class Settings {
  readonly #values: DriverSettings;
  readonly #known = new Set<string>();
  readonly #problems: SettingProblem[] = [];

  constructor(values: DriverSettings) {
    this.#values = values;
  }

  /** All problems, once everything was read. */
  finish(): readonly SettingProblem[] {
    const unread = Object.keys(this.#values).filter((key) => !this.#known.has(key));
    const known = [...this.#known].sort().join(', ');
    return [
      ...this.#problems,
      ...unread.map((key) => ({ path: [key], message: `unknown key; this source knows ${known}` })),
    ];
  }

  problem(key: string, message: string): void {
    this.#problems.push({ path: [key], message });
  }

  text(key: string, otherwise?: string): string {
    const value = this.#take(key) ?? otherwise;
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number') return String(value);
    this.problem(key, value === undefined ? 'is required' : 'write a text that is not empty');
    return '';
  }

  optionalText(key: string): string | undefined {
    return this.has(key) ? this.text(key) : undefined;
  }

  choice<const T extends string>(key: string, choices: readonly T[], otherwise: NoInfer<T>): T {
    const value = this.#take(key) ?? otherwise;
    const chosen = choices.find((choice) => choice === value);
    if (chosen === undefined) this.problem(key, `write one of ${choices.join(', ')}`);
    return chosen ?? otherwise;
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.#take(key) ?? otherwise;
    if (typeof value === 'boolean') return value;
    this.problem(key, 'write true or false');
    return otherwise;
  }

  /** A number that may have a fraction, or nothing. */
  number(key: string, limits: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.#take(key);
    if (value === undefined || (typeof value === 'number' && value >= limits.min && value <= limits.max)) return value;
    this.problem(key, `write a number from ${limits.min} to ${limits.max}`);
    return undefined;
  }

  durationMs(key: string, otherwise: number): number {
    const value = this.#take(key);
    if (value === undefined) return otherwise;
    const ms = typeof value === 'string' ? parseDuration(value) : undefined;
    if (ms === undefined || ms === 0) this.problem(key, 'write a duration such as 500ms, 3s or 10min');
    return ms ?? otherwise;
  }

  /** A list of texts; one text is a list of one. */
  list(key: string): readonly string[] {
    const value = this.#take(key) ?? [];
    const texts = Array.isArray(value) ? value : [value];
    if (texts.every((text) => typeof text === 'string' && text !== '')) return texts.map(String);
    this.problem(key, 'write a text or a list of texts');
    return [];
  }

  /** Texts by name. */
  table(key: string): ReadonlyMap<string, string> {
    const entries = Object.entries(this.record(key));
    const wrong = entries.find(([, value]) => typeof value !== 'string' && typeof value !== 'number');
    if (wrong !== undefined) this.#problems.push({ path: [key, wrong[0]], message: 'write a text' });
    return new Map(entries.map(([name, value]) => [name, String(value)]));
  }

  record(key: string): DriverSettings {
    const value = this.#take(key) ?? {};
    if (isRecord(value)) return value;
    this.problem(key, 'write names and values: { name: value }');
    return {};
  }

  /** A value that must never be printed. The configuration has already read it from its file or environment. */
  secret(key: string): Secret | undefined {
    const value = this.#take(key);
    if (value === undefined || value instanceof Secret) return value;
    if (typeof value === 'string') return new Secret(value);
    this.problem(key, 'write a text, { file: … } or { env: … }');
    return undefined;
  }

  has(key: string): boolean {
    return this.#take(key) !== undefined;
  }

  #take(key: string): unknown {
    this.#known.add(key);
    // `null` is what YAML makes of a key without a value.
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined;
  }
}

/** Whether a parsed value is an object with keys. */
export function isRecord(value: unknown): value is DriverSettings {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret);
}
