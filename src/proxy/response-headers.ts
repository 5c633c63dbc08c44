import type { BackendHost } from '../core/backend.ts';
import { BoundedMap } from '../core/bounded-map.ts';
import { httpToken } from '../core/cookie-jar.ts';
import type { Ingress, RequestHead, UpstreamResponseHead } from '../core/http.ts';
import type { LiveSession } from '../core/session.ts';
import { destinationOf, lowerCaseName, lowerCaseNamesOf, nameInSetCookie } from './request-head.ts';

/** The head of a backend's answer over its raw fields, names and values in turn. */
export class UpstreamHead implements UpstreamResponseHead {
  readonly status: number;
  readonly raw: readonly string[];
  /** Bytes of the body; Infinity if the head does not say. */
  readonly contentLength: number;
  readonly #names: readonly string[];

  constructor(status: number, raw: readonly string[]) {
    this.status = status;
    this.raw = raw;
    this.#names = lowerCaseNamesOf(raw);
    const at = this.#names.indexOf('content-length');
    this.contentLength = at === -1 ? Infinity : Number(raw[2 * at + 1]);
  }

  header(name: string): string | undefined {
    const at = this.#names.indexOf(name);
    return at === -1 ? undefined : this.raw[2 * at + 1];
  }

  get setCookies(): readonly string[] {
    const lines: string[] = [];
    for (let at = this.#names.indexOf('set-cookie'); at !== -1; at = this.#names.indexOf('set-cookie', at + 1)) {
      lines.push(this.raw[2 * at + 1] ?? '');
    }
    return lines;
  }
}

/** The raw fields of undici as text. Field values are bytes, all of which latin1 preserves. */
export function textOfRaw(raw: unknown): string[] {
  const texts: string[] = [];
  const parts: readonly unknown[] = Array.isArray(raw) ? raw : [];
  for (const part of parts) texts.push(Buffer.isBuffer(part) ? part.toString('latin1') : String(part));
  return texts;
}

type ResponseFieldClass = 'pass' | 'drop' | 'type' | 'caching' | 'connection' | 'url' | 'refresh' | 'cookie' | 'length';

const droppedResponseFields = new Set([
  // Hop-by-hop fields (RFC 9110, 7.6.1).
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  // Fields that set policies of the whole origin, which is ours, or ask for fields that the gateway does not pass on.
  'accept-ch',
  'accept-ch-lifetime',
  'activate-storage-access',
  'alt-svc',
  'clear-site-data',
  'critical-ch',
  'expect-ct',
  'idp-signin-status',
  'nel',
  'observe-browsing-topics',
  'origin-agent-cluster',
  'origin-isolation',
  'report-to',
  'reporting-endpoints',
  'service-worker-allowed',
  'set-cookie2',
  'set-login',
  'strict-transport-security',
  'use-as-dictionary',
  'www-authenticate',
]);
const droppedResponseFamilies: readonly RegExp[] = [
  /^proxy/,
  /^authentication-/,
  // Pins of keys, sessions bound to devices, storage and reports of the origin.
  /^public-key-pins/,
  /^(?:sec|secure)-session-/,
  /^shared-storage-/,
  /^attribution-reporting-/,
  /^ad-auction-/,
  // Fields for the server in front of the webmail.
  /^x-(?:accel-|sendfile|reproxy-|lighttpd-send|litespeed-|postern-|sso-)/,
];
const printableValue = /^[\t\x20-\x7e\x80-\xff]*$/;

const responseFieldClasses = new BoundedMap<string, ResponseFieldClass>(2000);

function learnResponseField(name: string): ResponseFieldClass {
  const found = responseFieldClassOf(lowerCaseName(name));
  responseFieldClasses.set(name, found);
  return found;
}

function responseFieldClassOf(lower: string): ResponseFieldClass {
  if (!httpToken.test(lower) || droppedResponseFields.has(lower)) return 'drop';
  if (droppedResponseFamilies.some((family) => family.test(lower))) return 'drop';
  if (lower === 'connection') return 'connection';
  if (lower === 'location' || lower === 'content-location') return 'url';
  if (lower === 'refresh') return 'refresh';
  if (lower === 'set-cookie') return 'cookie';
  if (lower === 'content-length') return 'length';
  if (lower === 'content-type') return 'type';
  if (lower === 'cache-control') return 'caching';
  return 'pass';
}

/** The parts of a rebuilt answer besides its own fields. */
interface ResponseContext {
  /** The request that the answer belongs to. */
  readonly to: {
    /** Undefined for Basic clients: no cookies go on. */
    readonly session: LiveSession | undefined;
    readonly ingress: Ingress;
    readonly host: BackendHost;
    readonly head: RequestHead;
  };
  /** The jar's generation when the request was sent. Cookies of an older one, or of undefined, are ignored. */
  readonly generation: number | undefined;
  readonly nowMs: number;
  /** Whether the gateway itself owns a cookie of this name. */
  readonly isOwnCookie: (name: string) => boolean;
}

/**
 * Rebuilds the fields for the browser, names and values in turn. Hop-by-hop fields and policies of the whole origin are
 * dropped, URLs of the backend become public ones, and cookies go into the session's jar or on to the browser.
 */
export function responseHeaders(upstream: UpstreamHead, context: ResponseContext): string[] {
  const fields: string[] = [];
  const { session } = context.to;
  let changesBefore: number | undefined;
  let named: Set<string> | undefined;
  let isHtml = false;
  let caching = '';
  for (let i = 0; i + 1 < upstream.raw.length; i += 2) {
    const name = upstream.raw[i] ?? '';
    const value = upstream.raw[i + 1] ?? '';
    if (!printableValue.test(value)) continue;
    switch (responseFieldClasses.get(name) ?? learnResponseField(name)) {
      case 'pass':
        fields.push(name, value);
        break;
      case 'type':
        isHtml = htmlType.test(value);
        fields.push(name, value);
        break;
      case 'caching':
        caching += `${value},`;
        fields.push(name, value);
        break;
      case 'length':
        // A 204 has no length, whatever the backend says (RFC 9110, 8.6).
        if (upstream.status !== 204) fields.push(name, value);
        break;
      case 'url':
        fields.push(name, publicUrlOf(value, context));
        break;
      case 'refresh':
        fields.push(name, publicRefreshOf(value, context));
        break;
      case 'cookie': {
        changesBefore ??= session?.jar.changes;
        const line = cookieForBrowser(value, context);
        if (line !== undefined) fields.push(name, line);
        break;
      }
      case 'connection':
        named ??= new Set();
        for (const option of value.split(',')) named.add(option.trim().toLowerCase());
        break;
      case 'drop':
    }
  }
  if (changesBefore !== undefined && session?.jar.changes !== changesBefore) session?.saveJar();
  const passed = named === undefined || !needsSecondPass(named) ? fields : withoutResponseFields(fields, named);
  const mustNotStay = session !== undefined && !mayBeStored(caching, isHtml, context.to.head);
  return mustNotStay ? [...withoutResponseFields(passed, cachingNames), 'Cache-Control', 'private, no-store'] : passed;
}

const cachingNames: ReadonlySet<string> = new Set(['cache-control']);
const htmlType = /^\s*(?:text\/html|application\/xhtml\+xml)/i;
const storedByBrowser = /no-store|public|immutable|max-age=[1-9]/i;

/**
 * Whether the browser may store an answer as its webmail said. A page needs an explicit permission: otherwise the back
 * button would show mail of a session that has ended.
 */
function mayBeStored(caching: string, isHtml: boolean, head: RequestHead): boolean {
  if (isHtml) return storedByBrowser.test(caching);
  return caching !== '' || destinationOf(head).destination === 'other';
}

function needsSecondPass(named: ReadonlySet<string>): boolean {
  return named.size > 1 || (!named.has('keep-alive') && !named.has('close'));
}

function withoutResponseFields(fields: readonly string[], named: ReadonlySet<string>): string[] {
  const left: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const lower = lowerCaseName(fields[i] ?? '');
    if (!named.has(lower) || lower === 'content-length' || lower === 'set-cookie') {
      left.push(fields[i] ?? '', fields[i + 1] ?? '');
    }
  }
  return left;
}

function cookieForBrowser(line: string, context: ResponseContext): string | undefined {
  const { session, head } = context.to;
  if (session === undefined) return undefined;
  const { jar } = session;
  if (context.generation !== jar.generation || context.isOwnCookie(nameInSetCookie(line))) return undefined;
  const absorbed = jar.absorb(line, head.target, context.nowMs);
  return absorbed.kind === 'browser' ? absorbed.line : undefined;
}

/** Scheme and authority at the start of a URL, or only the authority. */
const authorityPart = /^(?:https?:)?[\\/]{2}[^/?#\\]*/i;

/**
 * The public form of a URL in a backend's answer. The backend's own origin becomes the public one. So does the public
 * host with the backend's scheme or port, which is what a web server writes that does not know of a gateway.
 */
export function publicUrlOf(
  value: string,
  context: { readonly to: Pick<ResponseContext['to'], 'ingress' | 'host'> },
): string {
  const prefix = authorityPart.exec(value)?.[0];
  if (prefix === undefined) return value;
  const { publicUrl } = context.to.ingress;
  const backendOrigin = context.to.host.webmail.origin;
  const [named, backend, own] = [
    URL.parse(prefix, backendOrigin),
    URL.parse(backendOrigin),
    URL.parse(publicUrl.origin),
  ];
  if (named === null || backend === null || own === null) return value;
  const isBackend = named.origin === backend.origin;
  const isPublic =
    named.host === publicUrl.authority ||
    (named.hostname === own.hostname && named.protocol === backend.protocol && named.port === backend.port);
  return isBackend || isPublic ? publicUrl.origin + value.slice(prefix.length) : value;
}

/** The public form of a Refresh field: `5; url=http://backend/x`, with or without quotes. */
function publicRefreshOf(value: string, context: ResponseContext): string {
  const match = /^(\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?["']?)(.*)$/is.exec(value);
  if (match === null) return value;
  return `${match[1] ?? ''}${publicUrlOf(match[2] ?? '', context)}`;
}
