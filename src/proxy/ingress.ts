import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Ingress, PublicUrl } from '../core/ingress.ts';
import type { Log } from '../core/log.ts';
import type { IncomingHead } from './request-head.ts';

/**
 * Where a request came in, or why it goes no further. `redirect`: to the same page under HTTPS. `refused`: `why` is
 * for the log and for whoever sets the load balancer up; it names nothing that a stranger may not know.
 */
export type IngressDecision =
  | { readonly kind: 'accepted'; readonly ingress: Ingress }
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'refused'; readonly why: IngressRefusal };

/** `not-https`: plain HTTP, or not known to be HTTPS, for an https public URL; `not-http` the other way round. */
export type IngressRefusal = 'no-host' | 'foreign-host' | 'not-https' | 'not-http';

export interface IngressOptions {
  readonly publicUrls: readonly PublicUrl[];
  /** CIDRs or single addresses whose X-Forwarded-* are believed. */
  readonly trustedProxies: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
}

/** Decides once per request, from the connection, the Host and the proxies that are trusted. */
export type IngressReader = (request: IncomingMessage, head: IncomingHead) => IngressDecision;

/** `unknown`: a trusted proxy that does not say. */
type Scheme = 'http' | 'https' | 'unknown';

export function createIngress(options: IngressOptions): IngressReader {
  const isTrusted = trustOf(options.trustedProxies);
  const byAuthority = new Map<string, PublicUrl[]>();
  for (const url of options.publicUrls) {
    // A client may write the scheme's own port, too.
    const withPort = /:\d+$/.test(url.authority) ? url.authority : `${url.authority}:${url.secure ? 443 : 80}`;
    for (const authority of new Set([url.authority, withPort])) {
      byAuthority.set(authority, [...(byAuthority.get(authority) ?? []), url]);
    }
  }
  const warn = createWarnings(options.log, options.clock);

  return (request, head) => {
    const peer = plainAddress(request.socket.remoteAddress ?? '');
    const believed = isTrusted(peer);
    const host = head.header('host');
    const forwardedHost = believed ? lastOf(head.all('x-forwarded-host')) : undefined;
    if (host === undefined && forwardedHost === undefined) return { kind: 'refused', why: 'no-host' };
    const named =
      (forwardedHost === undefined ? undefined : byAuthority.get(forwardedHost.toLowerCase())) ??
      (host === undefined ? undefined : byAuthority.get(host.toLowerCase()));
    if (named === undefined) {
      const authority = (forwardedHost ?? host ?? '').slice(0, 255);
      warn(
        'foreign-host',
        authority,
        { authority, peer },
        'Host is not one of public_url: add it there if users know it',
      );
      return { kind: 'refused', why: 'foreign-host' };
    }
    const scheme = schemeOf(request, head, believed);
    const publicUrl = named.find((url) => scheme === (url.secure ? 'https' : 'http'));
    if (publicUrl !== undefined) {
      return { kind: 'accepted', ingress: { publicUrl, client: clientOf(request, head, peer, isTrusted) } };
    }
    return wrongScheme(named, scheme, { head, peer, believed, warn });
  };
}

interface Asked {
  readonly head: IncomingHead;
  readonly peer: string;
  readonly believed: boolean;
  readonly warn: ReturnType<typeof createWarnings>;
}

function wrongScheme(named: readonly PublicUrl[], scheme: Scheme, asked: Asked): IngressDecision {
  const { head, peer, believed, warn } = asked;
  const secure = named.find((url) => url.secure);
  if (secure === undefined) {
    if (scheme === 'unknown' && named[0] !== undefined) {
      warn('no-proto', peer, { peer }, 'a trusted proxy sends no X-Forwarded-Proto: have it send http or https');
    } else {
      const origin = `https://${named[0]?.authority ?? ''}`;
      warn('not-http', peer, { peer, origin }, 'request came over https: add this origin to public_url');
    }
    return { kind: 'refused', why: 'not-http' };
  }
  if (scheme === 'http' && believed && (head.method === 'GET' || head.method === 'HEAD')) {
    return { kind: 'redirect', location: `${secure.origin}${head.target}` };
  }
  if (!believed) {
    warn(
      'untrusted',
      peer,
      { peer },
      'plain http for an https public_url: if this peer is the load balancer, add it to trusted_proxies',
    );
  } else if (scheme === 'unknown') {
    warn('no-proto', peer, { peer }, 'a trusted proxy sends no X-Forwarded-Proto: have it send http or https');
  }
  return { kind: 'refused', why: 'not-https' };
}

function schemeOf(request: IncomingMessage, head: IncomingHead, believed: boolean): Scheme {
  if (believed) {
    const scheme = lastOf(head.all('x-forwarded-proto'))?.toLowerCase();
    return scheme === 'http' || scheme === 'https' ? scheme : 'unknown';
  }
  return 'encrypted' in request.socket ? 'https' : 'http';
}

/** Walks X-Forwarded-For from the right while the hop that wrote it is trusted; an entry that is no address ends the walk. */
function clientOf(
  request: IncomingMessage,
  head: IncomingHead,
  peer: string,
  isTrusted: (address: string) => boolean,
): Ingress['client'] {
  let address = peer;
  let port = request.socket.remotePort ?? 0;
  if (isTrusted(peer)) {
    const hops = head.all('x-forwarded-for').join(',').split(',');
    for (let i = hops.length - 1; i >= 0 && isTrusted(address); i -= 1) {
      const hop = parseHop(hops[i] ?? '');
      if (hop === undefined) break;
      ({ address, port } = hop);
    }
  }
  return { address, port, userAgent: head.header('user-agent') };
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`: all of them are seen in X-Forwarded-For. */
function parseHop(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^\s*(?:\[([^\]]+)\]|([^:[\]\s]+)(?=:\d{1,5}\s*$)|([^[\]\s]+?))(?::(\d{1,5}))?\s*$/.exec(text);
  if (match === null) return undefined;
  // An IPv6 address without brackets: what looks like its port belongs to it.
  const whole = text.trim();
  if (isIP(whole) !== 0) return { address: plainAddress(whole), port: 0 };
  const address = plainAddress(match[1] ?? match[2] ?? match[3] ?? '');
  return isIP(address) === 0 ? undefined : { address, port: Number(match[4] ?? 0) };
}

/** Without zone, and IPv4 as IPv4 where the socket shows it mapped into IPv6. */
function plainAddress(address: string): string {
  const zone = address.indexOf('%');
  const bare = zone === -1 ? address : address.slice(0, zone);
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare;
}

function lastOf(values: readonly string[]): string | undefined {
  const last = values.at(-1);
  if (last === undefined) return undefined;
  const text = last.slice(last.lastIndexOf(',') + 1).trim();
  return text === '' ? undefined : text;
}

function trustOf(cidrs: readonly string[]): (address: string) => boolean {
  if (cidrs.length === 0) return () => false;
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [network = '', bits] = cidr.split('/');
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(network, family);
    else list.addSubnet(network, Number(bits), family);
  }
  const known = new Map<string, boolean>();
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const family = isIP(address);
    const trusted = family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
    if (known.size >= 1000) known.clear();
    known.set(address, trusted);
    return trusted;
  };
}

/** One line a minute for each cause: whoever scans the address range must not fill the log. */
function createWarnings(log: Log, clock: Clock) {
  const lastMs = new Map<string, number>();
  return (cause: string, detail: string, fields: object, message: string): void => {
    const key = `${cause} ${detail}`;
    const now = clock.nowMs();
    if (now - (lastMs.get(key) ?? Number.NEGATIVE_INFINITY) < 60_000) return;
    if (lastMs.size >= 100) lastMs.clear();
    lastMs.set(key, now);
    log.warn(fields, message);
  };
}
