import { z } from 'zod';
import { normaliseDomain } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { deliveryMaps } from '../core/directory.ts';
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
  oneOf,
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

/** Ports of mail servers, without defaults. */
export const mailPortKeys = {
  imap: portNumber().describe('The port of the IMAP servers.'),
  pop3: portNumber().describe('The port of the POP servers.'),
  smtp: portNumber().describe('The port of the servers to which nginx’s SMTP proxy connects.'),
  submission: portNumber().describe('The port of the submission servers.'),
  lmtp: portNumber().describe('The port of the LMTP servers, to which Postfix delivers.'),
  sieve: portNumber().describe('The port of the ManageSieve servers.'),
};

/** Schema of `directory_service`. */
export function directoryServiceSection(referenced: ReferencedFiles) {
  return section({
    listen: listenAddress('127.0.0.1:9092').describe('The address on which nginx’s mail proxy and others ask.'),
    allow: networks('Networks of the proxies and mail servers that may ask.', ['127.0.0.1', '::1']),
    key_file: leaf({
      what: 'a file name',
      remedy: 'write the name of a file that holds a secret on one line, relative to this file',
      examples: ['state/directory-service-key'],
      parse: (text) => referenced.secretFile(text),
    })
      .optional()
      .describe(
        'A file with a key on one line. Clients must send it as `X-Postern-Key` or as a bearer token. Postfix cannot send one: ' +
          'its maps are guarded by `allow` alone.',
      ),
    ports: section({
      imap: mailPortKeys.imap.prefault(143),
      pop3: mailPortKeys.pop3.prefault(110),
      smtp: mailPortKeys.smtp.prefault(25),
      submission: mailPortKeys.submission.prefault(587),
      lmtp: mailPortKeys.lmtp.prefault(24),
      sieve: mailPortKeys.sieve.prefault(4190),
    })
      .prefault({})
      .describe(
        'The ports of the mail servers to which these proxies connect; a backend may have `ports` of its own. nginx’s mail ' +
          'proxy connects without TLS.',
      ),
    ...deliveryKeys(),
  })
    .transform(({ key_file: key, socketmap, tcp_table: tcpTable, domains, recipient_delimiter, ...service }) => ({
      ...service,
      recipientDelimiter: recipient_delimiter,
      ...defined({ key, socketmap, tcpTable, deliveryDomains: domains }),
    }))
    .optional()
    .describe(
      'Tells the IMAP, POP and SMTP proxies of the cluster, and Postfix, which backend a user is on, so that mail and webmail ' +
        'never disagree. Left out: no service.',
    );
}

/** What Postfix asks, and for which addresses it gets an answer. */
function deliveryKeys() {
  return {
    socketmap: section({
      listen: listenAddress('127.0.0.1:9093').describe(
        'The address of `socketmap:inet:HOST:PORT:MAP`, with the maps `homes`, `users` and `aliases`.',
      ),
    })
      .optional()
      .describe('Answers Postfix by its socketmap protocol. Left out: it does not.'),
    tcp_table: section({
      listen: listenAddress('127.0.0.1:9094').describe('The address of `tcp:HOST:PORT`.'),
      map: oneOf(deliveryMaps).prefault('homes').describe('The one map that this address answers for.'),
    })
      .optional()
      .describe('Answers Postfix by its tcp_table protocol. Left out: it does not.'),
    domains: arrayOf(mailDomain(), 'domains such as example.org')
      .min(1, { error: 'is empty: write the mail domains of your users, such as [example.org]' })
      .optional()
      .describe(
        'The mail domains that Postfix gets answers for; other addresses are not found, and no source is asked. Default: ' +
          '`directory.default_domain`, and the domains that `directory.domain_aliases` name.',
      ),
    recipient_delimiter: z
      .string({ error: 'is not a text: write the characters in quotes, such as "+"' })
      .regex(/^[!-?[-`{-~]*$/, { error: 'contains a character that is no delimiter: write Postfix’s own, such as "+"' })
      .prefault('')
      .describe(
        'Postfix’s `recipient_delimiter`. With `+`, mail for `alice+shop@…` goes to the home of `alice@…`. Empty: Postfix asks ' +
          'for both names.',
      ),
  };
}
