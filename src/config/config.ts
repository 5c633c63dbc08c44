import { z } from 'zod';
import type { Backend, Serving } from '../core/backend.ts';
import type { BackendName } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { arrayOf, oneOf, section, text } from '../schema/scalars.ts';
import { backendDefaultsSection, backendSection } from './backends-section.ts';
import { directorySection, directoryServiceSection } from './directory-section.ts';
import {
  listenSection,
  operatorsSection,
  proxyProtocolSection,
  publicUrlSection,
  tlsSection,
  trustedProxiesSection,
} from './listener-sections.ts';
import { loginSection } from './login-section.ts';
import { mailProxiesSection } from './mail-proxies-section.ts';
import {
  auditSection,
  logSection,
  requestsSection,
  shutdownSection,
  statisticsSection,
  workersSection,
} from './node-sections.ts';
import { certificates, type ReferencedFiles } from './referenced-files.ts';
import { movesSection, sessionsSection, stateSection } from './sessions-section.ts';
import { supportSection } from './support-section.ts';

/**
 * The schema of the main file, key by key, in the order in which the reference shows them. `referenced` belongs to the
 * file that is read: the leaves open what it names.
 */
export function configShape(referenced: ReferencedFiles) {
  return {
    listen: listenSection,
    public_url: publicUrlSection,
    tls: tlsSection(referenced),
    trusted_proxies: trustedProxiesSection,
    proxy_protocol: proxyProtocolSection,
    operators: operatorsSection(referenced),
    workers: workersSection,
    sessions: sessionsSection(referenced),
    state: stateSection(referenced),
    audit: auditSection(referenced),
    moves: movesSection(referenced),
    directory: directorySection(referenced),
    directory_service: directoryServiceSection(referenced),
    mail_proxies: mailProxiesSection(referenced),
    passdb: passdbSection(referenced),
    login: loginSection(referenced),
    support: supportSection,
    backend_defaults: backendDefaultsSection(referenced),
    backends: backendsSection(referenced),
    include: includeSection,
    requests: requestsSection,
    log: logSection(referenced),
    statistics: statisticsSection,
    shutdown: shutdownSection,
  };
}

type ConfigShape = ReturnType<typeof configShape>;

/** Parses the value of one key of the main file; undefined if it has problems. */
type ParseKey = <T>(key: keyof ConfigShape, schema: z.ZodType<T>) => T | undefined;

/** The sections of the main file under their names in the code; undefined where one has problems. */
export function parseSections(shape: ConfigShape, parse: ParseKey) {
  const listen = parse('listen', shape.listen);
  return {
    listen: listen?.address,
    /** For idle connections, of the console's own listener, too. */
    keepAliveMs: listen?.keepAliveMs,
    /** The first one is what links and examples show. */
    publicUrls: parse('public_url', shape.public_url),
    /** Certificates of the public listener, the default one first; without any it speaks plain HTTP. */
    tls: parse('tls', shape.tls),
    /** Networks as `address/prefix`. */
    trustedProxies: parse('trusted_proxies', shape.trusted_proxies),
    proxyProtocol: parse('proxy_protocol', shape.proxy_protocol),
    operators: parse('operators', shape.operators),
    /** How many processes serve. */
    workers: parse('workers', shape.workers),
    sessions: parse('sessions', shape.sessions),
    state: parse('state', shape.state),
    audit: parse('audit', shape.audit),
    moves: parse('moves', shape.moves),
    directory: parse('directory', shape.directory),
    /** Proxies of mail, and mail servers, that list and end connections. */
    mailProxies: parse('mail_proxies', shape.mail_proxies),
    passdb: parse('passdb', shape.passdb),
    login: parse('login', shape.login),
    requests: parse('requests', shape.requests),
    log: parse('log', shape.log),
    statistics: parse('statistics', shape.statistics),
    shutdown: parse('shutdown', shape.shutdown),
  };
}

/** The sections that need not be there. */
export function parseOptionalSections(shape: ConfigShape, parse: ParseKey) {
  return defined({
    /** Absent: the node tells no other program the homes of users. */
    directoryService: parse('directory_service', shape.directory_service),
    /** Absent: there is no console, and nobody opens a mailbox but its user. */
    support: parse('support', shape.support),
  });
}

type Complete<T> = { readonly [Key in keyof T]: NonNullable<T[Key]> };

/** The sections of a file without problems. */
type Sections = Complete<ReturnType<typeof parseSections>> & Readonly<ReturnType<typeof parseOptionalSections>>;

/**
 * A whole configuration, checked and settled: defaults filled in, paths absolute, durations in milliseconds, secrets
 * read and wrapped. It is immutable; a reload makes another one. Its types are those of the schema.
 */
export interface Config extends Sections {
  /** The main file, as it was named. */
  readonly file: string;
  /** The settings in the main file, as path → hash of the value: see {@link diffConfig}. */
  readonly written: ReadonlyMap<string, string>;
  /** The settings of all files under their keys, for operators; a secret as the name of its file or variable. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Problems with the modes of secret files, each a sentence with the file and a remedy. */
  readonly exposedSecrets: readonly string[];
  readonly backends: ReadonlyMap<BackendName, Backend>;
  /** How the hosts of each backend share its work. */
  readonly serving: ReadonlyMap<BackendName, Serving>;
}

/** Keys that an included file may have. */
export const includedKeys = ['backends'] as const;

const pattern = text('a file name', 'write a pattern such as backends.d/*.yaml');

const includeSection = z
  .union([pattern, arrayOf(pattern, 'patterns such as backends.d/*.yaml')], {
    error: 'is neither a pattern nor a list of them: write include: backends.d/*.yaml',
  })
  .transform((patterns) => (Array.isArray(patterns) ? patterns : [patterns]))
  .prefault([])
  .describe(
    'More files, as a pattern or a list of patterns. Each contains a `backends:` section and nothing else; paths in it are ' +
      'relative to it.',
  );

function passdbSection(referenced: ReferencedFiles) {
  return section({
    type: oneOf(['imap']).prefault('imap').describe('What checks passwords: the IMAP server of the user’s backend.'),
    tls_ca_file: certificates(referenced)
      .optional()
      .describe('CA certificates (PEM) for IMAP, for backends that name none of their own.'),
  })
    .transform(({ type, tls_ca_file: ca }) => ({ type, ...defined({ ca }) }))
    .prefault({})
    .describe('How a password is checked.');
}

function backendsSection(referenced: ReferencedFiles) {
  return z
    .record(z.string(), backendSection(referenced), {
      error: 'is not a map of backends: write { a: { imap: imaps://HOST, webmail: http://HOST/ } }',
    })
    .prefault({})
    .describe('The home mailbox servers, by name. A name is letters, digits, dots, dashes and underscores.');
}
