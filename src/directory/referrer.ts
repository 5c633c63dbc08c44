import type { Referrer, ReferralServer } from '../core/directory.ts';
import type { PosternError } from '../core/error.ts';
import type { BackendName, LoginName } from '../core/names.ts';

/** Options of following a referral. */
export interface ReferrerOptions {
  readonly server: ReferralServer;
  /** The user who signs in. */
  readonly asked: LoginName;
  /** The backend that a host means; throws, with an alarm, where there is none. */
  readonly readHome: (host: string) => BackendName;
  /** The one spelling of a user's name; throws, with an alarm, where it can be none. */
  readonly readUser: (user: string) => LoginName;
  /** Raises the alarm; the failure is to be thrown. */
  readonly bad: (why: string) => PosternError;
  readonly learn: (backend: BackendName) => void;
}

/** Turns the answers of a referring server into a home. */
export function createReferrer({ server, asked, readHome, readUser, bad, learn }: ReferrerOptions): Referrer {
  return {
    ...server,
    learn,
    homeOf(referral) {
      if (referral === undefined) return readHome(server.imap.hostname);
      const said = readReferral(referral);
      if (said === undefined) throw bad(`${server.name} referred a user to something that is no IMAP server's URL`);
      if (said.user !== undefined && readUser(said.user) !== asked) throw bad(`${server.name} referred another user`);
      return readHome(said.host);
    },
  };
}

const longest = 512;
/** Its port means nothing here: where a backend listens is the configuration's to say. */
const serverUrl = /^imaps?:\/\/(?:([^/?#\s]*)@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::\d{1,5})?\/?$/i;

/**
 * Reads the URL of a login referral, `imap://user;AUTH=*@host/` (RFC 2221, RFC 5092); undefined if it is none. Servers
 * do not always encode the `@` of a user: the host is what stands behind the last one.
 */
export function readReferral(url: string): { readonly host: string; readonly user?: string } | undefined {
  const [, login = '', bracketed, plain] = url.length > longest ? [] : (serverUrl.exec(url) ?? []);
  const host = bracketed ?? plain;
  if (host === undefined) return undefined;
  const encoded = login.replace(/;AUTH=[^;]*$/i, '');
  if (encoded === '') return { host };
  try {
    const user = decodeURIComponent(encoded);
    return /\p{C}/u.test(user) ? undefined : { host, user };
  } catch {
    return undefined;
  }
}
