import type { Banner } from './banner.ts';
import type { UpstreamHead } from './response-headers.ts';

/** A document under `sandbox` is no page of the webmail, but something that it shows at arm's length. */
export function isSandboxed(upstream: UpstreamHead): boolean {
  for (let i = 0; i + 1 < upstream.raw.length; i += 2) {
    const isPolicy = upstream.raw[i]?.toLowerCase() === 'content-security-policy';
    if (isPolicy && /(?:^|[;,])\s*sandbox\b/i.test(upstream.raw[i + 1] ?? '')) return true;
  }
  return false;
}

/**
 * A Content-Security-Policy field that lets in what it let in, and the banner: its script, its style and its form, each
 * by its own address, or by a nonce where the policy counts no addresses (CSP 3, `strict-dynamic`). What the policy
 * does not restrict stays unrestricted.
 */
export function allowedPolicy(field: string, banner: Banner): string {
  return field
    .split(',')
    .map((policy) => allowed(policy, banner))
    .join(',');
}

function allowed(policy: string, banner: Banner): string {
  const directives = policy
    .split(';')
    .map((directive) => directive.trim().split(/\s+/))
    .filter(([name = '']) => name !== '');
  const find = (name: string) => directives.find(([own = '']) => own.toLowerCase() === name);
  /** `default-src` rules more than this one use: what it says is said again for it alone. */
  const letIn = (names: readonly [string, string], source: string): void => {
    const ownRule = find(names[0]) ?? find(names[1]);
    const general = find('default-src');
    if (ownRule !== undefined) extend(ownRule, source);
    else if (general !== undefined) directives.push(extend([names[1], ...general.slice(1)], source));
  };
  const ruling = find('script-src-elem') ?? find('script-src') ?? find('default-src') ?? [];
  const countsNoAddresses = ruling.some((source) => source.toLowerCase() === "'strict-dynamic'");
  letIn(['script-src-elem', 'script-src'], countsNoAddresses ? `'nonce-${banner.nonce}'` : banner.script);
  letIn(['style-src-elem', 'style-src'], banner.style);
  const forms = find('form-action');
  if (forms !== undefined) extend(forms, banner.formAction);
  return directives.map((directive) => directive.join(' ')).join('; ');
}

function extend(directive: string[], source: string): string[] {
  const none = directive.findIndex((known) => known.toLowerCase() === "'none'");
  if (none !== -1) directive.splice(none, 1);
  directive.push(source);
  return directive;
}
