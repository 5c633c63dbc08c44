import { z } from 'zod';
import type { DriverSettings } from '../core/backend.ts';
import { isObject } from '../core/objects.ts';
import { arrayOf, duration, integer, leaf, oneOf, portNumber, section } from '../schema/scalars.ts';
import {
  imapRemedy,
  parseHost,
  parseImapUrl,
  parseWebmailUrl,
  read,
  type Reading,
  shownValue,
  webmailRemedy,
  wrong,
} from '../schema/value-parsers.ts';
import { driverNames } from '../webmail/registry.ts';
import { mailPortKeys } from './directory-section.ts';
import { davAbout, davSection, hostMark } from './dav-section.ts';
import { certificates, type ReferencedFiles, settleSettings } from './referenced-files.ts';
import { furtherHosts, masterSection, ownServing, servingDefaults } from './serving-section.ts';

const timeoutKeys = {
  imap_connect: duration({ atLeastMs: 50 }).describe('IMAP: time limit for connecting, including TLS.'),
  imap_greeting: duration({ atLeastMs: 50 }).describe('IMAP: time limit for the greeting.'),
  imap_auth: duration({ atLeastMs: 50 }).describe('IMAP: time limit for checking a password.'),
  webmail_connect: duration({ atLeastMs: 50 }).describe('Webmail: time limit for connecting.'),
  webmail_first_byte: duration({ atLeastMs: 100 }).describe(
    'Webmail: time limit until its answer begins. Event streams have none.',
  ),
  webmail_keep_alive: duration({ atLeastMs: 100 }).describe(
    'How long an idle connection to the webmail is kept. Keep it below the web server’s own keep-alive time ' +
      '(Apache 5 s, nginx 75 s), or a request may now and then meet a closing connection.',
  ),
};

const limitKeys = {
  connections: integer({ atLeast: 1, atMost: 10_000 }).describe('Open connections to the webmail, per host.'),
  connections_per_user: integer({ atLeast: 1, atMost: 10_000 })
    .optional()
    .describe(
      'How many of these connections one user may hold at once; further requests wait. Default: a quarter, at least 6.',
    ),
  queue: integer({ atLeast: 0, atMost: 100_000 }).describe(
    'How many requests may wait for a connection, per host; further ones get a 503.',
  ),
  queue_time: duration({ atLeastMs: 10 }).describe('How long a request may wait for a connection; then it gets a 503.'),
  upgrades_per_session: integer({ atLeast: 0, atMost: 1000 }).describe(
    'How many WebSockets one session may have open.',
  ),
};

/** Defaults for every backend. */
export function backendDefaultsSection(referenced: ReferencedFiles) {
  return section({
    ...common(referenced),
    dav: davSection(davAbout),
    imap: hostTemplate('an IMAP URL', imapRemedy, parseImapUrl, 'imaps://$host')
      .optional()
      .describe('The IMAP URL of backends that name only their host; `$host` stands for that host.'),
    webmail: hostTemplate('a webmail URL', webmailRemedy, parseWebmailUrl, 'http://$host/')
      .optional()
      .describe('The webmail URL of backends that name only their host; `$host` stands for that host.'),
    imap_port: portNumber()
      .optional()
      .describe('The port for IMAP URLs without one. Default: 993 for imaps, 143 for imap.'),
    webmail_port: portNumber()
      .optional()
      .describe('The port for webmail URLs without one. Default: 443 for https, 80 for http.'),
    timeouts: section({
      imap_connect: timeoutKeys.imap_connect.prefault('3s'),
      imap_greeting: timeoutKeys.imap_greeting.prefault('3s'),
      imap_auth: timeoutKeys.imap_auth.prefault('8s'),
      webmail_connect: timeoutKeys.webmail_connect.prefault('3s'),
      webmail_first_byte: timeoutKeys.webmail_first_byte.prefault('180s'),
      webmail_keep_alive: timeoutKeys.webmail_keep_alive.prefault('4s'),
    })
      .prefault({})
      .describe('Time limits for a backend.'),
    limits: section({
      connections: limitKeys.connections.prefault(256),
      connections_per_user: limitKeys.connections_per_user,
      queue: limitKeys.queue.prefault(512),
      queue_time: limitKeys.queue_time.prefault('5s'),
      upgrades_per_session: limitKeys.upgrades_per_session.prefault(20),
    })
      .prefault({})
      .describe('How many resources one backend may use, so that a slow one does not harm the users of others.'),
    ...servingDefaults(referenced),
  })
    .prefault({})
    .describe('Defaults for all backends, so that each backend is one short line.');
}

/** One backend: a host name where the defaults have the URLs, or a map. */
export function backendSection(referenced: ReferencedFiles) {
  const place = {
    host: host().optional().describe('The host name that the URLs under backend_defaults are filled in with.'),
    imap: endpoint(referenced, 'an IMAP URL', imapRemedy, parseImapUrl, 'imaps://mx1.internal')
      .optional()
      .describe(
        'The IMAP server: `imaps://` uses TLS at once, `imap://` requires STARTTLS. A URL, or a map of `url`, ' +
          '`tls_server_name` and `tls_ca_file`.',
      ),
    webmail: endpoint(referenced, 'a webmail URL', webmailRemedy, parseWebmailUrl, 'http://mx1.internal/')
      .optional()
      .describe('The webmail. Users land on its path. A URL, or a map as for `imap`.'),
    tls_server_name: host()
      .optional()
      .describe('The name that the certificates must carry. Default: the host of the URL.'),
    tls_ca_file: trustedAuthorities(referenced),
  };
  const map = section({
    ...place,
    ...furtherHosts(place, host()),
    ...ownServing(referenced),
    ...common(referenced),
    dav: davSection('As under backend_defaults, for this backend, and instead of those.'),
    ports: section(mailPortKeys)
      .partial()
      .meta({ title: 'map' })
      .optional()
      .describe('As under directory_service, for the mail servers of this backend.'),
    timeouts: section(timeoutKeys)
      .partial()
      .meta({ title: 'map' })
      .prefault({})
      .describe('As under backend_defaults, for this backend.'),
    limits: section(limitKeys)
      .partial()
      .meta({ title: 'map' })
      .prefault({})
      .describe('As under backend_defaults, for this backend.'),
  });
  return z.union([host().transform((host) => map.parse({ host })), map], {
    error: (issue) =>
      `${isObject(issue.input) ? 'this' : shownValue(issue.input)} is not a backend: write { imap: imaps://HOST, webmail: http://HOST/ }`,
  });
}

function common(referenced: ReferencedFiles) {
  return {
    driver: oneOf(driverNames).optional().describe('The webmail that the backend runs.'),
    tls_ca_file: trustedAuthorities(referenced),
    imap_later: laterTexts(),
    login_name: loginName(),
    imap_ok_referral: oneOf(['accept', 'refuse'] as const)
      .optional()
      .describe(
        'What to do if the mail server accepts the password but names another server (`OK [REFERRAL …]`): `accept` signs the ' +
          'user in here, which is the default; `refuse` does not, because the directory is wrong. The log has both.',
      ),
    master: masterSection(referenced),
    ...driverBlocks(referenced),
  };
}

/** The form of user names that a server expects, as a template. */
export function loginNameForm() {
  const remedy = 'write full, local, or a text in quotes with %n (name), %d (domain) or %u (both), such as "%n"';
  return leaf({
    what: 'a form of login names',
    remedy,
    examples: ['local', '%n'],
    parse: (value) => {
      const template = { full: '%u', local: '%n' }[value] ?? value;
      const isTemplate = /%[nu]/.test(template) && !/%(?![und%])|[\s\p{C}]/u.test(template.replaceAll('%%', ''));
      return isTemplate ? read(template) : wrong(`${shownValue(value)} is not a form of login names: ${remedy}`);
    },
  });
}

function loginName() {
  return section({
    imap: loginNameForm().optional().describe('The form that the IMAP server expects. Default: `full`.'),
    webmail: loginNameForm()
      .optional()
      .describe('The form that the webmail expects and keeps settings under. Default: `full`.'),
  })
    .optional()
    .describe(
      'The form of user names that the servers of a backend expect: `full` (alice@example.org), `local` (alice), or a text with %n, %d and %u. ' +
        'Sessions, log and audit keep the canonical user. Use `local` only for backends with users of a single domain.',
    );
}

function laterTexts() {
  const remedy = 'write at least four characters of what the server says, such as "try again later"';
  const phrase = leaf({
    what: 'a text',
    remedy,
    examples: ['try again later'],
    parse: (value) => {
      const plain = value.replace(/\s+/g, ' ').trim().toLowerCase();
      return plain.length < 4 ? wrong(`${shownValue(value)} is too short: ${remedy}`) : read(plain);
    },
  });
  return arrayOf(phrase, 'texts such as "try again later"')
    .optional()
    .describe(
      'Texts with which the mail server says, without a response code, that it cannot check a password right now. ' +
        'A refusal that contains one adds no penalty and is treated as an outage. Case does not matter.',
    );
}

function trustedAuthorities(referenced: ReferencedFiles) {
  return certificates(referenced)
    .optional()
    .describe('CA certificates (PEM) for IMAP and webmail, instead of those of the system.');
}

/**
 * One block of settings for each webmail driver, under its name. Each driver checks its own once the defaults and the
 * backend's block are one: see {@link driverBlockOf}.
 */
function driverBlocks(referenced: ReferencedFiles): object {
  return Object.fromEntries(
    driverNames.map((driver) => [
      driver,
      z
        .record(z.string(), z.unknown(), { error: `is not a map of settings: see the page of the ${driver} driver` })
        .transform((settings, context) => settleSettings(settings, referenced, context))
        .optional()
        .describe(`The settings of the \`${driver}\` driver.`),
    ]),
  );
}

/** The settings for a webmail driver in a backend or the defaults; undefined if they have none. */
export function driverBlockOf(parsed: object | undefined, driver: string): DriverSettings | undefined {
  const block: unknown = Object.entries(parsed ?? {}).find(([key]) => key === driver)?.[1];
  return isObject(block) ? block : undefined;
}

function endpoint<T>(
  referenced: ReferencedFiles,
  what: string,
  remedy: string,
  parse: (text: string) => Reading<T>,
  example: string,
) {
  const url = () => leaf({ what, remedy, examples: [example], parse });
  const map = section({
    url: url().describe('The URL.'),
    tls_server_name: host().optional().describe('The name that the certificate must carry.'),
    tls_ca_file: certificates(referenced).optional().describe('CA certificates (PEM).'),
  });
  return z.union([url().transform((url) => ({ url, tls_server_name: undefined, tls_ca_file: undefined })), map], {
    error: `is neither a URL nor a map with a url: ${remedy}`,
  });
}

/** A URL in which `$host` stands for the host; its value is what makes the real one. */
function hostTemplate<T>(what: string, remedy: string, parse: (text: string) => Reading<T>, example: string) {
  return leaf({
    what,
    remedy,
    examples: [example],
    parse: (text) => {
      if (!text.includes(hostMark))
        return wrong(`${shownValue(text)} does not contain $host: write it like ${example}`);
      const fill = (host: string) => parse(text.replace(hostMark, host));
      const sample = fill('host.invalid');
      return sample.kind === 'wrong' ? wrong(sample.why.replace('host.invalid', hostMark)) : read(fill);
    },
  });
}

function host() {
  const remedy = 'write a host name or an address, such as mx1.internal';
  return leaf({
    what: 'a host',
    remedy,
    examples: ['mx1.internal'],
    parse: (text) => {
      const host = parseHost(text);
      return host === undefined ? wrong(`${shownValue(text)} is not a host: ${remedy}`) : read(host);
    },
  });
}
