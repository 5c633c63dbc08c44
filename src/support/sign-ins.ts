import { parseJson } from '../core/json.ts';
import type { Log } from '../core/log.ts';

/** How somebody's sign-in came out: for support, who must say why it did not work. No password is in it. */
export interface SignIn {
  readonly atMs: number;
  /** `signed-in`, or why not. */
  readonly result: string;
  readonly why?: string;
  /** Of the browser. */
  readonly address: string;
  /** Stands on the page that the user saw, and in the log. */
  readonly reference: string;
}

/** The latest sign-ins of each user. Each call rejects when the store cannot be asked. */
export interface SignIns extends AsyncDisposable {
  note(user: string, signIn: SignIn): Promise<void>;
  /** Newest first. */
  of(user: string): Promise<readonly SignIn[]>;
}

/** Of each user. */
export const signInsKept = 20;
export const signInsKeptMs = 30 * 24 * 60 * 60 * 1000;

/** Reads a stored text; nothing for one of another form. */
export function parseSignIn(text: string): SignIn | undefined {
  const value = parseJson(text);
  return isSignIn(value) ? value : undefined;
}

function isSignIn(value: unknown): value is SignIn {
  if (typeof value !== 'object' || value === null) return false;
  const { atMs, result, why, address, reference }: Partial<Record<keyof SignIn, unknown>> = value;
  return (
    Number.isSafeInteger(atMs) &&
    [result, address, reference].every((text) => typeof text === 'string') &&
    (why === undefined || typeof why === 'string')
  );
}

/** Notes sign-ins beside them: no sign-in waits for it, and none fails with it. */
export interface SignInNotes extends AsyncDisposable {
  note(user: string, signIn: SignIn): void;
}

/** While the store is slow, so many wait; more are dropped, since the log has them all. */
const waitingAtMost = 500;

export function createSignInNotes(signIns: Pick<SignIns, 'note'>, log: Log): SignInNotes {
  const waiting = new Set<Promise<void>>();
  return {
    note(user, signIn) {
      if (waiting.size >= waitingAtMost) return;
      const noted = signIns
        .note(user, signIn)
        .catch((error: unknown) => log.debug({ err: error }, 'a sign-in was not noted for support'))
        .finally(() => waiting.delete(noted));
      waiting.add(noted);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(waiting);
    },
  };
}
