import { isIP, isIPv4 } from 'node:net';
import { plainAddress } from '../core/ip-networks.ts';

/**
 * The network that a client is counted under: the /24 of an IPv4 address, the /64 of an IPv6 one, for one subscriber
 * has at least that many addresses. An IPv4 address in IPv6 form counts as IPv4; what is no address stands for itself.
 */
export function clientNetwork(address: string): string {
  const plain = plainAddress(address);
  if (isIPv4(plain)) return `${plain.slice(0, plain.lastIndexOf('.'))}.0/24`;
  if (isIP(plain) === 0) return plain;
  return `${firstGroups(plain).join(':')}::/64`;
}

/**
 * The networks that an address belongs to, the widest first and the address last: what one subscriber or one site may
 * have at most is a /48 or a /56 of IPv6, and a /24 stands for neighbours in IPv4.
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
