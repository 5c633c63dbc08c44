import type { CookieJar } from '../core/cookie-jar.ts';
import type { Ingress } from '../core/ingress.ts';
import { cookiesForBackend } from './browser-cookies.ts';
import type { Fields } from './passage.ts';
import { type IncomingHead, lowerCaseName } from './request-head.ts';

/**
 * `pass`: goes on as it came. `length`, `range`, `connection`, `codings`: looked at. `drop`: never reaches a backend.
 */
type FieldClass = 'pass' | 'drop' | 'length' | 'range' | 'connection' | 'codings';

/** Hop by hop (RFC 9110, 7.6.1), what Node has answered already (Expect), and what the gateway writes itself. */
const droppedNames = new Set([
  'cookie',
  'cookie2',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'authorization',
  // Whom, from where, and by which scheme: only the gateway may say so.
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'client-ip',
  'cluster-client-ip',
  'fastly-client-ip',
  'front-end-https',
  'remote-addr',
  'remote-host',
  'remote-user',
  'true-client-ip',
  'x-accel-redirect',
  'x-actor',
  'x-appengine-user-ip',
  'x-azure-clientip',
  'x-azure-socketip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-envoy-external-address',
  'x-host',
  'x-https',
  'x-originating-ip',
  'x-real-ip',
  'x-real-port',
  'x-remote-addr',
  'x-remote-host',
  'x-remote-ip',
  'x-remote-user',
  'x-scheme',
  'x-sendfile',
  'x-true-client-ip',
  'x-url-scheme',
  'x-user',
  'x-username',
  'x-webauth-user',
  // What would make a backend take another method or target than the one that was judged.
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-override-url',
  'x-rewrite-url',
  'x-http-path-override',
  'x-http-destinationurl',
]);

const droppedPrefixes = [
  'proxy',
  'ssl-',
  'x-arr-',
  'x-auth-',
  'x-authenticated-',
  'x-client-cert',
  'x-forward',
  'x-ms-client-principal',
  'x-original',
  'x-postern-',
  'x-proxy',
  'x-ssl-',
  'x-sso-',
  'x-webobjects-',
];

/** A backend may read `X_Real_IP` or `X.Real.IP` as `X-Real-IP`: such names do not go on at all. */
const plainName = /^[A-Za-z0-9-]+$/;

/**
 * More ranges than any reader of mail asks for: the whole is sent instead (RFC 9110, 14.2 lets a server ignore Range).
 */
const maxRanges = 5;
const maxClasses = 2000;

/** The codings that a driver's look inside an answer can undo. */
const knownCodings = /^(?:gzip|x-gzip|deflate|br|zstd|identity|\*)(?:\s*;.*)?$/i;

export interface RequestHeadersOptions {
  /** Further names, in lower case, that the operator's own servers trust. */
  readonly alsoDropped: readonly string[];
}

/** What a rebuilt head is made of besides the client's own fields. */
interface RequestContext {
  readonly ingress: Ingress;
  /** Nothing for clients without a session: no cookies go on. */
  readonly jar: CookieJar | undefined;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
  /** What the webmail's driver adds; in the place of any other field of the same name. */
  readonly driverFields: Fields;
  readonly nowMs: number;
}

/**
 * The fields for the backend, names and values in turn: the client's without hop-by-hop ones, those named in
 * Connection, and every one that could claim an address, an identity or another target; then the gateway's own.
 */
export type RequestHeaders = (head: IncomingHead, context: RequestContext) => string[];

export function createRequestHeaders(options: RequestHeadersOptions): RequestHeaders {
  const classes = new Map<string, FieldClass>();
  const alsoDropped = new Set(options.alsoDropped);

  function classOf(name: string): FieldClass {
    const known = classes.get(name);
    if (known !== undefined) return known;
    if (classes.size >= maxClasses) classes.clear();
    const lower = lowerCaseName(name);
    const found = alsoDropped.has(lower) ? 'drop' : classify(lower);
    classes.set(name, found);
    return found;
  }

  return (head, context) => {
    const fields: string[] = [];
    let named: ReadonlySet<string> | undefined;
    for (let i = 0; i + 1 < head.raw.length; i += 2) {
      const name = head.raw[i] ?? '';
      const value = head.raw[i + 1] ?? '';
      switch (classOf(name)) {
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
        case 'connection':
          named = namesIn(value, named);
          break;
        case 'drop':
      }
    }
    const passed = named === undefined ? fields : without(fields, named);
    return addOwn(passed, head, context);
  };
}

function classify(lower: string): FieldClass {
  if (!plainName.test(lower) || droppedNames.has(lower)) return 'drop';
  if (droppedPrefixes.some((prefix) => lower.startsWith(prefix))) return 'drop';
  if (lower === 'connection') return 'connection';
  if (lower === 'content-length') return 'length';
  if (lower === 'range') return 'range';
  if (lower === 'accept-encoding') return 'codings';
  return 'pass';
}

function addOwn(fields: string[], head: IncomingHead, context: RequestContext): string[] {
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
  return [...without(fields, replaced), ...context.driverFields.flat()];
}

function namesIn(connection: string, before: ReadonlySet<string> | undefined): ReadonlySet<string> | undefined {
  if (connection === 'keep-alive' || connection === 'close') return before;
  const names = new Set(before);
  for (const option of connection.split(',')) names.add(option.trim().toLowerCase());
  return names;
}

function without(fields: readonly string[], named: ReadonlySet<string>): string[] {
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
