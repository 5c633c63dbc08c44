import { isIP, isIPv4 } from 'node:net';
import { plainAddress } from '../core/network.ts';

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
