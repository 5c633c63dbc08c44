import type { Clock } from '../core/clock.ts';
import type { Ingress, RequestHead } from '../core/http.ts';
import type { LiveSession } from '../core/session.ts';
import type { FormTokens } from './forms.ts';
import type { Locales } from './locales.ts';
import type { Assets } from './views.ts';

/** Dependencies of the banner in opened mailboxes. */
export interface BannerDeps {
  readonly assets: Assets;
  readonly locales: Locales;
  readonly tokens: FormTokens;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
}

/** The markup for a page of an opened mailbox, and the addresses (without query) that its policy must allow. */
interface BannerParts {
  readonly html: string;
  readonly nonce: string;
  readonly script: string;
  readonly style: string;
  readonly formAction: string;
}

/** Makes the banner of an opened mailbox: whose, by whom, why, until when, and a button that ends it. */
export function createBanner({ assets, locales, tokens, clock, randomBytes }: BannerDeps) {
  return (session: LiveSession, head: RequestHead, { publicUrl: { origin } }: Ingress): BannerParts => {
    const { user, impersonation, absoluteEndMs } = session.record;
    const locale = locales.choose(undefined, head.header('accept-language'));
    const { actor = '', reason = '', ticket = '' } = impersonation ?? {};
    const facts = {
      texts: {
        label: locale.text('assist.label'),
        subject: user,
        by: locale.text('assist.by', { actor }),
        why: ticket === '' ? reason : `${reason} (${ticket})`,
        left: locale.text('assist.left'),
        stop: locale.text('assist.stop'),
      },
      leftMs: absoluteEndMs - clock.nowMs(),
      token: tokens.issue(stopBindingOf(session)),
      style: assets.url('banner.css'),
    };
    const nonce = randomBytes(16).toString('base64url');
    const script = assets.url('banner.js');
    return {
      html:
        `<link rel="stylesheet" href="${assets.url('page.css')}">` +
        `<script src="${script}" nonce="${nonce}" data-banner="${inAttribute(JSON.stringify(facts))}"></script>`,
      nonce,
      script: origin + withoutQuery(script),
      style: `${origin}/-/assist/`,
      formAction: `${origin}/-/assist/stop`,
    };
  };
}

/** The text to which the form that ends an opened mailbox is bound. */
export function stopBindingOf({ key }: Pick<LiveSession, 'key'>): string {
  return `assist stop ${key}`;
}

/** A text for a quoted attribute, in ASCII, so that the page's encoding does not matter. */
function inAttribute(text: string): string {
  return text.replace(/[^ !#-%'-;=?-~]/gu, (character) => `&#${character.codePointAt(0)};`);
}

function withoutQuery(url: string): string {
  return url.replace(/\?.*$/, '');
}
