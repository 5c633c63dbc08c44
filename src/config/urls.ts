import type { ImapEndpoint, WebmailEndpoint } from '../core/backend.ts';
import type { PublicUrl } from '../core/http.ts';
import { bracketed, parseHost } from './hosts.ts';
import { read, type Reading, shown, wrong } from './reading.ts';

export type ImapUrl = Pick<ImapEndpoint, 'hostname' | 'security'> & { readonly port: number | undefined };
export type WebmailUrl = Pick<WebmailEndpoint, 'landing'> & {
  readonly scheme: 'http' | 'https';
  /** As in a URL: IPv6 in brackets. */
  readonly host: string;
  readonly port: number | undefined;
};

export const imapRemedy = 'write imaps://HOST (TLS from the first byte) or imap://HOST (STARTTLS, required)';
export const webmailRemedy =
  'write the address that the gateway reaches, such as http://mx1.internal/ or https://mx1/mail/';
export const publicUrlRemedy = 'write scheme and host as users type them, such as https://mail.example.org';
export const redisRemedy = 'write redis://HOST:6379/0, or rediss://HOST:6379/0 for TLS';

/** A URL with an @ may hold a password: it is never shown. */
function quoted(url: string): string {
  return url.includes('@') ? 'the URL' : shown(url);
}

/** `imaps://mx1`, `imap://[2001:db8::1]:1143`. */
export function parseImapUrl(text: string): Reading<ImapUrl> {
  const [, scheme = '', authority = '', rest = ''] = /^([a-z]+):\/\/([^/?#]*)([^]*)$/i.exec(text) ?? [];
  const security = { imaps: 'tls', imap: 'starttls' } as const;
  const name = scheme.toLowerCase();
  if (authority.includes('@')) return wrong(`the URL holds a user or password: ${imapRemedy}`);
  if (name !== 'imaps' && name !== 'imap') return wrong(`${quoted(text)} is not an IMAP URL: ${imapRemedy}`);
  const place = parseAuthority(authority);
  if (place === undefined) return wrong(`${quoted(text)} names no host that can be dialled: ${imapRemedy}`);
  if (rest !== '' && rest !== '/') return wrong(`${quoted(text)} has a path, which IMAP has not: ${imapRemedy}`);
  return read({ hostname: place.host, port: place.port, security: security[name] });
}

/** The path, with its query, is where users land; no path stands for `/`. */
export function parseWebmailUrl(text: string): Reading<WebmailUrl> {
  const url = parseHttpUrl(text, 'a webmail URL', webmailRemedy);
  if (url.kind === 'wrong') return url;
  const { protocol, pathname, search } = url.value;
  const port = /^[^/]*\/\/[^/?]*:(\d+)(?:[/?]|$)/.exec(text)?.[1];
  if (pathname === '/-' || pathname.startsWith('/-/')) {
    return wrong(`${quoted(text)} lies under /-/, which is the gateway's own: serve the webmail under another path`);
  }
  return read({
    scheme: protocol === 'https:' ? 'https' : 'http',
    host: url.value.hostname,
    // Not url.port: it is empty for http://mx1:80/, which names its port all the same.
    port: port === undefined ? undefined : Number(port),
    landing: pathname + search,
  });
}

/** Scheme and host, with a port where it is not the scheme's own; no path. */
export function parsePublicUrl(text: string): Reading<PublicUrl> {
  const url = parseHttpUrl(text, 'a public URL', publicUrlRemedy);
  if (url.kind === 'wrong') return url;
  const { origin, host, protocol, pathname, search } = url.value;
  if (pathname !== '/' || search !== '') {
    return wrong(`${quoted(text)} has a path: the gateway answers for the whole host; write ${origin}`);
  }
  return read({ origin, authority: host, secure: protocol === 'https:' });
}

/** A Redis address that names no password: that one has a key of its own, so that it never stands in this file. */
export function parseRedisUrl(text: string): Reading<string> {
  if (!URL.canParse(text)) return wrong(`the Redis URL cannot be read: ${redisRemedy}`);
  const url = new URL(text);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    return wrong(`the Redis URL has another scheme, ${JSON.stringify(url.protocol)}: ${redisRemedy}`);
  }
  if (url.password !== '') {
    return wrong(
      'the Redis URL holds a password: write redis: { url: redis://USER@HOST:6379/0, password: { file: redis.password } }',
    );
  }
  if (parseHost(url.hostname) === undefined) return wrong(`the Redis URL names no host: ${redisRemedy}`);
  if (!/^\/?\d{0,4}$/.test(url.pathname) || url.search !== '' || url.hash !== '') {
    return wrong(`the Redis URL has more than a database number behind the host: ${redisRemedy}`);
  }
  return read(text);
}

export const syslogRemedy = 'write tls://HOST:6514, or tcp://HOST:601 in a network that nobody else hears';

/** `tls://siem.internal`, `tcp://192.0.2.9:514`. */
export function parseSyslogUrl(text: string): Reading<{ host: string; port: number; isTls: boolean }> {
  const [, scheme = '', authority = ''] = /^(tls|tcp):\/\/([^/?#@]*)\/?$/i.exec(text) ?? [];
  const place = parseAuthority(authority);
  if (place === undefined) return wrong(`${quoted(text)} is not the URL of a syslog server: ${syslogRemedy}`);
  const isTls = scheme.toLowerCase() === 'tls';
  return read({ host: place.host, port: place.port ?? (isTls ? 6514 : 601), isTls });
}

function parseHttpUrl(text: string, what: string, remedy: string): Reading<URL> {
  const authority = /^https?:\/\/([^/?#\\]*)/i.exec(text)?.[1];
  if (authority?.includes('@') === true) return wrong(`the URL holds a user or password: ${remedy}`);
  if (authority === undefined || !URL.canParse(text)) return wrong(`${quoted(text)} is not ${what}: ${remedy}`);
  const url = new URL(text);
  if (parseHost(url.hostname) === undefined || url.port === '0')
    return wrong(`${quoted(text)} names no valid host: ${remedy}`);
  // The URL parser drops tabs and line ends in silence and turns a backslash into a slash.
  if (/[\s\\]/.test(text)) return wrong(`${quoted(text)} holds white space or a backslash: ${remedy}`);
  if (text.includes('#')) return wrong(`${quoted(text)} has a fragment, which never reaches a server: ${remedy}`);
  return read(url);
}

function parseAuthority(authority: string): { host: string; port: number | undefined } | undefined {
  const [, hostText = '', portText] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority) ?? [];
  const host = parseHost(hostText);
  const port = portText === undefined ? undefined : Number(portText);
  if (host === undefined || port === 0 || (port ?? 0) > 65_535) return undefined;
  return { host, port };
}

/** Scheme, host and port as an origin: the port is left out where it is the scheme's own. */
export function originOf(scheme: 'http' | 'https', host: string, port: number | undefined): string {
  return new URL(`${scheme}://${bracketed(host.replace(/^\[|\]$/g, ''))}${port === undefined ? '' : `:${port}`}`)
    .origin;
}
