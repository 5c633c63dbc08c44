import { randomBytes, timingSafeEqual } from 'node:crypto';

/** The webmail's own session, as one browser (or the gateway on its behalf) holds it. */
export interface MailSession {
  /** The token of every form, so that another site cannot send one. */
  readonly formToken: string;
  /** Undefined before sign-in. */
  readonly user: string | undefined;
  readonly password: string;
}

export interface SessionTable {
  /** The session of a Cookie field; undefined if there is none. */
  find(cookieField: string | undefined): MailSession | undefined;
  /** Creates a session without a user, to which the token of a sign-in form is bound. Returns a Set-Cookie line. */
  begin(): { readonly session: MailSession; readonly setCookie: string };
  /** Replaces `former` by a session of this user. Returns a Set-Cookie line. */
  signIn(former: MailSession, user: string, password: string): string;
  /** A Set-Cookie line with a new id; undefined if none is due. The former id stays valid for one more period. */
  rotate(session: MailSession): string | undefined;
  /** Ends a session. Returns the Set-Cookie line that deletes its cookie. */
  end(session: MailSession): string;
  /** Ends the sessions of a user, or all, as a restart of the webmail does. Returns their number. */
  expire(user: string | undefined): number;
  /** Calls `listener` when the session ends, until the returned function is called. */
  onEnd(session: MailSession, listener: () => void): () => void;
}

/** A live session in the table. */
interface Tenancy {
  /** The valid ids, the newest last. */
  readonly ids: string[];
  rotatedAtMs: number;
  readonly listeners: Set<() => void>;
}

const cookieName = 'demo_session';
const attributes = 'Path=/; HttpOnly; SameSite=Lax';
const maxSessions = 5000;

/** Sessions in memory, under ids that change every `rotateAfterMs`. Beyond 5,000 sessions the oldest are forgotten. */
export function createSessionTable(nowMs: () => number, rotateAfterMs: number): SessionTable {
  const byId = new Map<string, MailSession>();
  const living = new Map<MailSession, Tenancy>();

  const issue = (session: MailSession, tenancy: Tenancy): string => {
    const id = randomBytes(24).toString('base64url');
    for (const old of tenancy.ids.splice(0, tenancy.ids.length - 1)) byId.delete(old);
    tenancy.ids.push(id);
    tenancy.rotatedAtMs = nowMs();
    byId.set(id, session);
    return `${cookieName}=${id}; ${attributes}`;
  };
  const create = (user: string | undefined, password: string): { session: MailSession; setCookie: string } => {
    const session = { formToken: randomBytes(18).toString('base64url'), user, password };
    const tenancy = { ids: [], rotatedAtMs: 0, listeners: new Set<() => void>() };
    living.set(session, tenancy);
    const [oldest] = living.keys();
    if (oldest !== undefined && living.size > maxSessions) drop(oldest);
    return { session, setCookie: issue(session, tenancy) };
  };
  const drop = (session: MailSession): void => {
    const tenancy = living.get(session);
    living.delete(session);
    for (const id of tenancy?.ids ?? []) byId.delete(id);
    for (const listener of tenancy?.listeners ?? []) listener();
  };

  return {
    find: (cookieField) => byId.get(cookieOf(cookieField, cookieName) ?? ''),
    begin: () => create(undefined, ''),
    signIn(former, user, password) {
      drop(former);
      return create(user, password).setCookie;
    },
    rotate(session) {
      const tenancy = living.get(session);
      if (tenancy === undefined || nowMs() - tenancy.rotatedAtMs < rotateAfterMs) return undefined;
      return issue(session, tenancy);
    },
    end(session) {
      drop(session);
      return `${cookieName}=; ${attributes}; Max-Age=0`;
    },
    expire(user) {
      const ended = [...living.keys()].filter(
        (session) => session.user !== undefined && (user ?? session.user) === session.user,
      );
      for (const session of ended) drop(session);
      return ended.length;
    },
    onEnd(session, listener) {
      const listeners = living.get(session)?.listeners;
      if (listeners === undefined) listener();
      listeners?.add(listener);
      return () => void listeners?.delete(listener);
    },
  };
}

/** The value of the first cookie of this name; undefined if there is none. */
export function cookieOf(field: string | undefined, name: string): string | undefined {
  const pair = (field ?? '').split(';').find((each) => each.trim().startsWith(`${name}=`));
  return pair?.trim().slice(name.length + 1);
}

/** Whether a form has the token of this session. */
export function isTokenOf(session: MailSession, given: unknown): boolean {
  if (typeof given !== 'string') return false;
  const [left, right] = [Buffer.from(session.formToken), Buffer.from(given)];
  return left.length === right.length && timingSafeEqual(left, right);
}
