import type { Ingress } from '../core/http.ts';
import type { LiveSession } from '../core/session.ts';
import { type IncomingHead, lowerCaseName } from './request-head.ts';
import type { UpstreamHead } from './response-headers.ts';

/** The banner in every page of an opened mailbox. */
export interface Banner {
  /** Its elements, in ASCII. */
  readonly html: string;
  /** The nonce of its script. */
  readonly nonce: string;
  /** The URLs, without query, that the page's policy must allow. */
  readonly script: string;
  readonly style: string;
  readonly formAction: string;
}

/** Creates the banner of a session; `head` chooses its language. */
export type BannerOf = (session: LiveSession, head: IncomingHead, ingress: Ingress) => Banner;

/** Fields that would bring an answer into which no banner can be written: a compressed one, a part, or none. */
const conditionalFields = new Set(['accept-encoding', 'if-none-match', 'if-modified-since', 'range', 'if-range']);

/** The fields of a request for a page with a banner: they ask for the whole page, uncompressed. */
export function askingForPlain(fields: readonly string[]): string[] {
  const plain: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!conditionalFields.has(lowerCaseName(name))) plain.push(name, fields[i + 1] ?? '');
  }
  plain.push('Accept-Encoding', 'identity');
  return plain;
}

/**
 * Whether an answer is a document that the banner goes into. `unreadable`: it is one, in a coding that was not asked
 * for.
 */
export function bannerPlace(upstream: UpstreamHead): 'here' | 'nowhere' | 'unreadable' {
  if (!/^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(upstream.header('content-type') ?? '')) return 'nowhere';
  if (upstream.status === 204 || upstream.status === 304) return 'nowhere';
  const disposition = upstream.header('content-disposition') ?? '';
  if (/^\s*attachment\b/i.test(disposition) || isSandboxed(upstream)) return 'nowhere';
  const coding = upstream.header('content-encoding');
  return coding === undefined || coding.trim().toLowerCase() === 'identity' ? 'here' : 'unreadable';
}

/**
 * Fields that no longer hold for the changed body, and the one by which the gateway decides who may hold its window.
 */
const replacedFields = new Set(['content-length', 'etag', 'content-md5', 'digest', 'cross-origin-opener-policy']);

/** The fields of an answer that the banner goes into: without a length, and with a policy that allows the banner. */
export function fieldsWithBanner(fields: readonly string[], banner: Banner): string[] {
  const changed: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    const lower = lowerCaseName(name);
    if (replacedFields.has(lower)) continue;
    changed.push(name, lower === 'content-security-policy' ? policiesWithBanner(value, banner) : value);
  }
  // Cuts the tie to windows of the users' host, whose page may have opened this one.
  changed.push('Cross-Origin-Opener-Policy', 'same-origin');
  return changed;
}

/**
 * Whether the policy sandboxes the document: then it is not a page of the webmail but untrusted content that it shows.
 */
function isSandboxed(upstream: UpstreamHead): boolean {
  for (let i = 0; i + 1 < upstream.raw.length; i += 2) {
    const isPolicy = upstream.raw[i]?.toLowerCase() === 'content-security-policy';
    if (isPolicy && /(?:^|[;,])\s*sandbox\b/i.test(upstream.raw[i + 1] ?? '')) return true;
  }
  return false;
}

/**
 * A Content-Security-Policy field that allows what it allowed before, and the banner: its script, its style and its
 * form. Each is allowed by its address, or by a nonce where the policy ignores addresses (CSP 3, `strict-dynamic`).
 * Whatever the policy does not restrict stays unrestricted.
 */
export function policiesWithBanner(field: string, banner: Banner): string {
  return field
    .split(',')
    .map((policy) => policyWithBanner(policy, banner))
    .join(',');
}

function policyWithBanner(policy: string, banner: Banner): string {
  const directives = policy
    .split(';')
    .map((directive) => directive.trim().split(/\s+/))
    .filter(([name = '']) => name !== '');
  const find = (name: string) => directives.find(([own = '']) => own.toLowerCase() === name);
  /** `default-src` covers more than this one use, so its sources are repeated for this use alone. */
  const letIn = (names: readonly [string, string], source: string): void => {
    const ownRule = find(names[0]) ?? find(names[1]);
    const general = find('default-src');
    if (ownRule !== undefined) addSource(ownRule, source);
    else if (general !== undefined) directives.push(addSource([names[1], ...general.slice(1)], source));
  };
  const ruling = find('script-src-elem') ?? find('script-src') ?? find('default-src') ?? [];
  const countsNoAddresses = ruling.some((source) => source.toLowerCase() === "'strict-dynamic'");
  letIn(['script-src-elem', 'script-src'], countsNoAddresses ? `'nonce-${banner.nonce}'` : banner.script);
  letIn(['style-src-elem', 'style-src'], banner.style);
  const forms = find('form-action');
  if (forms !== undefined) addSource(forms, banner.formAction);
  return directives.map((directive) => directive.join(' ')).join('; ');
}

function addSource(directive: string[], source: string): string[] {
  const none = directive.findIndex((known) => known.toLowerCase() === "'none'");
  if (none !== -1) directive.splice(none, 1);
  directive.push(source);
  return directive;
}
