import type { BackendHost } from './backend.ts';
import type { CookieJar } from './cookie-jar.ts';
import type { Answer, RequestHead, UpstreamResponseHead } from './http.ts';
import type { Client, SignInIdentity, TraceIds } from './identity.ts';
import type { CanonicalUser } from './names.ts';
import type { Secret } from './secrets.ts';
import type { LiveSession } from './session.ts';

/**
 * A driver's verdict on the webmail's own session: it lives, it is lost (expired, restarted, another browser), the
 * user has just signed out of the webmail, or it lives and the page that asked is `outdated`: older than it, and
 * refused.
 */
export type Verdict = 'alive' | 'lost' | 'signed-out' | 'outdated';

/**
 * `signed-in`: the cookies are in `jar`; `browserCookies` are Set-Cookie lines that the browser itself must hold;
 * `landing` is the path with query where the user starts. `rejected`: the webmail refused these credentials.
 */
export type WebmailSignIn =
  | {
      readonly kind: 'signed-in';
      readonly jar: CookieJar;
      readonly browserCookies: readonly string[];
      readonly landing: string;
    }
  | { readonly kind: 'rejected' };

/**
 * The account that a webmail opens without the user's password. `own-account`: the mailbox with the user's own
 * settings. `other-account`: the same mail, but the webmail treats it as another account with its own settings. `why`
 * tells staff and operators what is in the way, and what an operator would have to do.
 */
export type MasterEntry =
  | { readonly kind: 'own-account' }
  | { readonly kind: 'other-account'; readonly why: string }
  | { readonly kind: 'impossible'; readonly why: string };

/** Knows one webmail: how to sign in and out, and how to recognise a lost session and a sign-out. */
export interface WebmailDriver {
  /** Whether a cookie of this name stays in the gateway although it is not HttpOnly. */
  ownsCookie(name: string): boolean;

  /**
   * Whether a sign-in after a lost session takes a cookie of this name along, as the answer that told of the loss left
   * it: under it the webmail keeps a form that was posted to no session, and shows it again on the page of that form.
   * Without it none is taken, and the webmail keeps no forms.
   */
  carriesCookie?(name: string): boolean;

  /** The account that a sign-in without the user's password opens, as this driver is configured. */
  readonly masterEntry: MasterEntry;

  /**
   * Rejects with source `webmail` when the webmail could not be asked or answered with nonsense. Without a password it
   * enters by a master identity; where that is impossible it rejects with ERR_NO_MASTER_ENTRY and sends nothing.
   */
  signIn(host: BackendHost, as: SignInIdentity, signal: AbortSignal): Promise<WebmailSignIn>;

  /** Ends the webmail's session of this jar, as a best effort. */
  signOut(host: BackendHost, jar: CookieJar, as: SignOutIdentity, signal: AbortSignal): Promise<void>;

  /** Judges an answer by the heads; `look-inside` asks for the first bytes of the body. */
  judge(request: RequestHead, response: UpstreamResponseHead): Verdict | 'look-inside';

  /**
   * How many bytes of the decoded body `judgeBody` wants of an answer to this request, after `look-inside`: without it
   * 8 KiB, at most 1 MiB. The answer waits for them.
   */
  judgedBytes?(request: RequestHead): number;

  /** `start`: the first bytes of the decoded body, at most `judgedBytes`; `complete` when that is all of it. */
  judgeBody?(request: RequestHead, start: Uint8Array, complete: boolean): Verdict;

  /**
   * The answer that this webmail's script or frame understands as "sign in again" at `loginPath`; undefined for other
   * requests.
   */
  lostAnswer?(request: RequestHead, loginPath: string): Answer | undefined;

  /**
   * The answer that this webmail's script understands as "nothing was done, do it again": for a request that lost its
   * session and cannot be repeated, once the user is signed in again. Without it the webmail's own answer goes on.
   */
  retryAnswer?(request: RequestHead): Answer | undefined;

  /**
   * Whether a read that lost its session may be asked again in a fresh one without its page knowing: not where the page
   * depends on what the old session held. Without it: yes.
   */
  mayReplay?(request: RequestHead): boolean;

  /**
   * Fields that the gateway adds to a request on its way to the webmail; they stand in the place of any others of the
   * same name. Called for every request and upgrade: it must not wait.
   */
  requestHeaders?(request: RequestHead, as: RequestIdentity): readonly (readonly [name: string, value: string])[];

  /**
   * The current value of the webmail's own token against forged requests, where a page of an older webmail session
   * may bring its own: in the query, or in a form. Undefined for requests that no page of the webmail makes.
   */
  pageToken?(request: RequestHead, as: RequestIdentity): PageToken | undefined;

  /** Undefined if a sign-in never leads to a page before the mailbox. */
  readonly interlude?: Interlude;

  /**
   * The webmail is entered by fields that the gateway adds, and might not check CSRF tokens: methods other than GET,
   * HEAD and OPTIONS need the public Origin or `Sec-Fetch-Site: same-origin`.
   */
  readonly checksNoTokens?: boolean;

  /**
   * Whether a document at this target, in a separate tab, is a page of the webmail: an attachment that is shown is not.
   * Without it: every document is.
   */
  isPage?(request: RequestHead): boolean;

  /**
   * Whether the target is the webmail's own sign-in page, which a user with a session never needs to see. `landing`:
   * where the users of the host land.
   */
  isSignInPage?(request: RequestHead, landing?: string): boolean;

  /**
   * Where a navigation to `target` goes when a fresh webmail session has taken the place of the one it was made for:
   * `target` itself, or another path of the same webmail where the old one would only show an error.
   */
  resumeTarget?(target: string): string;

  /**
   * The target of a health check, relative to the folder of the landing page: something that makes no session.
   * Without it `favicon.ico`, which need not exist.
   */
  readonly healthTarget?: string;

  /** Whether the request is a poll that the page makes by itself: not a sign of a present user. */
  isPoll?(request: RequestHead): boolean;

  /** Whether a service worker may be registered from this target. Without it: never. */
  allowsServiceWorker?(request: RequestHead): boolean;
}

/**
 * A page with which the webmail answered the right password (a second factor, a password that has expired), and which
 * it shows only once. It waits in the jar until the user goes on from it.
 */
export interface Interlude {
  /**
   * The answer in the webmail's place meanwhile: that page, where a tab asks for one, and word of it to the scripts
   * of older pages. Changes the jar once the user goes on.
   */
  answer(request: RequestHead, jar: CookieJar): Answer | undefined;

  /** Whether a form goes on from the page: what looks like a lost session then may be the page's next word. */
  isForm(request: RequestHead, jar: CookieJar): boolean;
}

/** A token of the webmail's pages: its `name` in query and form, and its `value` in the current webmail session. */
export interface PageToken {
  readonly name: string;
  readonly value: string;
}

/** The method and target of a request, which a driver may sign. */
export type RequestLine = Pick<RequestHead, 'method' | 'target'>;

/** The user and session to which a request on its way to the webmail belongs. */
export interface RequestIdentity {
  readonly user: CanonicalUser;
  /** Undefined if the session holds none. */
  readonly password: Secret | undefined;
  readonly client: Client;
  readonly timeZone: string | undefined;
  readonly publicOrigin: string;
  /** Identifies the gateway's session while it lives; undefined before it exists and for Basic clients. */
  readonly session: string | undefined;
  /** The webmail's cookies kept for the session; undefined for Basic clients. */
  readonly jar?: CookieJar;
  /** Set if a member of staff has opened this mailbox. */
  readonly actor?: CanonicalUser;
}

/** The browser on whose behalf a driver signs out of the webmail. */
export interface SignOutIdentity {
  readonly userAgent: string | undefined;
  readonly publicOrigin: string;
  readonly clientAddress: string;
  /** The ids of the request that signs out; undefined if none does. */
  readonly trace?: TraceIds;
}

/**
 * The outcome of signing a session's user in to the webmail once more. `too-often`: one silent sign-in per session in
 * 10 s and three in 5 min are allowed. `rejected`: the webmail refused the password that the session holds.
 */
export type SilentLoginOutcome =
  | { readonly kind: 'signed-in'; readonly landing: string; readonly browserCookies: readonly string[] }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'too-often' };

/** The answer by which a session was found lost: from which host, to which target, and what it set. */
export interface LostAnswer extends Pick<UpstreamResponseHead, 'setCookies'> {
  readonly host: string;
  readonly target: string;
}

/**
 * Single flight per session; renews the session's jar. Rejects with source `webmail` when the webmail could not be
 * asked. From `lost`, only the cookies that the driver carries are used, and only for the host of the session.
 */
export type SilentLogin = (
  session: LiveSession,
  client: Client,
  publicOrigin: string,
  lost?: LostAnswer,
) => Promise<SilentLoginOutcome>;
