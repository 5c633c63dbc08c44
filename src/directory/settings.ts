import { isIP, type NetConnectOpts } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import { parseDuration } from '../core/duration.ts';
import { readNamedFile } from '../core/named-files.ts';
import { type LoginName, normaliseDomain, splitLoginName } from '../core/names.ts';
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

  /** A number that may have a fraction, or undefined. */
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

/**
 * Reads for which domains a source is asked: `example.org`, or `*.example.org` for all below it. Without the setting:
 * for all, and for names without a domain.
 */
export function readDomains(settings: Settings, key: string): (domain: string) => boolean {
  const exact = new Set<string>();
  const below: string[] = [];
  const list = settings.list(key);
  for (const text of list) {
    const wildcard = text.startsWith('*.');
    const domain = normaliseDomain(wildcard ? text.slice(2) : text);
    if (domain === undefined)
      settings.problem(key, `${JSON.stringify(text)} is not a domain: write example.org or "*.example.org"`);
    else if (wildcard) below.push(`.${domain}`);
    else exact.add(domain);
  }
  if (list.length === 0) return () => true;
  return (domain) => exact.has(domain) || below.some((suffix) => domain.endsWith(suffix));
}

interface TlsSettings {
  /** The name that the certificate must carry, if not the host's own. */
  readonly serverName: string | undefined;
  /** The options for a connection to this host; reads the file of authorities. */
  load(): Promise<(host: string) => ConnectionOptions>;
}

/** Reads `tls_ca_file` and `tls_server_name`. */
export function readTls(settings: Settings): TlsSettings {
  const caFile = settings.optionalText('tls_ca_file');
  const serverName = settings.optionalText('tls_server_name');
  return {
    serverName,
    async load() {
      const ca = caFile === undefined ? {} : { ca: (await readNamedFile(caFile)).toString() };
      return (host) => {
        const name = serverName ?? host;
        // An address cannot be announced (RFC 6066), but the certificate must still carry it.
        return { ...ca, minVersion: 'TLSv1.2', host: name, ...(isIP(name) === 0 ? { servername: name } : {}) };
      };
    },
  };
}

/** Where a server listens, and how logs call it. */
export interface ServerAddress {
  readonly label: string;
  readonly connect: NetConnectOpts & { readonly host?: string; readonly port?: number; readonly path?: string };
}

/** Reads `host:port`, `[address]:port` or `unix:/path`. */
export function readAddress(settings: Settings, key: string, defaultPort?: number): ServerAddress {
  const text = settings.text(key);
  const address = parseAddress(text, defaultPort);
  if (address === undefined && text !== '') settings.problem(key, addressRemedy);
  return address ?? { label: text, connect: { port: 0 } };
}

/** Reads one or more addresses, asked in this order. */
export function readAddresses(settings: Settings, key: string, defaultPort?: number): readonly ServerAddress[] {
  const texts = settings.list(key);
  if (texts.length === 0) settings.problem(key, 'write the address of a server, or a list of them');
  return texts.flatMap((text) => {
    const address = parseAddress(text, defaultPort);
    if (address === undefined) settings.problem(key, `${JSON.stringify(text)}: ${addressRemedy}`);
    return address === undefined ? [] : [address];
  });
}

const addressRemedy = 'write host:port, "[address]:port" or unix:/path';

function parseAddress(text: string, defaultPort?: number): ServerAddress | undefined {
  if (text.startsWith('unix:/')) return { label: text, connect: { path: text.slice(5) } };
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === undefined || port === undefined || port === 0 || port > 65_535) return undefined;
  return { label: text, connect: { host, port } };
}

/** A text with `%u` (user and domain), `%n` (user alone) and `%d` (domain), as in Dovecot; `%%` is a per cent sign. */
export interface Template {
  readonly parts: readonly (string | TemplateVariable)[];
}

/** A placeholder of a template: the user, the local part (`n`), or the domain. */
export interface TemplateVariable {
  readonly variable: 'u' | 'n' | 'd';
}

/** Reads a setting that is a template. */
export function readTemplate(settings: Settings, key: string, otherwise?: string): Template {
  const text = settings.text(key, otherwise);
  const template = parseTemplate(text);
  if (typeof template !== 'string') return template;
  settings.problem(key, template);
  return { parts: [] };
}

/** The parsed text, or what is wrong with it. */
export function parseTemplate(text: string): Template | string {
  const parts: (string | TemplateVariable)[] = [];
  for (const part of text.split(/(%.?)/s)) {
    if (part === '%u' || part === '%n' || part === '%d')
      parts.push({ variable: part === '%u' ? 'u' : part === '%n' ? 'n' : 'd' });
    else if (part === '%%') parts.push('%');
    else if (part.startsWith('%')) return `${part} is not known here: write %u, %n, %d, or %% for a per cent sign`;
    else if (part !== '') parts.push(part);
  }
  return { parts };
}

/** The text for a name, each inserted value through the one escaping function of where the text goes. */
export function fillTemplate(template: Template, name: LoginName, escape: (value: string) => string): string {
  return template.parts.map((part) => (typeof part === 'string' ? part : escape(valueOf(part, name)))).join('');
}

/** The text that a placeholder stands for. */
export function valueOf({ variable }: TemplateVariable, name: LoginName): string {
  if (variable === 'u') return name;
  const { local, domain } = splitLoginName(name);
  return variable === 'n' ? local : domain;
}
