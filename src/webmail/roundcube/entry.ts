import { createHmac } from 'node:crypto';
import type { z } from 'zod';
import type { BackendHost } from '../../core/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { pathOf } from '../../core/cookie-jar.ts';
import type { UpstreamResponseHead } from '../../core/http.ts';
import type { SignInIdentity } from '../../core/identity.ts';
import type { Secret } from '../../core/secrets.ts';
import { quoted } from '../../core/text.ts';
import type { RequestIdentity, RequestLine, Verdict, WebmailDriver, WebmailSignIn } from '../../core/webmail.ts';
import { section } from '../../schema/scalars.ts';
import { Browser, browserOf, type DriverParts, strangeAnswer, webmailUnavailable } from '../browser.ts';
import { masterLogin, type RequestFields, sharedSecret } from '../driver-settings.ts';

interface RoundcubeSettings {
  readonly entryKey: Secret | undefined;
  readonly masterLogin: boolean;
}

/** Settings of the `roundcube` driver: `entry_key`, shared with the plugin, or `master_login`, or neither. */
export const settings: z.ZodType<RoundcubeSettings> = section({
  entry_key: sharedSecret()
    .refine((key) => key.reveal().length >= 32, {
      error: 'must have at least 32 characters, as the plugin requires: make one with openssl rand -base64 32',
    })
    .optional()
    .describe('The key that the gateway shares with the plugin of integrations/roundcube, which then signs users in.'),
  master_login: masterLogin(),
})
  .superRefine(({ entry_key, master_login }, context) => {
    if (!master_login || entry_key === undefined) return;
    const message = 'has no effect with entry_key, which opens the user’s own account: remove it';
    context.addIssue({ code: 'custom', path: ['master_login'], message });
  })
  .transform((given) => ({ entryKey: given.entry_key, masterLogin: given.master_login }))
  .meta({ examples: [{}, { master_login: true }, { entry_key: { file: 'entry-key' } }] });

/** The user of a signed entry. */
export type EntryIdentity = Pick<RequestIdentity, 'user' | 'timeZone' | 'actor'> &
  Partial<Pick<RequestIdentity, 'session'>>;

/**
 * Roundcube with the plugin `postern` and a shared key: a signature opens the mailbox, without a password.
 *
 * Every request names its user, signed for this method and target and valid for half a minute
 * (integrations/roundcube/postern). Whenever Roundcube has no session, the plugin signs the user in by the master
 * identity of the IMAP server, and has the browser repeat its request, with its body and its token.
 */
export function withEntry(roundcube: WebmailDriver, parts: DriverParts, key: Secret): WebmailDriver {
  const fieldsFor = (request: RequestLine, as: EntryIdentity): RequestFields => [
    ['X-Postern-Entry', signEntry(key, request, as, parts.clock)],
  ];
  const ownsCookie = (name: string): boolean => roundcube.ownsCookie(name);
  return {
    ...roundcube,
    masterEntry: { kind: 'own-account' },
    signIn: (host, as, signal) => {
      const fields = (request: RequestLine): RequestFields => fieldsFor(request, as);
      return enter(new Browser(parts, { host, browser: browserOf(as), ownsCookie, fields, signal }), host, as);
    },
    // The plugin ends the session at a request without a signature; Roundcube's own sign-out would need one.
    signOut: () => Promise.resolve(),
    requestHeaders: fieldsFor,
  };
}

/** The verdict by the plugin's field of an answer, which no mail can set; undefined without the field. */
export function judgeSessionField(response: UpstreamResponseHead): Verdict | undefined {
  const session = response.header('x-postern-session');
  if (session === undefined) return undefined;
  return session === 'none' ? 'lost' : 'alive';
}

/** The user in the plugin's field of an answer; undefined if there is none. */
function userOf(response: UpstreamResponseHead): string | undefined {
  const [, encoded] = /^user=([\w%.~-]+)$/.exec(response.header('x-postern-session') ?? '') ?? [];
  // The query parser replaces broken encoding by U+FFFD, while decodeURIComponent would throw.
  return encoded === undefined ? undefined : (new URLSearchParams(`user=${encoded}`).get('user') ?? undefined);
}

/** The field X-Postern-Entry, as integrations/roundcube/postern/postern_entry.php reads it. */
export function signEntry(key: Secret, request: RequestLine, as: EntryIdentity, clock: Clock): string {
  const claims = {
    user: as.user,
    session: as.session ?? '',
    time: Math.floor(clock.nowMs() / 1000),
    zone: as.timeZone ?? '',
    actor: as.actor ?? '',
  };
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
  const signed = `postern-entry-1\n${request.method}\n${request.target}\n${payload}`;
  return `${payload}.${createHmac('sha256', key.reveal()).update(signed, 'utf8').digest('base64url')}`;
}

async function enter(browser: Browser, host: BackendHost, as: SignInIdentity): Promise<WebmailSignIn> {
  const target = `${pathOf(host.webmail.landing)}?_task=mail`;
  const answer = await browser.get(target);
  if (userOf(answer) === as.user) return browser.signedIn(target);
  const refused = answer.header('x-postern-refused');
  if (refused === 'imap')
    throw webmailUnavailable(host, 'the IMAP server does not let the master identity open this user');
  if (refused !== undefined)
    throw strangeAnswer(host, pluginRefusals.get(refused) ?? `the plugin refused: ${quoted(refused, 40)}`);
  if (answer.status >= 500) throw webmailUnavailable(host, `${target} was answered with status ${answer.status}`);
  throw strangeAnswer(
    host,
    `no answer of the plugin postern at ${target}: install it, and list the gateway in postern_gateways`,
  );
}

/** The plugin's reasons for a refusal, with the remedy. */
const pluginRefusals: ReadonlyMap<string, string> = new Map([
  ['key', 'the plugin has no key of 32 characters: set postern_keys'],
  ['signature', 'the plugin has a different key, or something in between changes the request target'],
  ['time', 'the clocks of gateway and webmail differ by more than 30 s: synchronise both with NTP'],
  ['malformed', 'the plugin does not understand the entry: use the plugin of this version'],
]);
