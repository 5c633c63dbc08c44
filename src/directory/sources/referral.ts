import type { ImapEndpoint } from '../../core/backend.ts';
import { defined } from '../../core/objects.ts';
import { leaf } from '../../schema/scalars.ts';
import { imapRemedy, parseImapUrl, read, type Reading } from '../../schema/value-parsers.ts';
import { defineSource, readAuthorities, sourceSettings, tlsSettings } from '../settings.ts';

const referralLimits = { imapConnectMs: 3_000, imapGreetingMs: 3_000, imapAuthMs: 8_000 };

/**
 * An IMAP server that tells users at sign-in where they live: by a login referral (RFC 2221), or by accepting the
 * password, because the user lives on it. It can be asked only with the password, so that the answer names the server
 * and the login asks it. Any name may be a user; TLS always.
 */
export const driver = defineSource({
  about: 'An IMAP server that refers users to their homes at sign-in (RFC 2221).',
  settings: sourceSettings({
    server: leaf({
      what: 'an IMAP server',
      remedy: imapRemedy,
      examples: ['imaps://mail.example.org'],
      parse: readReferrer,
    }).describe('`imaps://host:port`, or `imap://host:port` with STARTTLS.'),
    ...tlsSettings(),
  }),
  async create(settings) {
    const {
      server: { name, endpoint },
      tls_server_name: servername,
    } = settings;

    const ca = await readAuthorities(settings.tls_ca_file);
    const trust = defined({ servername, ca });
    const answer = {
      kind: 'referred',
      server: { name, imap: { ...endpoint, trust }, limits: referralLimits },
    } as const;
    return {
      ask: () => Promise.resolve(answer),
      async [Symbol.asyncDispose]() {},
    };
  },
});

function readReferrer(written: string): Reading<{ name: string; endpoint: Omit<ImapEndpoint, 'trust'> }> {
  const url = parseImapUrl(written);
  if (url.kind === 'wrong') return url;
  const { hostname, security, port = security === 'tls' ? 993 : 143 } = url.value;
  return read({ name: written, endpoint: { hostname, port, security } });
}
