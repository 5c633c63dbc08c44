import type { IncomingHead } from './request-head.ts';

/**
 * Whether a page of another host made the browser send this, a link that was followed apart. Users' mail and the
 * mailboxes that staff opened are shown under names of one site, which browsers let do much to one another: they send
 * its cookies along, SameSite or not.
 */
export function isFromElsewhere(head: IncomingHead, origin: string): boolean {
  const site = head.header('sec-fetch-site');
  if (site === undefined) return (head.header('origin') ?? origin) !== origin;
  if (site === 'same-origin' || site === 'none') return false;
  const reads = head.method === 'GET' || head.method === 'HEAD';
  const isFollowed = head.header('sec-fetch-mode') === 'navigate' && head.header('sec-fetch-dest') === 'document';
  return !(reads && isFollowed);
}
