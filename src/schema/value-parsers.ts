import { isIPv4, isIPv6 } from 'node:net';
import type { ImapEndpoint, WebmailEndpoint } from '../core/backend.ts';
import type { PublicUrl } from '../core/http.ts';
import { createNetworkMatch, type HostPort, plainAddress, splitHostPort } from '../core/ip-networks.ts';
import { normaliseDomain } from '../core/names.ts';

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);
const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 * 1024],
  ['GiB', 1024 * 1024 * 1024],
]);
/** Node's timers fire at once beyond 2^31-1 ms: no duration may be longer than a timer can wait. */
const longestDurationMs = 24 * 86_400_000;
const quantity = /^(\d{1,12})(?:\.(\d{1,3}))? ?([A-Za-z]*)$/;

/** The remedy for a malformed duration. */
export const durationRemedy = 'write a number and a unit, such as 500ms, 3s, 10 min or 12h';

/** The remedy for a malformed size. */
export const sizeRemedy = 'write a number and a unit, such as 512 B, 16 KiB or 1 MiB';

/** Milliseconds: `3s`, `10 min`, `1.5 h`; units are ms, s, min, h and d. A bare number is refused. */
export function readDuration(text: string): Reading<number> {
  const ms = parseQuantity(text, durationUnits);
  return ms === undefined || ms > longestDurationMs
    ? wrong(`${JSON.stringify(text)} is not a duration of at most 24 days: ${durationRemedy}`)
    : read(ms);
}

/** Bytes: `512 B`, `16 KiB`, `1 MiB`; units are B, KiB, MiB and GiB. A bare number is refused. */
export function readSize(text: string): Reading<number> {
  const bytes = parseQuantity(text, sizeUnits);
  if (bytes === undefined) return wrong(`${JSON.stringify(text)} is not a size: ${sizeRemedy}`);
  return read(bytes);
}

/** The shortest way to write a duration: what {@link readDuration} reads back as the same number. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, durationUnits);
}

/** The shortest way to write a size: what {@link readSize} reads back as the same number. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, sizeUnits);
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, whole = '', fraction = '0', unit = ''] = quantity.exec(text.trim()) ?? [];
  const factor = units.get(unit);
  if (whole === '' || factor === undefined) return undefined;
  const value = Number(`${whole}.${fraction}`) * factor;
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined;
}

function formatQuantity(value: number, units: ReadonlyMap<string, number>): string {
  let best = `${value}`;
  for (const [unit, factor] of units) {
    if (value % factor === 0 && (value !== 0 || factor === 1)) best = `${value / factor} ${unit}`;
  }
  return best;
}

/** Where a listener is bound: an IP address without brackets, or `localhost`. */
export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** A host name or IP address in its one spelling, without brackets; undefined if it cannot be one. */
export function parseHost(text: string): string | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (bare.includes(':')) return parseIPv6(bare);
  if (bare !== text) return undefined;
  if (isIPv4(text)) return text;
  return normaliseDomain(text);
}

/** A host as it stands in a URL or a Host field: IPv6 in brackets. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. A host name other than localhost is refused: it may move. */
export function parseListen(text: string): Reading<ListenAddress> {
  const remedy = 'write an address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or "[::]:8080"';
  const split = splitHostPort(text);
  const host = split === undefined ? undefined : parseHost(split.host);
  const port = split?.port;
  if (host === undefined || port === undefined) {
    return wrong(`${JSON.stringify(text)} is not an address to listen on: ${remedy}`);
  }
  if (host !== 'localhost' && !isIPv4(host) && !host.includes(':')) {
    return wrong(`${JSON.stringify(text)} names a host instead of an address: ${remedy}`);
  }
  return read({ host, port });
}

/** The widest networks that are taken: all private ones fit in, and no part of the Internet that is one site's. */
const widest = { ipv4: 8, ipv6: 16 };
/** Unique local and link-local addresses, which are nobody's on the Internet. */
const ownIPv6 = createNetworkMatch(['fc00::/7', 'fe80::/10']);

/**
 * A network as `address/prefix`: `10.0.0.0/8`, `2001:db8::/32`; a bare address stands for itself alone.
 *
 * Wherever networks stand in this configuration, "everybody" would be a hole: what is the whole Internet, or a large
 * part of it, is refused. IPv4 written as IPv6 (`::ffff:10.0.0.0/104`) is read as the IPv4 that it is, as clients are.
 */
export function parseNetwork(text: string): Reading<string> {
  const remedy = 'write a network such as 10.1.2.0/24 or 2001:db8::/32, or one address';
  const [, addressText = '', prefixText] = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = isIPv4(addressText) ? addressText : parseIPv6(addressText);
  if (address === undefined) return wrong(`${JSON.stringify(text)} is not a network: ${remedy}`);
  const isWide = address.includes(':');
  const width = isWide ? 128 : 32;
  const prefix = prefixText === undefined ? width : Number(prefixText);
  if (prefix > width) return wrong(`${JSON.stringify(text)} has a prefix longer than ${width}: ${remedy}`);
  const mapped = plainAddress(address);
  if (isWide && mapped !== address && prefix >= 96) {
    return parseNetwork(`${mapped}/${prefix - 96}`);
  }
  const holdsIPv4 = isWide && createNetworkMatch([`${address}/${prefix}`])('0.0.0.0');
  if (prefix === 0 || holdsIPv4) {
    return wrong(`${JSON.stringify(text)} is the whole Internet: list only your own addresses`);
  }
  const least = isWide ? (ownIPv6(address) ? 7 : widest.ipv6) : widest.ipv4;
  if (prefix < least) {
    return wrong(`${JSON.stringify(text)} is a large part of the Internet: list only your own addresses`);
  }
  return read(`${address}/${prefix}`);
}

/** Whether an address to listen on can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  const plain = plainAddress(host);
  return plain === 'localhost' || plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

/** A zone (`fe80::1%eth0`) is refused: no URL and no certificate can carry it. */
function parseIPv6(text: string): string | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

type ImapUrl = Pick<ImapEndpoint, 'hostname' | 'security'> & { readonly port: number | undefined };

/** The parts of a webmail's URL. */
export type WebmailUrl = Pick<WebmailEndpoint, 'landing'> & {
  readonly scheme: 'http' | 'https';
  /** As in a URL: IPv6 in brackets. */
  readonly host: string;
  readonly port: number | undefined;
};

/** The remedy for a malformed IMAP URL. */
export const imapRemedy = 'write imaps://HOST (TLS from the first byte) or imap://HOST (STARTTLS, required)';

/** The remedy for a malformed webmail URL. */
export const webmailRemedy =
  'write the address under which the gateway reaches it, such as http://mx1.internal/ or https://mx1/mail/';

/** The remedy for a malformed public URL. */
export const publicUrlRemedy = 'write scheme and host as users type them, such as https://mail.example.org';

/** The remedy for a malformed Redis URL. */
export const redisRemedy = 'write redis://HOST:6379/0, or rediss://HOST:6379/0 for TLS';

/** A URL with an @ may hold a password: it is never shown. */
function quotedUrl(url: string): string {
  return url.includes('@') ? 'the URL' : shownValue(url);
}

/** `imaps://mx1`, `imap://[2001:db8::1]:1143`. */
export function parseImapUrl(text: string): Reading<ImapUrl> {
  const [, scheme = '', authority = '', rest = ''] = /^([a-z]+):\/\/([^/?#]*)([^]*)$/i.exec(text) ?? [];
  const security = { imaps: 'tls', imap: 'starttls' } as const;
  const name = scheme.toLowerCase();
  if (authority.includes('@')) return wrong(`the URL contains a user or password: ${imapRemedy}`);
  if (name !== 'imaps' && name !== 'imap') return wrong(`${quotedUrl(text)} is not an IMAP URL: ${imapRemedy}`);
  const place = parseHostPort(authority);
  if (place === undefined) return wrong(`${quotedUrl(text)} names no valid host: ${imapRemedy}`);
  if (rest !== '' && rest !== '/') return wrong(`${quotedUrl(text)} has a path, but IMAP has none: ${imapRemedy}`);
  return read({ hostname: place.host, port: place.port, security: security[name] });
}

/** The path, with its query, is where users land; no path stands for `/`. */
export function parseWebmailUrl(text: string): Reading<WebmailUrl> {
  const url = parseHttpUrl(text, 'a webmail URL', webmailRemedy);
  if (url.kind === 'wrong') return url;
  const { protocol, pathname, search } = url.value;
  const port = /^[^/]*\/\/[^/?]*:(\d+)(?:[/?]|$)/.exec(text)?.[1];
  if (pathname === '/-' || pathname.startsWith('/-/')) {
    return wrong(`${quotedUrl(text)} is under /-/, which belongs to the gateway: serve the webmail under another path`);
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
    return wrong(`${quotedUrl(text)} has a path: the gateway answers for the whole host; write ${origin}`);
  }
  return read({ origin, authority: host, secure: protocol === 'https:' });
}

/** A Redis address that names no password: that one has a key of its own, so that it never stands in this file. */
export function parseRedisUrl(text: string): Reading<string> {
  if (!URL.canParse(text)) return wrong(`the Redis URL is malformed: ${redisRemedy}`);
  const url = new URL(text);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    return wrong(`the Redis URL has the scheme ${JSON.stringify(url.protocol)}: ${redisRemedy}`);
  }
  if (url.password !== '') {
    return wrong(
      'the Redis URL contains a password: write redis: { url: redis://USER@HOST:6379/0, password: { file: redis.password } }',
    );
  }
  if (parseHost(url.hostname) === undefined) return wrong(`the Redis URL names no host: ${redisRemedy}`);
  if (!/^\/?\d{0,4}$/.test(url.pathname) || url.search !== '' || url.hash !== '') {
    return wrong(`the Redis URL has more than a database number after the host: ${redisRemedy}`);
  }
  return read(text);
}

/** The remedy for a malformed syslog URL. */
export const syslogRemedy = 'write tls://HOST:6514, or tcp://HOST:601 in a network of your own';

/** `tls://siem.internal`, `tcp://192.0.2.9:514`. */
export function parseSyslogUrl(text: string): Reading<{ host: string; port: number; isTls: boolean }> {
  const [, scheme = '', authority = ''] = /^(tls|tcp):\/\/([^/?#@]*)\/?$/i.exec(text) ?? [];
  const place = parseHostPort(authority);
  if (place === undefined) return wrong(`${quotedUrl(text)} is not the URL of a syslog server: ${syslogRemedy}`);
  const isTls = scheme.toLowerCase() === 'tls';
  return read({ host: place.host, port: place.port ?? (isTls ? 6514 : 601), isTls });
}

function parseHttpUrl(text: string, what: string, remedy: string): Reading<URL> {
  const authority = /^https?:\/\/([^/?#\\]*)/i.exec(text)?.[1];
  if (authority?.includes('@') === true) return wrong(`the URL contains a user or password: ${remedy}`);
  if (authority === undefined || !URL.canParse(text)) return wrong(`${quotedUrl(text)} is not ${what}: ${remedy}`);
  const url = new URL(text);
  if (parseHost(url.hostname) === undefined || url.port === '0')
    return wrong(`${quotedUrl(text)} names no valid host: ${remedy}`);
  // The URL parser drops tabs and line ends in silence and turns a backslash into a slash.
  if (/[\s\\]/.test(text)) return wrong(`${quotedUrl(text)} contains white space or a backslash: ${remedy}`);
  if (text.includes('#')) return wrong(`${quotedUrl(text)} has a fragment, which never reaches a server: ${remedy}`);
  return read(url);
}

/** `host`, `host:port`, `[address]:port`: a server that can be dialled; undefined if the text is none. */
export function parseHostPort(text: string): HostPort | undefined {
  const split = splitHostPort(text);
  const host = split === undefined || split.port === 0 ? undefined : parseHost(split.host);
  return host === undefined ? undefined : { host, port: split?.port };
}

/** Scheme, host and port as an origin: the port is left out where it is the scheme's own. */
export function urlOrigin(scheme: 'http' | 'https', host: string, port: number | undefined): string {
  return new URL(`${scheme}://${bracketed(host.replace(/^\[|\]$/g, ''))}${port === undefined ? '' : `:${port}`}`)
    .origin;
}

/**
 * The result of parsing a text: its value, or a sentence that says what is wrong and what to write instead.
 */
export type Reading<T> = { readonly kind: 'ok'; readonly value: T } | { readonly kind: 'wrong'; readonly why: string };

/** A reading with this value. */
export function read<T>(value: T): Reading<T> {
  return { kind: 'ok', value };
}

/** A reading that failed; `why` says what is wrong and what to write instead. */
export function wrong(why: string): Reading<never> {
  return { kind: 'wrong', why };
}

/** A value as a message may show it: short, on one line, with everything unprintable escaped. */
export function shownValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 76)}…"` : text;
}
