import { BoundedMap } from '../core/bounded-map.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import type { Ingress } from '../core/http.ts';
import { cookiesForBackend, type HeaderFields, type IncomingHead, lowerCaseName } from './request-head.ts';

/**
 * The treatment of a field. `pass`: it goes on unchanged. `drop`: it never reaches a backend. The others are rewritten
 * or checked, each in its own way.
 */
type RequestFieldClass = 'pass' | 'drop' | 'length' | 'range' | 'connection' | 'codings' | 'destination' | 'conditions';

/** Hop-by-hop fields (RFC 9110, 7.6.1), Expect, which Node has answered, and fields that the gateway writes itself. */
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
  'x-request-id',
  'traceparent',
  'tracestate',
]);

/** Parts of field names that identify the person behind a request. */
const person = String.raw`(?:user|usr|login|name|uid|upn|id|e?mail|dn|groups?|roles?|principal|identity|subject|claims?|account)`;
/** Parts of field names that identify the machine or the certificate behind it. */
const machine = String.raw`(?:ip|ipv6|addr|address|host|port|proto|scheme|ssl|tls|cert|certificate|verify|dn|s-dn|i-dn|serial|san|fingerprint)`;

/**
 * Fields that claim a user, an address, a scheme, a target or a method, which only the gateway may do. Each line is a
 * family of names that some server, gateway or framework trusts as set by the proxy in front of it.
 */
const droppedRequestFamilies: readonly RegExp[] = [
  // Addresses, hosts, ports and schemes as proxies saw them.
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
  // Gateways and modules of web servers that sign people in.
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
  // Fields from Exchange's front end to its back end.
  /^x-(?:be(?:resource|cookie|server|target)|anonresource|backend|commonaccesstoken|rps-|targetserver)/,
  /^(?:x-)?msexch/,
  // Another method, path or script than the validated one; files that a server in front would send.
  /^x-(?:http|method|override|rewrite|script|path|middleware|accel|sendfile|reproxy)(?:-|$)/,
  /^x-request(?:ed)?-(?:uri|url|path|method|host)/,
  /^(?:script-name|path-info|request-uri|request-method|server-name|query-string|document-root|http-)/,
];

/**
 * Names that a backend can read in one way only. Others are dropped: it may take `X_Real_IP` or `X.Real.IP` for
 * `X-Real-IP`.
 */
const unambiguousName = /^[A-Za-z0-9-]+$/;

/** Maximum number of ranges, more than any reader of mail asks for. Beyond it Range is ignored (RFC 9110, 14.2). */
const maxRanges = 5;
const rememberedRequestFields = 2000;

/** The codings that the gateway can decode to judge an answer. */
const knownCodings = /^(?:gzip|x-gzip|deflate|br|zstd|identity|\*)(?:\s*;.*)?$/i;

/** Options of createRequestHeaders. */
interface RequestHeadersOptions {
  /** Further names to drop, in lower case, because the operator's own servers trust them. */
  readonly alsoDropped: readonly string[];
}

/** The parts of a rebuilt head besides the client's own fields. */
interface RequestContext {
  readonly ingress: Ingress;
  /** The origin of the webmail, for a MOVE or COPY. */
  readonly backendOrigin?: string;
  /** Undefined for Basic clients: no cookies go on. */
  readonly jar: CookieJar | undefined;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
  /** The fields of the webmail's driver, which replace any other field of the same name. */
  readonly driverFields: HeaderFields;
  readonly nowMs: number;
}

/**
 * Rebuilds a head for the backend, as names and values in turn. The client's fields come first, without hop-by-hop
 * ones, those named in Connection, and all that could claim an address, an identity or another target. The gateway's
 * own follow.
 */
export type RequestHeaders = (head: IncomingHead, context: RequestContext) => string[];

/** Creates the rebuilding of request heads. */
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
  const { publicUrl, client, requestId, traceparent, tracestate } = context.ingress;
  fields.push('Host', publicUrl.authority);
  fields.push('X-Forwarded-For', client.address);
  fields.push('X-Forwarded-Proto', publicUrl.secure ? 'https' : 'http');
  fields.push('X-Forwarded-Host', publicUrl.authority);
  fields.push('X-Request-Id', requestId, 'Traceparent', traceparent);
  if (tracestate !== undefined) fields.push('Tracestate', tracestate);
  if (context.jar !== undefined) {
    const cookies = cookiesForBackend(context.jar, context.cookieRest, head.target, context.nowMs);
    if (cookies !== '') fields.push('Cookie', cookies);
  }
  if (context.driverFields.length === 0) return fields;
  const replaced = new Set(context.driverFields.map(([name]) => name.toLowerCase()));
  return [...withoutRequestFields(fields, replaced), ...context.driverFields.flat()];
}

/**
 * The destination of a MOVE or COPY (RFC 4918, 10.3) in the scheme of the webmail's server: mod_dav and nginx take any
 * other scheme for another server. The port stays the public one, which servers compare with the forwarding fields.
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
 * The resource tags of a list of conditions (RFC 4918, 10.4.3). The lists themselves are opaque. An unclosed part
 * reaches to the end: a regexp that searched again after each bracket would block the gateway for seconds.
 */
const listOrTag = /\((?:"[^"]*(?:"|$)|[^)"])*(?:\)|$)|<(https?:\/\/[^>]*)(?:>|$)/gi;

/** The conditions of a DAV request. Their resource tags are rewritten like the destination of a MOVE. */
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
    // The length frames the body. validateRequest has refused a Connection field that names it.
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
