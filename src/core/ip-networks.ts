import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { BoundedMap } from './bounded-map.ts';

const rememberedAddresses = 1000;

/** Returns an address without its zone; an IPv4 address mapped into IPv6, in any spelling, as plain IPv4. */
export function plainAddress(address: string): string {
  const zone = address.indexOf('%');
  const bare = zone === -1 ? address : address.slice(0, zone);
  if (/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare)) return bare.slice(7);
  return /^[0:]*:ffff:/i.test(bare) && isIPv6(bare) ? mappedIPv4(bare) : bare;
}

/** A host as it was written, IPv6 in brackets, and the port behind it. */
export interface HostPort {
  readonly host: string;
  readonly port: number | undefined;
}

/** Splits `host`, `host:port`, `[address]` or `[address]:port`; undefined for anything else. */
export function splitHostPort(text: string): HostPort | undefined {
  const [, host, digits] = /^(\[[^\]\s]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  return host === undefined || (port ?? 0) > 65_535 ? undefined : { host, port };
}

/** The IPv4 address in `::ffff:a00:1`, which may also be written in full. */
function mappedIPv4(address: string): string {
  const [, high, low] =
    /^\[::ffff:([\da-f]{1,4}):([\da-f]{1,4})\]$/.exec(new URL(`http://[${address}]/`).hostname) ?? [];
  if (high === undefined || low === undefined) return address;
  const bytes = [high, low].map((part) => Number.parseInt(part, 16)).flatMap((part) => [part >> 8, part & 255]);
  return bytes.join('.');
}

/**
 * Makes a function that tells whether an address lies in one of the networks. A network is `192.0.2.0/24`,
 * `2001:db8::/32` or a single address. Throws a RangeError that names the first malformed one.
 */
export function createNetworkMatch(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [base = '', bits] = network.split('/');
    const family = isIP(base);
    const prefix = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits);
    if (family === 0 || !/^\d{1,3}$/.test(bits ?? '0') || prefix > (family === 4 ? 32 : 128)) {
      throw new RangeError(`not a network: ${JSON.stringify(network)}`);
    }
    list.addSubnet(base, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  // Each proxied request asks, of the same few addresses.
  const known = new BoundedMap<string, boolean>(rememberedAddresses);
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const plain = plainAddress(address);
    const family = isIP(plain);
    const matches = family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
    known.set(address, matches);
    return matches;
  };
}

/** A network in its one spelling, such as `192.0.2.0/24`, and the length of its prefix. */
export interface NamedNetwork {
  /** A single address stands without its prefix. */
  readonly name: string;
  readonly prefix: number;
  readonly family: 4 | 6;
}

/** Returns the one spelling of a network or an address; undefined if the text is neither. Host bits are cleared. */
export function namedNetwork(text: string): NamedNetwork | undefined {
  const [base = '', bits, ...more] = text.trim().split('/');
  const address = plainAddress(base);
  const family = isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;
  if (family === undefined || more.length > 0 || !/^\d{1,3}$/.test(bits ?? '0')) return undefined;
  const longest = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? longest : Number(bits);
  if (prefix > longest) return undefined;
  const cut = family === 4 ? maskedIPv4(address, prefix) : maskedIPv6(address, prefix);
  return { name: prefix === longest ? cut : `${cut}/${prefix}`, prefix, family };
}

function maskedIPv4(address: string, prefix: number): string {
  return masked(address.split('.').map(Number), prefix, 8).join('.');
}

function maskedIPv6(address: string, prefix: number): string {
  const [head = '', tail = ''] = shortIPv6(address).split('::');
  const [front, back] = [head, tail].map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array.from({ length: 8 - (front?.length ?? 0) - (back?.length ?? 0) }, () => '0');
  const groups = [...(front ?? []), ...zeros, ...(back ?? [])].map((group) => Number.parseInt(group, 16));
  return shortIPv6(
    masked(groups, prefix, 16)
      .map((group) => group.toString(16))
      .join(':'),
  );
}

/** The address as RFC 5952 writes it. */
function shortIPv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

/** Clears the bits behind the prefix, in parts of so many bits each. */
function masked(parts: readonly number[], prefix: number, bits: number): number[] {
  return parts.map((part, index) => {
    const kept = Math.min(bits, Math.max(0, prefix - index * bits));
    return part & (((1 << kept) - 1) << (bits - kept));
  });
}

/**
 * The network that a client is counted under: the /24 of an IPv4 address, the /64 of an IPv6 one, since one subscriber
 * has at least that many addresses. An IPv4 address in IPv6 form counts as IPv4. Any other text stands for itself.
 */
export function clientNetwork(address: string): string {
  const plain = plainAddress(address);
  if (isIPv4(plain)) return `${plain.slice(0, plain.lastIndexOf('.'))}.0/24`;
  if (isIP(plain) === 0) return plain;
  return `${firstGroups(plain).join(':')}::/64`;
}

/**
 * The networks of an address, the widest first and the address last. A /48 or a /56 is the most that one IPv6
 * subscriber or site has; a /24 stands for neighbours in IPv4.
 */
export function clientNetworks(address: string): readonly string[] {
  const plain = plainAddress(address);
  if (isIPv4(plain)) return [clientNetwork(plain), plain];
  if (isIP(plain) === 0) return [plain];
  const [first = '0', second = '0', third = '0', fourth = '0'] = firstGroups(plain);
  const site = `${first}:${second}:${third}`;
  const home = Number.parseInt(fourth, 16) & 0xff00;
  return [`${site}::/48`, `${site}:${home.toString(16)}::/56`, clientNetwork(plain), plain];
}

/** The first four groups of an IPv6 address, without leading zeros. */
function firstGroups(address: string): string[] {
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    // A dotted end stands for two groups.
    const missing = 8 - groups.length - rest.length - (tail.includes('.') ? 1 : 0);
    groups.push(...Array.from({ length: missing }, () => '0'), ...rest);
  }
  return groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ''));
}
