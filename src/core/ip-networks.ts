import { BlockList, isIP, isIPv6 } from 'node:net';
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
