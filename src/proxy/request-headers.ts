import { BoundedMap } from '../core/bounded-map.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import type { Ingress } from '../core/http.ts';
import { cookiesForBackend, type HeaderFields, type IncomingHead, lowerCaseName } from './request-head.ts';

/**
 * `pass`: goes on as it came. `length`, `range`, `connection`, `codings`: looked at. `drop`: never reaches a backend.
 */
type RequestFieldClass = 'pass' | 'drop' | 'length' | 'range' | 'connection' | 'codings' | 'destination' | 'conditions';

/** Hop by hop (RFC 9110, 7.6.1), what Node has answered already (Expect), and what the gateway writes itself. */
const droppedRequestFields = new Set([
  'cookie',
  'cookie2',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'authorization',
]);

/** Parts of field names that identify the person behind a request. */
const person = String.raw`(?:user|usr|login|name|uid|upn|id|e?mail|dn|groups?|roles?|principal|identity|subject|claims?|account)`;
/** Parts of field names that identify the machine or the certificate behind it. */
const machine = String.raw`(?:ip|ipv6|addr|address|host|port|proto|scheme|ssl|tls|cert|certificate|verify|dn|s-dn|i-dn|serial|san|fingerprint)`;

/**
 * Whom, from where, by which scheme, and for which target or method: only the gateway may say so. Each line is a family
 * of names that some server, gateway or framework reads as the word of whatever stands in front of it.
 */
const droppedRequestFamilies: readonly RegExp[] = [
  // Proxies: addresses, hosts, ports and schemes as they saw them.
  /^(?:x-)?forward/,
  /^(?:x-)?proxy/,
  /^(?:x-)?(?:original|originating)/,
  /^(?:x-)?real-/,
  /^(?:x-)?true-client-/,
  /^(?:x-)?cluster-/,
  /^(?:x-)?remote-/,
  /^x-(?:scheme|https?|host|port|proto|protocol|server|front-end-https|url-scheme)$/,
  /^(?:x-)?(?:server|source)-(?:name|addr|address|ip|port|host|proto|protocol|scheme)/,
  /^front-end-https$/,
  new RegExp(`^(?:x-)?client-?${machine}`),
  // Certificates of clients.
  /^(?:x-)?(?:ssl|tls|mtls|peer-cert|certificate)-/,
  // Networks and clouds in front.
  /^(?:x-)?(?:cf|cdn|fastly|akamai|azure|fd|appengine|arr|envoy|goog|kong|amzn|amz-cf|ms-client-principal|ms-token)-/,
  /^x-ms-client-principal$/,
  // Gateways that sign people in, and the modules of web servers that do.
  /^(?:x-)?(?:tailscale|oidc|pomerium|vouch|shib|mellon|saml|authentik|authelia|authn|authz|sso|webauth|krb|kerberos)-/,
  /^(?:x-)?(?:consumer|credential|jwt|webobjects|postern|iv|oam|osso|ajp|redirect)-/,
  // SiteMinder's own; X-SM-Token is SnappyMail's.
  /^sm-/,
  /^x-(?:auth|authenticated|authentication|authorization|authorized|id-token|anonymous-consumer|zumo-auth|userinfo)(?:-|$)/,
  /^x-token-(?:user|subject|email|groups?)/,
  /^(?:auth|wl-proxy|teleport-jwt|ngrok-auth|incap-client|fly-client|do-connecting)-/,
  /^(?:x-)?(?:logon-user|preferred-username)$/,
  /^x-(?:true-?client|real|sucuri-client)-?ip$/,
  new RegExp(`^(?:x-)?(?:authenticated|webmail|user|sm|iv)-?${person}`),
  /^x-(?:user|usr|login|uid|upn|e?mail|groups?|roles?|principal|identity|pass|password)$/,
  /^(?:x-)?(?:actor|impersonate|on-behalf-of)/,
  // Exchange: what its front end tells its back end.
  /^x-(?:be(?:resource|cookie|server|target)|anonresource|backend|commonaccesstoken|rps-|targetserver)/,
  /^(?:x-)?msexch/,
  // Another method, path or script than the one that was judged; files that a server in front would send.
  /^x-(?:http|method|override|rewrite|script|path|middleware|accel|sendfile|reproxy)(?:-|$)/,
  /^x-request(?:ed)?-(?:uri|url|path|method|host)/,
  /^(?:script-name|path-info|request-uri|request-method|server-name|query-string|document-root|http-)/,
];

/** A backend may read `X_Real_IP` or `X.Real.IP` as `X-Real-IP`: such names do not go on at all. */
const unambiguousName = /^[A-Za-z0-9-]+$/;

/**
 * More ranges than any reader of mail asks for: the whole is sent instead (RFC 9110, 14.2 lets a server ignore Range).
 */
const maxRanges = 5;
const rememberedRequestFields = 2000;

/** The codings that a driver's look inside an answer can undo. */
const knownCodings = /^(?:gzip|x-gzip|deflate|br|zstd|identity|\*)(?:\s*;.*)?$/i;

/** Options of createRequestHeaders. */
interface RequestHeadersOptions {
  /** Further names, in lower case, that the operator's own servers trust. */
  readonly alsoDropped: readonly string[];
}

/** The parts of a rebuilt head besides the client's own fields. */
interface RequestContext {
  readonly ingress: Ingress;
  /** That of the webmail, where a MOVE or COPY may name it. */
  readonly backendOrigin?: string;
  /** Undefined for clients without a session: no cookies go on. */
  readonly jar: CookieJar | undefined;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
  /** What the webmail's driver adds; in the place of any other field of the same name. */
  readonly driverFields: HeaderFields;
  readonly nowMs: number;
}

/**
 * The fields for the backend, names and values in turn: the client's without hop-by-hop ones, those named in
 * Connection, and every one that could claim an address, an identity or another target; then the gateway's own.
 */
export type RequestHeaders = (head: IncomingHead, context: RequestContext) => string[];

/** Makes the rebuilding of request heads: which fields pass, are dropped, or are the gateway's own. */
export function createRequestHeaders(options: RequestHeadersOptions): RequestHeaders {
  const classes = new BoundedMap<string, RequestFieldClass>(rememberedRequestFields);
  const alsoDropped = new Set(options.alsoDropped);

  function learn(name: string): RequestFieldClass {
    const lower = lowerCaseName(name);
    const found = alsoDropped.has(lower) ? 'drop' : requestFieldClassOf(lower);
    classes.set(name, found);
    return found;
  }

  return (head, context) => {
    const fields: string[] = [];
    let named: ReadonlySet<string> | undefined;
    for (let i = 0; i + 1 < head.raw.length; i += 2) {
      const name = head.raw[i] ?? '';
      const value = head.raw[i + 1] ?? '';
      switch (classes.get(name) ?? learn(name)) {
        case 'pass':
          fields.push(name, value);
          break;
        case 'length':
          if (head.hasBody) fields.push(name, value);
          break;
        case 'range':
          if (value.split(',').length <= maxRanges) fields.push(name, value);
          break;
        case 'codings':
          fields.push(name, onlyKnownCodings(value));
          break;
        case 'destination':
          fields.push(name, destinationFor(value, context));
          break;
        case 'conditions':
          fields.push(name, conditionsFor(value, context));
          break;
        case 'connection':
          named = connectionOptions(value, named);
          break;
        case 'drop':
      }
    }
    const passed = named === undefined ? fields : withoutRequestFields(fields, named);
    return withGatewayFields(passed, head, context);
  };
}

function requestFieldClassOf(lower: string): RequestFieldClass {
  if (!unambiguousName.test(lower) || droppedRequestFields.has(lower)) return 'drop';
  if (droppedRequestFamilies.some((family) => family.test(lower))) return 'drop';
  if (lower === 'connection') return 'connection';
  if (lower === 'content-length') return 'length';
  if (lower === 'range') return 'range';
  if (lower === 'accept-encoding') return 'codings';
  if (lower === 'destination') return 'destination';
  if (lower === 'if') return 'conditions';
  return 'pass';
}

function withGatewayFields(fields: string[], head: IncomingHead, context: RequestContext): string[] {
  const { publicUrl, client } = context.ingress;
  fields.push('Host', publicUrl.authority);
  fields.push('X-Forwarded-For', client.address);
  fields.push('X-Forwarded-Proto', publicUrl.secure ? 'https' : 'http');
  fields.push('X-Forwarded-Host', publicUrl.authority);
  if (context.jar !== undefined) {
    const cookies = cookiesForBackend(context.jar, context.cookieRest, head.target, context.nowMs);
    if (cookies !== '') fields.push('Cookie', cookies);
  }
  if (context.driverFields.length === 0) return fields;
  const replaced = new Set(context.driverFields.map(([name]) => name.toLowerCase()));
  return [...withoutRequestFields(fields, replaced), ...context.driverFields.flat()];
}

/**
 * The place that a MOVE or COPY names (RFC 4918, 10.3), in the scheme of the webmail's own server: mod_dav and nginx
 * take any other for another server. The port stays the public one, by which servers that look for the forwarding
 * fields know themselves.
 */
function destinationFor(value: string, { ingress: { publicUrl }, backendOrigin = '' }: RequestContext): string {
  const [authority = ''] = /^https?:\/\/[^/?#]*/i.exec(value) ?? [];
  const isOwn = authority !== '' && URL.parse(authority)?.origin === publicUrl.origin;
  const scheme = backendOrigin.slice(0, backendOrigin.indexOf(':'));
  if (!isOwn || scheme === '' || scheme === (publicUrl.secure ? 'https' : 'http')) return value;
  const port = /:\d+$/.test(publicUrl.authority) ? '' : publicUrl.secure ? ':443' : ':80';
  return `${scheme}://${publicUrl.authority}${port}${value.slice(authority.length)}`;
}

/**
 * The tags of a list of conditions (RFC 4918, 10.4.3), not the lists themselves: tokens and tags are opaque. What
 * is not closed reaches to the end: looked for again behind each bracket, it would hold the whole gateway up for seconds.
 */
const listOrTag = /\((?:"[^"]*(?:"|$)|[^)"])*(?:\)|$)|<(https?:\/\/[^>]*)(?:>|$)/gi;

/** The conditions of a DAV request, whose resources are named as the place of a MOVE is. */
function conditionsFor(value: string, context: RequestContext): string {
  return value.replace(listOrTag, (part, tag: string | undefined) =>
    tag === undefined || !part.endsWith('>') ? part : `<${destinationFor(tag, context)}>`,
  );
}

function connectionOptions(
  connection: string,
  before: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (connection === 'keep-alive' || connection === 'close') return before;
  const names = new Set(before);
  for (const option of connection.split(',')) names.add(option.trim().toLowerCase());
  return names;
}

function withoutRequestFields(fields: readonly string[], named: ReadonlySet<string>): string[] {
  const left: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const lower = lowerCaseName(name);
    // The length says where the body ends: screen() has refused a Connection that names it.
    if (!named.has(lower) || lower === 'content-length') left.push(name, fields[i + 1] ?? '');
  }
  return left;
}

function onlyKnownCodings(value: string): string {
  if (value === 'gzip, deflate, br, zstd' || value === 'gzip, deflate, br') return value;
  const known = value
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => knownCodings.test(coding));
  return known.length === 0 ? 'identity' : known.join(', ');
}
