import { extname } from 'node:path';
import { defined } from '../core/objects.ts';
import { arrayOf, duration, either, leaf, integer, networks, oneOf, section, settle, text } from '../schema/scalars.ts';
import { read, type Reading, shownValue, wrong } from '../schema/value-parsers.ts';
import { Secret } from '../core/secrets.ts';
import { certificates, type ReferencedFiles, secret } from './referenced-files.ts';

/** Schema of `login`. */
export function loginSection(referenced: ReferencedFiles) {
  return section({
    refusal_after: duration({ atLeastMs: 0, atMostMs: 30_000 })
      .prefault('3s')
      .describe(
        'No refusal is sent earlier, so that an unknown user and a wrong password look alike. Keep it above ' +
          'auth_failure_delay of your Dovecot servers.',
      ),
    deadline: duration({ atLeastMs: 1000, atMostMs: 120_000 })
      .prefault('15s')
      .describe('Time limit for a whole sign-in: directory, IMAP and webmail together.'),
    exempt_networks: networks(
      'Networks with many users behind one address, such as your own offices: their failed logins are not counted per address.',
    ),
    policy: policy(referenced).optional(),
    branding: branding(referenced),
  })
    .superRefine((login, context) => {
      if (login.refusal_after < login.deadline) return;
      const message = 'is not shorter than login.deadline: write a shorter one';
      context.addIssue({ code: 'custom', path: ['refusal_after'], message });
    })
    .transform((login) => ({
      refusalAfterMs: login.refusal_after,
      deadlineMs: login.deadline,
      exemptNetworks: login.exempt_networks,
      branding: login.branding,
      ...defined({ policy: login.policy }),
    }))
    .prefault({})
    .describe('The sign-in: its time limits and the look of its page.');
}

/** The policy server: what Dovecot has under `auth_policy_…`. */
function policy(referenced: ReferencedFiles) {
  return section({
    url: policyUrl().describe(
      'The URL, as in Dovecot’s `auth_policy_server_url`: `?command=allow` or `?command=report` is appended, or ' +
        '`command=…` alone if it ends with `&`.',
    ),
    api_key: secret(referenced)
      .transform((key, context) => settle(parseApiKey(key), context))
      .optional()
      .describe(
        'The key, as in Dovecot’s `auth_policy_server_api_header`: `NAME: VALUE` is sent as that header, such as ' +
          '`Authorization: Basic …` for weakforced, anything else as `X-API-Key`.',
      ),
    hash_nonce: secret(referenced).describe('The secret in each password hash: Dovecot’s `auth_policy_hash_nonce`.'),
    hash_mech: oneOf(['sha256', 'sha512', 'sha1', 'md5'])
      .prefault('sha256')
      .describe('The hash of passwords, as in Dovecot’s `auth_policy_hash_mech`.'),
    hash_truncate: integer({ atLeast: 0, atMost: 512 })
      .prefault(12)
      .describe('How many bits of the hash are sent, as in Dovecot’s `auth_policy_hash_truncate`; 0: all of them.'),
    timeout: duration({ atLeastMs: 100, atMostMs: 10_000 }).prefault('2s').describe('Time limit for each question.'),
    max_delay: duration({ atLeastMs: 0, atMostMs: 30_000 })
      .prefault('5s')
      .describe('The longest delay that an answer can impose on a sign-in.'),
    when_unavailable: oneOf(['allow', 'refuse'])
      .prefault('allow')
      .describe(
        'While the server does not answer, or not by the protocol: `allow` lets sign-ins go on without it, `refuse` answers ' +
          'them with 503. Either way there is an alarm.',
      ),
    tls_ca_file: certificates(referenced)
      .optional()
      .describe('CA certificates (PEM) instead of those of the system, for an `https` URL.'),
  })
    .transform((given) => ({
      url: given.url,
      hashNonce: given.hash_nonce,
      hashMech: given.hash_mech,
      hashTruncate: given.hash_truncate,
      timeoutMs: given.timeout,
      maxDelayMs: given.max_delay,
      whenUnavailable: given.when_unavailable,
      ...defined({ apiKey: given.api_key, ca: given.tls_ca_file }),
    }))
    .describe(
      'A policy server such as weakforced, asked before each password is tried and told of each verdict, by the protocol of ' +
        'Dovecot’s `auth_policy_…` settings: see [operate.md](operate.md#one-weakforced-for-mail-and-web). Left out: none.',
    );
}

function policyUrl() {
  const remedy = 'write one such as https://policy.internal:8084/ (a query must end with &)';
  return leaf({
    what: 'the URL of a policy server',
    remedy,
    examples: ['http://127.0.0.1:8084/'],
    parse(value) {
      const url = URL.parse(value);
      if (url === null || !/^https?:\/\/[^\s\\#]+$/i.test(value)) {
        return wrong(`${shownValue(value)} is not the URL of a policy server: ${remedy}`);
      }
      if (url.username !== '' || url.password !== '')
        return wrong('has a user or a password in the URL: put them into api_key, as Authorization: Basic …');
      return value.includes('?') && !value.endsWith('&')
        ? wrong(`${shownValue(value)} has a query that does not end with &: ${remedy}`)
        : read(value);
    },
  });
}

/** The header that a key stands for. */
function parseApiKey(key: Secret): Reading<{ readonly name: string; readonly value: Secret }> {
  const text = key.reveal();
  if (!/^[\x20-\x7e]+$/.test(text))
    return wrong('holds characters that no HTTP header may have: write ASCII on one line');
  const [, name, value] = /^([^:]*):\s*(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) return read({ name: 'X-API-Key', value: key });
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name)
    ? read({ name, value: new Secret(value) })
    : wrong('has no header name before its colon: write NAME: VALUE, or a key without a colon');
}

function branding(referenced: ReferencedFiles) {
  const link = section({
    label: text('a text', 'write what the link says').describe('What the link says.'),
    url: linkUrl().describe('The target: an address with https:, http: or mailto:, or a path.'),
  });
  return section({
    name: text('a name', 'write the name of your service').prefault('Webmail').describe('The name above the form.'),
    logo: logo(referenced).optional().describe('A logo as SVG, PNG, JPEG or WebP, of at most 256 KiB.'),
    logo_dark: logo(referenced)
      .optional()
      .describe(
        'The logo for browsers that prefer dark pages, where dark lettering cannot be read. Without it the ' +
          'logo is shown on both: give one, or write `scheme: light`.',
      ),
    scheme: oneOf(['auto', 'light', 'dark'])
      .prefault('auto')
      .describe('Whether the pages are light, dark, or as each browser prefers. It applies to the console, too.'),
    accent: colour()
      .prefault('#1f5fbf')
      .describe(
        'The colour of the button and of links, as "#rrggbb" in quotes. Text on it is black or white, whichever reads better.',
      ),
    links: arrayOf(link, 'links such as { label: Help, url: "https://…" }')
      .prefault([])
      .describe('Links under the form: help, a forgotten password, the imprint.'),
    default_locale: locale()
      .prefault('en')
      .describe('The language for browsers that ask for none that the gateway has.'),
  })
    .transform(({ name, logo, logo_dark: logoDark, scheme, accent, links, default_locale }) => ({
      name,
      ...defined({ logo, logoDark }),
      scheme,
      accentColour: accent,
      links: links.map(({ label, url }) => ({ label, href: url })),
      defaultLocale: default_locale,
    }))
    .prefault({})
    .describe('The look of the sign-in page.');
}

const pictures: ReadonlyMap<string, string> = new Map([
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.jpg', 'image/jpeg'],
  ['.jpeg', 'image/jpeg'],
  ['.webp', 'image/webp'],
]);

function logo(referenced: ReferencedFiles) {
  const remedy = `name a file that ends in ${either([...pictures.keys()])}`;
  return leaf({
    what: 'a file name',
    remedy,
    examples: ['logo.svg'],
    parse: (file) => {
      const contentType = pictures.get(extname(file).toLowerCase());
      if (contentType === undefined) return wrong(`${shownValue(file)} is not a picture: ${remedy}`);
      const body = referenced.bytes(file, 256 * 1024);
      return body.kind === 'wrong' ? body : read({ contentType, body: body.value });
    },
  });
}

function colour() {
  const remedy = 'write six hexadecimal digits in quotes, such as "#0b5fff" (without quotes, # begins a comment)';
  return leaf({
    what: 'a colour',
    remedy,
    examples: ['#0b5fff'],
    parse: (value) =>
      /^#[\da-f]{6}$/i.test(value)
        ? read(value.toLowerCase())
        : wrong(`${shownValue(value)} is not a colour: ${remedy}`),
  });
}

function linkUrl() {
  const remedy = 'write an address that begins with https://, http:// or mailto:, or a path that begins with /';
  return leaf({
    what: 'a link',
    remedy,
    examples: ['https://help.example.org/'],
    parse: (value) =>
      /^(?:https?:\/\/|mailto:|\/(?![/\\]))[^\s\\]*$/i.test(value) && URL.canParse(value, 'https://host.invalid')
        ? read(value)
        : wrong(`${shownValue(value)} is not a link: ${remedy}`),
  });
}

function locale() {
  const remedy = 'write a language such as en or de';
  return leaf({
    what: 'a language',
    remedy,
    examples: ['de'],
    parse: (value) =>
      /^[a-z]{2,3}(?:-[A-Z]{2})?$/.test(value)
        ? read(value)
        : wrong(`${shownValue(value)} is not a language: ${remedy}`),
  });
}
