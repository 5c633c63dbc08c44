import { isIP, type NetConnectOpts } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { z } from 'zod';
import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import { readNamedFile } from '../core/named-files.ts';
import { type LoginName, normaliseDomain, splitLoginName } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { Secret } from '../core/secrets.ts';
import { parseSettings } from '../schema/issues.ts';
import { duration, leaf, leafOrNumber, oneOf, oneOrMore, section, text, textOrNumber } from '../schema/scalars.ts';
import { parseHostPort, read, type Reading, shownValue, wrong } from '../schema/value-parsers.ts';
import type { Source, SourceDeps } from './source.ts';

/** The settings that every type of source has, besides those of its driver. */
function commonSettings() {
  return {
    type: z.string(),
    domains: domains()
      .optional()
      .describe(
        'The source is asked only for users of these domains; `"*.example.org"` means all domains below it. Left out: all users.',
      ),
    timeout: duration({ atLeastMs: 1 })
      .optional()
      .describe('How long an answer may take; `source_timeout` when left out.'),
    on_found: oneOf(['answer', 'next'] as const)
      .prefault('answer')
      .describe('After a home: `answer` with it, or ask the `next` source, too.'),
    on_unknown: oneOf(['next', 'refuse'] as const)
      .prefault('next')
      .describe('For an unknown user: ask the `next` source, or `refuse` the user.'),
    on_tempfail: oneOf(['fail', 'next'] as const)
      .prefault('fail')
      .describe('If the source cannot be asked: `fail` with "try again later", or ask the `next` source.'),
  };
}

/** The schema of one type of source: its own settings, and those that every source has. */
export function sourceSettings<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return section({ ...commonSettings(), ...shape });
}

/** The values of the settings that every source has. */
type CommonSettings = z.output<z.ZodObject<ReturnType<typeof commonSettings>>>;

/** A type of source: {@link defineSource} makes one. */
export interface SourceDriver {
  /** One sentence for the configuration reference. */
  readonly about: string;
  /** The schema of all settings of a source of this type. */
  readonly settings: z.ZodType;
  /** Parses settings without any I/O; secrets are already wrapped, and file names absolute. */
  configure(
    values: DriverSettings,
  ):
    | { readonly kind: 'ok'; readonly common: CommonSettings; readonly open: OpenSource }
    | { readonly kind: 'problems'; readonly problems: readonly SettingProblem[] };
}

/**
 * Opens a configured source. Rejects only if an operator must fix something: a file is missing or broken. A server that
 * is away is no reason to reject.
 */
export type OpenSource = (deps: SourceDeps) => Promise<Source>;

/** Makes a driver from its description, the schema of its settings, and the function that opens a source. */
export function defineSource<Settings extends CommonSettings>(source: {
  readonly about: string;
  readonly settings: z.ZodType<Settings>;
  readonly create: (settings: Settings, deps: SourceDeps) => Source | Promise<Source>;
}): SourceDriver {
  const { about, settings, create } = source;
  return {
    about,
    settings,
    configure(values) {
      const parsed = parseSettings(settings, values);
      if (parsed.kind === 'problems') return parsed;
      return { kind: 'ok', common: parsed.settings, open: async (deps) => create(parsed.settings, deps) };
    },
  };
}

/** Whether a parsed value is an object with keys. */
export function isRecord(value: unknown): value is DriverSettings {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret);
}

/** Schema of `domains`: `example.org`, or `*.example.org` for all below it; an empty list means all domains. */
function domains() {
  const remedy = 'write example.org or "*.example.org"';
  const domain = leaf({
    what: 'a domain',
    remedy,
    examples: ['example.org', '*.example.org'],
    parse: (written) => {
      const isWildcard = written.startsWith('*.');
      const name = normaliseDomain(isWildcard ? written.slice(2) : written);
      return name === undefined
        ? wrong(`${shownValue(written)} is not a domain: ${remedy}`)
        : read({ name, isWildcard });
    },
  });
  return oneOrMore(domain, remedy).transform((list) => {
    const exact = new Set(list.filter(({ isWildcard }) => !isWildcard).map(({ name }) => name));
    const below = list.filter(({ isWildcard }) => isWildcard).map(({ name }) => `.${name}`);
    return (domain: string): boolean =>
      list.length === 0 || exact.has(domain) || below.some((suffix) => domain.endsWith(suffix));
  });
}

/** Schema of a file that the source reads itself; its path is already absolute. */
export function file(about: string) {
  return textOrNumber('a file name', 'write a file name, relative to this file').describe(about);
}

/** The settings for the authorities that a connection trusts, and the name that the certificate must carry. */
export function tlsSettings() {
  return {
    tls_ca_file: tlsAuthorities(),
    tls_server_name: text('a host name', 'write the name in the certificate')
      .optional()
      .describe('The name that the certificate must carry. Default: the host.'),
  };
}

/** Schema of a file of authorities to trust instead of the system's. */
export function tlsAuthorities() {
  return file('CA certificates (PEM) instead of those of the system.').optional();
}

/** The PEM text of a file of authorities; undefined if no file is set. */
export async function readAuthorities(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : (await readNamedFile(file)).toString();
}

/** The values of {@link tlsSettings}. */
export interface TlsSettings {
  readonly tls_ca_file?: string | undefined;
  readonly tls_server_name?: string | undefined;
}

/** Makes the TLS options for connections to a host; reads the file of authorities. */
export async function tlsFor(settings: TlsSettings): Promise<(host: string) => ConnectionOptions> {
  const pem = await readAuthorities(settings.tls_ca_file);
  return (host) => {
    const name = settings.tls_server_name ?? host;
    // An address cannot be sent as SNI (RFC 6066), but the certificate must still carry it.
    const servername = isIP(name) === 0 ? name : undefined;
    return { minVersion: 'TLSv1.2', host: name, ...defined({ ca: pem, servername }) };
  };
}

/** Where a server listens, and its name in logs. */
export interface SourceAddress {
  readonly label: string;
  readonly connect: NetConnectOpts & { readonly host?: string; readonly port?: number; readonly path?: string };
}

/** Schema of `host:port`, `[address]:port` or `unix:/path`; the port may be left out if there is a default. */
export function serverAddress(defaultPort?: number) {
  return leaf({
    what: 'an address',
    remedy: addressRemedy,
    examples: ['db.internal:5432', 'unix:/run/socket'],
    parse: (written): Reading<SourceAddress> => {
      const parsed = parseAddress(written, defaultPort);
      return parsed === undefined ? wrong(`${shownValue(written)} is not an address: ${addressRemedy}`) : read(parsed);
    },
  });
}

/** Schema of one or more servers, asked in this order. */
export function oneOrMoreServers<Item extends z.ZodType>(item: Item) {
  const remedy = 'write the address of a server, or a list of them';
  return oneOrMore(item, remedy).refine((list) => list.length > 0, { error: `is empty: ${remedy}` });
}

const addressRemedy = 'write host:port, "[address]:port" or unix:/path';

function parseAddress(text: string, defaultPort?: number): SourceAddress | undefined {
  if (text.startsWith('unix:/')) return { label: text, connect: { path: text.slice(5) } };
  const server = parseHostPort(text);
  const port = server?.port ?? defaultPort;
  if (server === undefined || port === undefined) return undefined;
  return { label: text, connect: { host: server.host, port } };
}

/** A text with `%u` (user and domain), `%n` (user alone) and `%d` (domain), as in Dovecot; `%%` is a per cent sign. */
export interface Template {
  readonly parts: readonly (string | TemplateVariable)[];
}

/** A placeholder of a template: the user, the local part (`n`), or the domain. */
export interface TemplateVariable {
  readonly variable: 'u' | 'n' | 'd';
}

/** Schema of a text with placeholders for the user's name. */
export function nameTemplate(what: string) {
  const remedy = 'write a text with %u, %n or %d';
  return leafOrNumber({ what, remedy, parse: (written) => readTemplate(written, remedy) });
}

function readTemplate(written: string, remedy: string): Reading<Template> {
  if (written === '') return wrong(`is empty: ${remedy}`);
  const parsed = parseTemplate(written);
  return typeof parsed === 'string' ? wrong(parsed) : read(parsed);
}

/** Parses a template; returns what is wrong with the text if it cannot be one. */
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

/** Fills a template for a name; `escape` is the escaping function of the place where the text goes. */
export function fillTemplate(template: Template, name: LoginName, escape: (value: string) => string): string {
  return template.parts.map((part) => (typeof part === 'string' ? part : escape(valueOf(part, name)))).join('');
}

/** The text for a placeholder. */
export function valueOf({ variable }: TemplateVariable, name: LoginName): string {
  if (variable === 'u') return name;
  const { local, domain } = splitLoginName(name);
  return variable === 'n' ? local : domain;
}
