import { isIPv4, isIPv6 } from 'node:net';
import { createNetworkMatch, plainAddress } from '../core/ip-networks.ts';
import { normaliseDomain } from '../core/names.ts';
import { read, type Reading, wrong } from './reading.ts';

/** Where a listener is bound: an IP address without brackets, or `localhost`. */
export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** A host name or IP address in its one spelling, without brackets; nothing when it cannot be one. */
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
  const [, hostText = '', portText = ''] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text) ?? [];
  const host = parseHost(hostText);
  const port = Number(portText);
  if (portText === '' || host === undefined || port > 65_535) {
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
 * Wherever networks stand in this configuration, "everybody" would be a hole: what is the whole Internet, or a large part
 * of it, is refused. IPv4 written as IPv6 (`::ffff:10.0.0.0/104`) is read as the IPv4 that it is, as clients are.
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
    return wrong(`${JSON.stringify(text)} is the whole Internet: list only the addresses that you run yourself`);
  }
  const least = isWide ? (ownIPv6(address) ? 7 : widest.ipv6) : widest.ipv4;
  if (prefix < least) {
    return wrong(
      `${JSON.stringify(text)} is a large part of the Internet: list only the addresses that you run yourself`,
    );
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
