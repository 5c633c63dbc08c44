import { z } from 'zod';
import { normaliseDomain } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { sourceTypes } from '../directory/registry.ts';
import {
  arrayOf,
  atLeastOne,
  duration,
  leaf,
  listenAddress,
  mailDomain,
  networks,
  notOneOf,
  portNumber,
  section,
} from '../schema/scalars.ts';
import { read, shownValue, wrong } from '../schema/value-parsers.ts';
import { type ReferencedFiles, settleSettings } from './referenced-files.ts';

/** Schema of `directory`. */
export function directorySection(referenced: ReferencedFiles) {
  return section({
    default_domain: mailDomain().optional().describe('Appended to a user name that is typed without a domain.'),
    domain_aliases: z
      .record(z.string(), mailDomain(), { error: 'is not a map of domains: write { other.example: example.org }' })
      .prefault({})
      .describe('Alias domains: with `{ example.com: example.org }`, users of example.com are users of example.org.'),
    windows_domains: z
      .record(z.string(), mailDomain(), { error: 'is not a map of domains: write { EXAMPLE: example.org }' })
      .prefault({})
      .describe(
        'Windows domains and the domain of their users: with `{ EXAMPLE: example.org }`, `EXAMPLE\\alice` is `alice@example.org`.',
      ),
    detail_separator: character()
      .optional()
      .describe(
        'Removes a detail from the user name: with `+`, `alice+shop@…` signs in as `alice@…`. Left out: nothing is removed.',
      ),
    forbidden_characters: z
      .string({ error: 'is not a text: write the characters in quotes, such as "*%"' })
      .prefault('*')
      .describe('Characters that no user name may contain: the separators of master users on your IMAP servers.'),
    sources: arrayOf(source(referenced), 'sources such as { type: map, file: users.map }')
      .min(1, { error: 'is empty: write at least one source, such as { type: map, file: users.map }' })
      .describe(
        'The sources that know which backend a user is on, asked in this order. Each has a `type` and the settings of that type.',
      ),
    hosts: z
      .record(z.string(), z.string(), { error: 'is not a map of names: write { old-name.example.org: a }' })
      .prefault({})
      .describe(
        'Additional names that sources use for a backend, as `name: backend`. The names and addresses of its IMAP server and ' +
          'webmail need no entry.',
      ),
    source_timeout: duration({ atLeastMs: 50 })
      .prefault('2s')
      .describe('Time limit for one source without a `timeout` of its own.'),
    lookup_timeout: duration({ atLeastMs: 50 }).prefault('5s').describe('Time limit for all sources together.'),
    cache: cache(),
  })
    .superRefine(checkAliases)
    .transform((directory) => ({
      nameRules: {
        ...defined({ defaultDomain: directory.default_domain, detailSeparator: directory.detail_separator }),
        domainAliases: directory.domain_aliases,
        windowsDomains: directory.windows_domains,
        forbiddenCharacters: directory.forbidden_characters,
      },
      sources: atLeastOne(directory.sources),
      hosts: directory.hosts,
      timeouts: { sourceMs: directory.source_timeout, lookupMs: directory.lookup_timeout },
      cache: directory.cache,
    }))
    .describe('How a typed name becomes a user, and which backend that user is on.');
}

/**
 * One source. Each `…file` in its settings becomes an absolute path, and each `{ file: … }` or `{ env: … }` a secret. Then
 * the driver of its type checks them.
 */
function source(referenced: ReferencedFiles) {
  return z
    .looseObject(
      { type: z.string({ error: (issue) => notOneOf(issue.input, sourceTypes, 'a type of source') }) },
      { error: (issue) => `${shownValue(issue.input)} is not a source: write { type: map, file: users.map }` },
    )
    .superRefine(({ type }, context) => {
      if (sourceTypes.includes(type)) return;
      context.addIssue({ code: 'custom', path: ['type'], message: notOneOf(type, sourceTypes, 'a type of source') });
    })
    .transform((settings, context) => settleSettings(settings, referenced, context));
}

function keptFor(otherwise: string, about: string) {
  return duration({ atLeastMs: 0 }).prefault(otherwise).describe(about);
}

function cache() {
  return section({
    found: keptFor('10 min', 'How long the answer for a known user is kept.'),
    unknown: keptFor('30s', 'How long the answer that a user is unknown is kept.'),
    failed: keptFor('5s', 'How long a source that did not answer is not asked again for the same user.'),
    stale: keptFor('24h', 'How long an old answer may be used while the sources do not answer.'),
  })
    .transform(({ found, unknown, failed, stale }) => ({
      ttlMs: found,
      negativeTtlMs: unknown,
      transientTtlMs: failed,
      staleMs: stale,
    }))
    .prefault({})
    .describe('How long answers of the directory are cached.');
}

function character() {
  const remedy = 'write one character in quotes, such as "+"';
  return leaf({
    what: 'one character',
    remedy,
    examples: ['+'],
    parse: (text) =>
      /^[!-?[-`{-~]$/.test(text) ? read(text) : wrong(`${shownValue(text)} is not one character: ${remedy}`),
  });
}

function checkAliases(
  directory: { readonly domain_aliases: Readonly<Record<string, string>> },
  context: z.core.$RefinementCtx,
): void {
  const aliases = Object.keys(directory.domain_aliases);
  const names = new Set(aliases.map((alias) => normaliseDomain(alias)));
  const problem = (alias: string, message: string) =>
    context.addIssue({ code: 'custom', path: ['domain_aliases', alias], message });
  for (const [alias, domain] of Object.entries(directory.domain_aliases)) {
    if (normaliseDomain(alias) === undefined) problem(alias, 'is not a domain: write one such as example.com');
    if (names.has(domain))
      problem(alias, `points to ${domain}, which is itself an alias: write the domain that it stands for`);
  }
}

/** Schema of `directory_service`. */
export function directoryServiceSection(referenced: ReferencedFiles) {
  return section({
    listen: listenAddress('127.0.0.1:9092').describe('The address on which nginx’s mail proxy and others ask.'),
    allow: networks('Networks of the proxies that may ask.', ['127.0.0.1', '::1']),
    key_file: leaf({
      what: 'a file name',
      remedy: 'write the name of a file that holds a secret on one line, relative to this file',
      examples: ['state/directory-service-key'],
      parse: (text) => referenced.secretFile(text),
    })
      .optional()
      .describe('A file with a key on one line. Clients must send it as `X-Postern-Key` or as a bearer token.'),
    ports: section({
      imap: portNumber().prefault(143).describe('The port of the IMAP servers.'),
      pop3: portNumber().prefault(110).describe('The port of the POP servers.'),
      smtp: portNumber().prefault(25).describe('The port of the submission servers.'),
    })
      .prefault({})
      .describe(
        'The ports of the mail servers to which these proxies connect. nginx’s mail proxy connects without TLS.',
      ),
  })
    .transform(({ key_file: key, ...service }) => ({ ...service, ...defined({ key }) }))
    .optional()
    .describe(
      'Tells the IMAP, POP and SMTP proxies of the cluster which backend a user is on, so that mail and webmail never disagree. Left ' +
        'out: no service.',
    );
}
