import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { configShape } from '../src/config/config.ts';
import { createReferencedFiles } from '../src/config/referenced-files.ts';
import { loadSource, sourceTypes } from '../src/directory/registry.ts';
import { driverNames, loadDriverModule } from '../src/webmail/registry.ts';

type Schema = z.core.JSONSchema.BaseSchema;

interface Row {
  readonly key: string;
  readonly type: string;
  readonly otherwise: string;
  readonly about: string;
}

/** The reference of all keys, made from the JSON schema: one section per key of the file, in the schema's order. */
export function referenceMarkdown(schema: Schema): string {
  const required = new Set(schema.required);
  const sections = Object.entries(schema.properties ?? {}).map(([key, part]) =>
    sectionText(key, asSchema(part), required.has(key)),
  );
  return `<!-- Made from the schema by \`npm run docs\`: change src/config, not this file. -->
# Configuration: every key

One YAML file; see [configure.md](configure.md) for how it is meant. Unknown keys are errors. Paths are relative to the file
that names them. Durations have a unit: \`500ms\`, \`3s\`, \`10 min\`, \`12h\`, \`1d\`; sizes too: \`16 KiB\`, \`1 MiB\`. A secret is
\`{ file: NAME }\` or \`{ env: VARIABLE }\`, and never stands in the file itself.

${sections.join('\n')}`;
}

function sectionText(key: string, schema: Schema, isRequired: boolean): string {
  const rows = rowsUnder(schema, '', new Set(['map', 'secret']));
  const alone = `${capital(typeText(schema))}; ${isRequired ? 'required' : `default ${defaultText(schema)}`}.`;
  const table = [
    '| key | type | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      ({ key, type, otherwise, about }) => `| \`${key}\` | ${cell(type)} | ${cell(otherwise)} | ${cell(about)} |`,
    ),
  ].join('\n');
  const example = referenceExamples.get(key);
  return [
    `## ${key}\n`,
    `${schema.description ?? ''}\n`,
    rows.length === 0 ? `${alone}\n` : `${table}\n`,
    example === undefined ? '' : `\`\`\`yaml\n${example}\n\`\`\`\n`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/**
 * One row per key below a schema; a map inside is unfolded, with its keys behind a dot, unless it has a title. A map with
 * a title that is one of several forms of a value, such as a `mark`, is unfolded where it comes first.
 */
function rowsUnder(schema: Schema, prefix: string, unfolded: Set<string>): Row[] {
  if (schema.title !== undefined) return [];
  return shapesOf(schema).flatMap((shape) => {
    if (shape.title !== undefined) {
      if (unfolded.has(shape.title)) return [];
      unfolded.add(shape.title);
    }
    const own = Object.entries(shape.properties ?? {}).flatMap(([name, part]) =>
      rowsOf(`${prefix}${name}`, asSchema(part), (shape.required ?? []).includes(name), unfolded),
    );
    const each = shape.additionalProperties;
    const named =
      typeof each === 'object' && shapesOf(each).some(hasKeys) ? rowsUnder(each, `${prefix}NAME.`, unfolded) : [];
    return [...own, ...named];
  });
}

function rowsOf(key: string, schema: Schema, isRequired: boolean, unfolded: Set<string>): Row[] {
  const otherwise = isRequired ? 'required' : defaultText(schema);
  const row = { key, type: typeText(schema), otherwise, about: schema.description ?? '' };
  const below = rowsUnder(schema, `${key}.`, unfolded);
  const { items } = schema;
  const inItems =
    typeof items === 'object' && !Array.isArray(items) ? itemRows(asSchema(items), `${key}[]`, unfolded) : [];
  // A map of keys with a default of nothing says nothing by itself that its keys do not say.
  return schema.type === 'object' && hasKeys(schema) && schema.title === undefined
    ? below
    : [row, ...below, ...inItems];
}

/** The rows of a list's items. If a `type` tells items apart, common keys come once, then those of each type. */
function itemRows(items: Schema, prefix: string, unfolded: Set<string>): Row[] {
  const kinds = (items.oneOf ?? []).map(asSchema);
  if (kinds.length === 0) return rowsUnder(items, `${prefix}.`, unfolded);
  const keysOf = (kind: Schema): string[] => Object.keys(kind.properties ?? {});
  const [first = {}] = kinds;
  const shared = new Set(
    keysOf(first).filter((key) => key !== 'type' && kinds.every((kind) => keysOf(kind).includes(key))),
  );
  const rows = (kind: Schema, isWanted: (key: string) => boolean, at: string): Row[] =>
    Object.entries(kind.properties ?? {})
      .filter(([key]) => key !== 'type' && isWanted(key))
      .flatMap(([key, part]) => rowsOf(`${at}.${key}`, asSchema(part), (kind.required ?? []).includes(key), unfolded));
  return [
    ...rows(first, (key) => shared.has(key), prefix),
    ...kinds.flatMap((kind) => {
      const type = asSchema(kind.properties?.['type'] ?? {});
      const named = String(type.const);
      const row = { key: `${prefix}.type`, type: `\`${named}\``, otherwise: '', about: type.description ?? '' };
      return [row, ...rows(kind, (key) => !shared.has(key), named)];
    }),
  ];
}

function shapesOf(schema: Schema): readonly Schema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.map(asSchema);
}

function hasKeys(schema: Schema): boolean {
  return Object.keys(schema.properties ?? {}).length > 0;
}

function typeText(schema: Schema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map((one) => typeText(asSchema(one))))].join(' or ');
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${String(word)}\``).join(', ');
  if (schema.title !== undefined) return schema.title;
  switch (schema.type) {
    case 'array': {
      const { items } = schema;
      return typeof items === 'object' && !Array.isArray(items)
        ? `list of ${plural(typeText(asSchema(items)))}`
        : 'list';
    }
    case 'object':
      return 'map';
    case 'boolean':
      return 'true or false';
    case 'integer':
      return schema.minimum === undefined ? 'number' : `number, ${schema.minimum} to ${schema.maximum}`;
    case 'number':
      return 'number';
    case 'string':
      return 'text';
    default:
      return 'map';
  }
}

function plural(word: string): string {
  return word.endsWith('s') ? `${word}es` : `${word}s`;
}

function defaultText(schema: Schema): string {
  const value: unknown = schema.default;
  if (value === undefined) return '–';
  return Array.isArray(value) && value.length === 0
    ? '`[]`'
    : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** JSON schema allows `true` and `false` for "anything" and "nothing". */
function asSchema(schema: Schema | boolean): Schema {
  return typeof schema === 'boolean' ? {} : schema;
}

/**
 * Holds an example to copy for each section of the reference. Together they are one good configuration, which a
 * test loads.
 */
export const referenceExamples: ReadonlyMap<string, string> = new Map([
  ['listen', 'listen: 0.0.0.0:8080'],
  ['public_url', 'public_url: [https://webmail.example.org, https://mail.example.com]'],
  ['tls', 'tls: { certificate_file: fullchain.pem, key_file: privkey.pem }'],
  ['trusted_proxies', 'trusted_proxies: [10.0.0.10, 10.0.0.11, "2001:db8:1::/64"]'],
  ['proxy_protocol', 'proxy_protocol: required'],
  ['operators', 'operators: { listen: 127.0.0.1:9090, socket: state/postern.sock, agent_check: 10.0.0.21:9091 }'],
  ['workers', 'workers: auto'],
  [
    'sessions',
    `sessions:
  redis: { url: rediss://postern@redis.internal:6379/0, password: { file: redis.password }, tls_ca_file: ca.crt }
  keys_file: state/keys
  idle_timeout: 30 min
  absolute_timeout: 12h`,
  ],
  ['state', 'state: { redis: redis://redis-durable.internal:6379/0 }'],
  ['audit', 'audit: { file: /var/log/postern/audit.jsonl, syslog: { url: tls://siem.internal, tls_ca_file: ca.crt } }'],
  ['moves', 'moves: { before: /usr/local/bin/carry-mailbox, after: /usr/local/bin/tell-ldap }'],
  [
    'directory',
    `directory:
  default_domain: example.org
  domain_aliases: { example.com: example.org }
  detail_separator: "+"
  sources:
    - { type: map, file: users.map }
    - { type: static, backend: old }`,
  ],
  ['directory_service', 'directory_service: { listen: 127.0.0.1:9092, allow: [127.0.0.1, 192.0.2.31] }'],
  [
    'mail_proxies',
    `mail_proxies:
  - { name: front1, url: "https://front1:8080/doveadm/v1", api_key: { file: secrets/doveadm } }
  - { name: cyrus1, type: program, program: /etc/postern/mail-connections }`,
  ],
  ['passdb', 'passdb: { tls_ca_file: ca.crt }'],
  [
    'login',
    `login:
  refusal_after: 3s
  exempt_networks: [192.0.2.0/24]
  branding:
    name: Example Mail
    logo: logo.svg
    logo_dark: logo-dark.svg
    accent: "#0b6e4f"
    links: [{ label: Forgot your password?, url: https://id.example.org/reset }]
    default_locale: de`,
  ],
  [
    'support',
    `support:
  console: https://support.example.org
  assist: https://assist.example.org
  staff:
    sam@example.org: { roles: [support], domains: [example.org] }
    olga@example.org: operator
    ada@example.org: auditor
  never_opened: [head@example.org]
  notice: message`,
  ],
  [
    'backend_defaults',
    `backend_defaults:
  driver: roundcube
  imap: imaps://$host
  webmail: http://$host/mail/
  tls_ca_file: ca.crt
  timeouts: { imap_auth: 10s }
  limits: { connections: 128 }`,
  ],
  [
    'backends',
    `backends:
  b1: mx1.internal
  b2: mx2.internal
  b2s: { host: mx5.internal, standby: [mx5b.internal], failover: manual }
  farm:
    imap: imaps://store.internal
    hosts: [{ host: web1.internal, weight: 2 }, web2.internal]
  b3: { host: mx3.internal, webmail: https://webmail3.internal/, limits: { connections: 512 } }
  old: { imap: imap://192.0.2.7, webmail: { url: https://192.0.2.7/, tls_server_name: old.example.org }, driver: none }`,
  ],
  ['include', 'include: backends.d/*.yaml'],
  ['requests', 'requests: { header_size: 24 KiB, drop_headers: [X-Department] }'],
  ['log', 'log: { level: info, requests: 0.01 }'],
  ['statistics', 'statistics: { retention: 800d, flush_interval: 30s }'],
  ['shutdown', 'shutdown: { delay: 10s, deadline: 2 min }'],
]);

/** The JSON schema of the whole configuration, with that of every driver in its place. */
export async function configSchema(): Promise<Schema> {
  // No file is opened for the schema alone.
  const schema = jsonSchema(z.strictObject(configShape(createReferencedFiles('.', {}))));
  const sources = asSchema(asSchema(schema.properties?.['directory'] ?? {}).properties?.['sources'] ?? {});
  sources.items = { oneOf: await Promise.all(sourceTypes.map(sourceSchema)) };
  await setDriverSchemas(schema);
  return {
    $id: 'urn:postern:configuration',
    title: 'Postern',
    description: 'The configuration of Postern.',
    ...schema,
  };
}

async function sourceSchema(type: string): Promise<Schema> {
  const driver = await loadSource(type);
  if (driver === undefined) throw new Error(`the registry has no source ${type}`);
  const { $schema: _, ...schema } = jsonSchema(driver.settings);
  const properties = {
    ...schema.properties,
    type: { type: 'string' as const, const: type, description: driver.about },
  };
  return { ...schema, title: type, properties };
}

/**
 * Puts the schema of each webmail driver into the defaults and into backends. The defaults and a backend's own block are
 * one map to the driver, so neither must have every key. The reference shows the keys once, under the defaults.
 */
async function setDriverSchemas(schema: Schema): Promise<void> {
  const { backend_defaults: defaults = {}, backends = {} } = schema.properties ?? {};
  const backend = asSchema(asSchema(backends).additionalProperties ?? {});
  const maps = shapesOf(backend).filter(hasKeys);
  for (const name of driverNames) {
    const { about, settings, davPaths = [] } = await loadDriverModule(name);
    const { $schema: _, required: _required, ...block } = jsonSchema(settings);
    const paths = davPaths.map((path) => `\`${path}\``).join(', ');
    const description = `The settings of the \`${name}\` driver. ${about}${paths === '' ? '' : ` Its \`dav\` paths: ${paths}.`}`;
    setProperty(asSchema(defaults), name, { ...block, description });
    const again = {
      $ref: `#/properties/backend_defaults/properties/${name}`,
      title: 'map',
      description: 'As under backend_defaults, for this backend.',
    };
    for (const map of maps) setProperty(map, name, again);
  }
}

function setProperty(schema: Schema, name: string, property: Schema): void {
  schema.properties = { ...schema.properties, [name]: property };
}

function jsonSchema(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'input', reused: 'inline' });
}

/** The files that follow from the schema, by their names in the checkout, with what they must hold. */
export async function referenceFiles(): Promise<ReadonlyMap<string, string>> {
  const schema = await configSchema();
  return new Map([
    ['docs/postern.schema.json', `${JSON.stringify(schema, null, 2)}\n`],
    ['docs/configuration.md', referenceMarkdown(schema)],
  ]);
}

/** The names of the files whose text is not what it must be. */
export async function staleReferenceFiles(root: URL): Promise<readonly string[]> {
  return [...(await referenceFiles())]
    .filter(([name, text]) => readIfThere(new URL(name, root)) !== text)
    .map(([name]) => name);
}

function readIfThere(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

async function main(mode: string | undefined): Promise<number> {
  const root = new URL('../', import.meta.url);
  if (mode === '--write') {
    for (const [name, text] of await referenceFiles()) writeFileSync(new URL(name, root), text);
    return 0;
  }
  if (mode === '--check') {
    const stale = await staleReferenceFiles(root);
    if (stale.length > 0) process.stderr.write(`not what the schema says: ${stale.join(', ')}; run npm run docs\n`);
    return stale.length === 0 ? 0 : 1;
  }
  process.stderr.write('usage: node tools/config-reference.ts --write | --check\n');
  return 2;
}

if (import.meta.main) process.exitCode = await main(process.argv[2]);
