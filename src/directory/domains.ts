import { normaliseDomain } from '../core/names.ts';
import type { Settings } from './settings.ts';

/**
 * Reads for which domains a source is asked: `example.org`, or `*.example.org` for all below it. Without the setting:
 * for all, and for names without a domain.
 */
export function readDomains(settings: Settings, key: string): (domain: string) => boolean {
  const exact = new Set<string>();
  const below: string[] = [];
  const list = settings.list(key);
  for (const text of list) {
    const wildcard = text.startsWith('*.');
    const domain = normaliseDomain(wildcard ? text.slice(2) : text);
    if (domain === undefined)
      settings.problem(key, `${JSON.stringify(text)} is not a domain: write example.org or "*.example.org"`);
    else if (wildcard) below.push(`.${domain}`);
    else exact.add(domain);
  }
  if (list.length === 0) return () => true;
  return (domain) => exact.has(domain) || below.some((suffix) => domain.endsWith(suffix));
}
