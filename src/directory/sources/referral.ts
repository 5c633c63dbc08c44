import type { ImapEndpoint } from '../../core/backend.ts';
import { readNamedFile } from '../../core/named-files.ts';
import type { Settings } from '../settings.ts';
import type { SourceDriver } from '../source.ts';

const limits = { imapConnectMs: 3_000, imapGreetingMs: 3_000, imapAuthMs: 8_000 };

/**
 * An IMAP server that knows where users live, and tells whoever signs in there: by a login referral (RFC 2221), or by
 * taking the password, because the user lives on it. It can only be asked with the password, so that the answer is
 * whom to ask: the sign-in does it. Any name may be a user; TLS always.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const { server, endpoint } = readServer(settings);
    const caFile = settings.optionalText('tls_ca_file');
    const servername = settings.optionalText('tls_server_name');
    return async () => {
      if (endpoint === undefined) throw new TypeError('a source with problems is never opened');
      const trust = {
        ...(servername === undefined ? {} : { servername }),
        ...(caFile === undefined ? {} : { ca: (await readNamedFile(caFile)).toString() }),
      };
      const answer = { kind: 'referred', server: { name: server, imap: { ...endpoint, trust }, limits } } as const;
      return {
        ask: () => Promise.resolve(answer),
        async [Symbol.asyncDispose]() {},
      };
    };
  },
};

function readServer(settings: Settings): { server: string; endpoint: Omit<ImapEndpoint, 'trust'> | undefined } {
  const server = settings.text('server');
  const [, scheme, bracketed, plain, digits] =
    /^(imaps?):\/\/(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::(\d{1,5}))?\/?$/.exec(server) ?? [];
  const hostname = bracketed ?? plain;
  const port = Number(digits ?? (scheme === 'imaps' ? 993 : 143));
  if (hostname !== undefined && port > 0 && port < 65_536) {
    return { server, endpoint: { hostname, port, security: scheme === 'imaps' ? 'tls' : 'starttls' } };
  }
  if (server !== '') settings.problem('server', 'write imaps://host, or imap://host for STARTTLS');
  return { server, endpoint: undefined };
}
