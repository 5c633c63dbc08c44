import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import type { HostKind, Ingress, PublicUrl } from '../core/http.ts';
import type { TraceIds } from '../core/identity.ts';
import { createNetworkMatch, plainAddress, splitHostPort } from '../core/ip-networks.ts';
import { createWarnings, type Log, type Warn } from '../core/log.ts';
import type { ProxiedClient } from './proxy-protocol-listener.ts';
import type { IncomingHead } from './request-head.ts';

/**
 * The ingress of a request, or why it has none. `redirect`: to the same page under HTTPS, or without the dot of the DNS
 * root. `refused`: `why` is for the log and for the administrator of the load balancer; strangers may see it.
 */
export type IngressDecision =
  | { readonly kind: 'accepted'; readonly ingress: Ingress }
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'refused'; readonly why: IngressRefusal };

/**
 * Why a request is refused. `not-https`: it used HTTP, or may have, for an https public URL; `not-http`: the reverse.
 */
export type IngressRefusal = 'no-host' | 'foreign-host' | 'not-https' | 'not-http';

/** Options of createIngress. */
export interface IngressOptions {
  readonly publicUrls: readonly PublicUrl[];
  /** The URLs for staff, if this listener serves them. */
  readonly console?: PublicUrl;
  readonly assist?: PublicUrl;
  /** CIDRs or single addresses whose X-Forwarded-* fields are trusted. */
  readonly trustedProxies: readonly string[];
  /** The client in a connection's PROXY protocol header. Undefined if the listener reads no such headers. */
  readonly proxiedClient?: (connection: Socket) => ProxiedClient | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

/** A public URL with its audience. */
type IngressHost = PublicUrl & { readonly hostKind: HostKind };

/** Decides the ingress of a request from its connection, its Host and the trusted proxies. */
export type IngressReader = (request: IncomingMessage, head: IncomingHead) => IngressDecision;

/** `unknown`: neither a trusted proxy nor a PROXY protocol header gives the scheme. */
type Scheme = 'http' | 'https' | 'unknown';

/** Creates the reader of a request's ingress: its client, public URL and audience. */
export function createIngress(options: IngressOptions): IngressReader {
  const isTrusted = createNetworkMatch(options.trustedProxies);
  const byAuthority = new Map<string, IngressHost[]>();
  for (const url of hostsOf(options)) {
    // A client may write the default port of the scheme, too.
    const withPort = /:\d+$/.test(url.authority) ? url.authority : `${url.authority}:${url.secure ? 443 : 80}`;
    for (const authority of new Set([url.authority, withPort])) {
      byAuthority.set(authority, [...(byAuthority.get(authority) ?? []), url]);
    }
  }
  const warn = createWarnings(options.log, options.clock);
  const loops = createRedirectLoops(options.clock);

  return (request, head) => {
    const proxied = options.proxiedClient?.(request.socket);
    const peer = plainAddress(proxied?.source.address ?? request.socket.remoteAddress ?? '');
    const believed = isTrusted(peer);
    const port = proxied?.source.port ?? request.socket.remotePort ?? 0;
    const ids = believed ? idsFromProxy(head) : madeIds();
    const { client, proxies } = clientOf(head, { address: peer, port, isBelieved: believed, ids }, isTrusted);
    const { host } = head;
    const forwardedHost = believed ? forwardedValueOf(head.all('x-forwarded-host'), proxies) : undefined;
    if (host === undefined && forwardedHost === undefined) {
      warn('host-missing', peer, { peer });
      return { kind: 'refused', why: 'no-host' };
    }
    const forwarded = forwardedHost === undefined ? undefined : byAuthority.get(normalisedAuthority(forwardedHost));
    const named = forwarded ?? (host === undefined ? undefined : byAuthority.get(normalisedAuthority(host)));
    const name = (forwarded === undefined ? host : forwardedHost) ?? '';
    // A name with a trailing dot is another origin to a browser, with other cookies. Reading requests are redirected.
    const isDotted = endsInDot.test(name);
    if (named === undefined || (isDotted && !isReadRequest(head))) {
      const authority = (forwardedHost ?? host ?? '').slice(0, 255);
      const remedy = foreignHostRemedy(believed, forwardedHost);
      warn('host-foreign', authority, { authority, peer, remedy });
      return { kind: 'refused', why: 'foreign-host' };
    }
    const scheme = schemeOf({ request, head, named, believed, proxied, proxies });
    const arrivedAt = named.find((url) => scheme === (url.secure ? 'https' : 'http'));
    if (arrivedAt !== undefined && !isDotted) {
      return { kind: 'accepted', ingress: { publicUrl: arrivedAt, hostKind: arrivedAt.hostKind, client, ...ids } };
    }
    const decision: IngressDecision =
      arrivedAt === undefined
        ? wrongScheme(named, scheme, { head, peer, believed, proxied, warn })
        : { kind: 'redirect', location: `${arrivedAt.origin}${head.target}` };
    if (decision.kind === 'redirect' && loops.isLoop(`${client.address} ${client.userAgent ?? ''} ${head.target}`)) {
      warn('redirect-loop', peer, { peer, proxies, client: client.address, ...forwardedFieldsOf(head) });
    }
    return decision;
  };
}

/** A bounded form that no log and no header field can misread. UUIDs and the ids of nginx and HAProxy have it. */
const requestIdForm = /^[\w.:=+/@-]{8,128}$/;
/** Source: W3C Trace Context, 3.2. A later version may append fields. */
const traceparentForm =
  /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,64})?$/;
const tracestateForm = /^[ -~]{1,512}$/;

/** New ids. The trace is not sampled: the gateway records no span of it. */
function madeIds(): TraceIds {
  const hex = randomBytes(24).toString('hex');
  const requestId = hex.slice(0, 32);
  return { requestId, traceparent: `00-${requestId}-${hex.slice(32)}-00` };
}

/** The ids of a trusted proxy; what it does not send, or in another form, is made. */
function idsFromProxy(head: IncomingHead): TraceIds {
  const made = madeIds();
  const requestId = onlyIn(head.all('x-request-id'), requestIdForm);
  const traceparent = onlyIn(head.all('traceparent'), traceparentForm);
  if (traceparent === undefined) return requestId === undefined ? made : { ...made, requestId };
  const tracestate = onlyIn([head.all('tracestate').join(',')], tracestateForm);
  const traceId = traceparent.slice(3, 35);
  return { requestId: requestId ?? traceId, traceparent, ...(tracestate === undefined ? {} : { tracestate }) };
}

function onlyIn([value, ...others]: readonly string[], form: RegExp): string | undefined {
  return value !== undefined && others.length === 0 && form.test(value) ? value : undefined;
}

/** The dot of the DNS root after a name, before a port. */
const endsInDot = /\.(?::\d*)?$/;

/** An authority for comparison: in lower case, without the dot of the DNS root or an empty port (RFC 3986, 6.2.3). */
function normalisedAuthority(authority: string): string {
  return authority.toLowerCase().replace(/\.?(:\d+)?:?$/, '$1');
}

function isReadRequest({ method }: IncomingHead): boolean {
  return method === 'GET' || method === 'HEAD';
}

function foreignHostRemedy(believed: boolean, forwardedHost: string | undefined): string {
  return believed && forwardedHost === undefined
    ? 'add it to public_url if users know it, or have the load balancer send X-Forwarded-Host'
    : 'add it to public_url if users know it';
}

/** The fields of proxies in a request, for the log. */
function forwardedFieldsOf(head: IncomingHead): { readonly forwardedProto: string; readonly forwardedFor: string } {
  const told = (name: string): string => head.all(name).join(', ').slice(0, 255);
  return { forwardedProto: told('x-forwarded-proto'), forwardedFor: told('x-forwarded-for') };
}

const redirectLoopMs = 10_000;
const redirectsOfALoop = 3;

/** Detects a client that is redirected to the same address repeatedly. A browser gives up after about twenty times. */
function createRedirectLoops(clock: Clock): { isLoop(key: string): boolean } {
  const redirected = new BoundedMap<string, { readonly sinceMs: number; times: number }>(1000);
  return {
    isLoop(key) {
      const nowMs = clock.nowMs();
      const known = redirected.get(key);
      if (known !== undefined && nowMs - known.sinceMs < redirectLoopMs) {
        known.times += 1;
        return known.times >= redirectsOfALoop;
      }
      redirected.set(key, { sinceMs: nowMs, times: 1 });
      return false;
    },
  };
}

function hostsOf({ publicUrls, console, assist }: IngressOptions): readonly IngressHost[] {
  return [
    ...publicUrls.map((url): IngressHost => ({ ...url, hostKind: 'public' })),
    ...(console === undefined ? [] : [{ ...console, hostKind: 'console' } as const]),
    ...(assist === undefined ? [] : [{ ...assist, hostKind: 'assist' } as const]),
  ];
}

interface RefusedRequest {
  readonly head: IncomingHead;
  readonly peer: string;
  readonly believed: boolean;
  readonly proxied: ProxiedClient | undefined;
  readonly warn: Warn;
}

function wrongScheme(named: readonly PublicUrl[], scheme: Scheme, asked: RefusedRequest): IngressDecision {
  const { head, peer, believed, proxied, warn } = asked;
  const secure = named.find((url) => url.secure);
  if (secure === undefined) {
    if (scheme === 'unknown' && named[0] !== undefined) {
      warn('scheme-missing', peer, { peer, ...forwardedFieldsOf(head) });
    } else {
      const origin = `https://${named[0]?.authority ?? ''}`;
      warn('https-not-public', peer, { peer, origin });
    }
    return { kind: 'refused', why: 'not-http' };
  }
  if (scheme === 'http' && (believed || proxied !== undefined) && isReadRequest(head)) {
    return { kind: 'redirect', location: `${secure.origin}${head.target}` };
  }
  if (proxied !== undefined) {
    warn('proxy-header-without-tls', peer, { peer, port: proxied.destinationPort });
  } else if (!believed) {
    warn('http-not-public', peer, { peer });
  } else if (scheme === 'unknown') {
    warn('scheme-missing', peer, { peer, ...forwardedFieldsOf(head) });
  }
  return { kind: 'refused', why: 'not-https' };
}

interface SchemeEvidence {
  readonly request: IncomingMessage;
  readonly head: IncomingHead;
  readonly named: readonly PublicUrl[];
  readonly believed: boolean;
  readonly proxied: ProxiedClient | undefined;
  readonly proxies: number;
}

/** Schemes as proxies write them. Some write `ws` or `wss` for a WebSocket. */
const schemes: ReadonlyMap<string | undefined, 'http' | 'https'> = new Map([
  ['http', 'http'],
  ['ws', 'http'],
  ['https', 'https'],
  ['wss', 'https'],
]);

function schemeOf({ request, head, named, believed, proxied, proxies }: SchemeEvidence): Scheme {
  if (believed) {
    const scheme = schemes.get(forwardedValueOf(head.all('x-forwarded-proto'), proxies)?.toLowerCase());
    if (scheme !== undefined) return scheme;
    if (proxied === undefined) return 'unknown';
  }
  if ('encrypted' in request.socket) return 'https';
  return proxied === undefined ? 'http' : schemeOfProxied(proxied, named);
}

/**
 * The scheme by a PROXY protocol header. If it does not mention TLS, its port tells: each public URL has one of its
 * own.
 */
function schemeOfProxied({ tls, destinationPort }: ProxiedClient, named: readonly PublicUrl[]): Scheme {
  if (tls !== undefined) return tls ? 'https' : 'http';
  if (named.some((url) => url.secure && publicPortOf(url) === destinationPort)) return 'https';
  return destinationPort === 80 || named.some((url) => publicPortOf(url) === destinationPort) ? 'http' : 'unknown';
}

function publicPortOf({ authority, secure }: PublicUrl): number {
  return Number(/:(\d+)$/.exec(authority)?.[1] ?? (secure ? 443 : 80));
}

/**
 * Finds the client. It walks X-Forwarded-For from the right while the hop that wrote the entry is trusted; an entry
 * that is not an address ends the walk. `proxies`: the number of trusted proxies in the field.
 */
function clientOf(
  head: IncomingHead,
  peer: {
    readonly address: string;
    readonly port: number;
    readonly isBelieved: boolean;
    readonly ids: TraceIds;
  },
  isTrusted: (address: string) => boolean,
): { readonly client: Ingress['client']; readonly proxies: number } {
  let { address, port } = peer;
  let proxies = 0;
  if (peer.isBelieved) {
    const hops = head.all('x-forwarded-for').join(',').split(',');
    for (let i = hops.length - 1; i >= 0 && isTrusted(address); i -= 1) {
      const hop = parseHop(hops[i] ?? '');
      if (hop === undefined) break;
      ({ address, port } = hop);
      proxies += 1;
    }
  }
  const [userAgent, language] = [head.header('user-agent'), head.header('accept-language')];
  return { client: { address, port, userAgent, language, trace: peer.ids }, proxies };
}

/** Reads one entry of X-Forwarded-For. In use are `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` and `[2001:db8::1]:80`. */
function parseHop(text: string): { readonly address: string; readonly port: number } | undefined {
  const whole = text.trim();
  // In an IPv6 address without brackets, what looks like a port belongs to the address.
  if (isIP(whole) !== 0) return { address: plainAddress(whole), port: 0 };
  const { host = '', port = 0 } = splitHostPort(whole) ?? {};
  const address = plainAddress(host.replace(/^\[(.*)\]$/, '$1'));
  return isIP(address) === 0 ? undefined : { address, port };
}

/**
 * The value from the outermost of `proxies` trusted proxies; undefined if it is empty. Each proxy appends what it saw,
 * so the list counts from the right, as that of addresses does. A shorter list was begun by a later proxy, and its left
 * end is nearest to the client.
 */
function forwardedValueOf(values: readonly string[], proxies: number): string | undefined {
  const told = values
    .join(',')
    .split(',')
    .map((value) => value.trim());
  const text = told[Math.max(told.length - Math.max(proxies, 1), 0)];
  return text === '' ? undefined : text;
}
