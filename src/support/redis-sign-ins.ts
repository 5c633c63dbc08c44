import { PosternError } from '../core/error.ts';
import { readVouched, vouchFor, type VouchingKey, type VouchingKeys } from '../core/sealing.ts';
import type { UserKey } from '../core/session.ts';
import { parseSignIn, type SignIn, type SignIns, signInsKept, signInsKeptMs } from './sign-ins.ts';

/** Runs a Lua script on a Redis. Rejects with ERR_STORE_UNAVAILABLE when there is no good answer in time. */
type RunScript = (script: string, keys: readonly string[], args: readonly string[]) => Promise<unknown>;

/** A server key, as far as recent sign-ins use it. */
interface SignInsKey extends VouchingKey {
  userKeyOf(user: string): UserKey;
}

/** The server keys of the moment. */
export interface SignInsKeys extends VouchingKeys {
  readonly promoted: SignInsKey;
  /** The promoted one first. */
  readonly all: readonly SignInsKey[];
}

const kind = 'recent sign-in';

/** KEYS the list of a user. ARGV the entry, how many are kept, for how long. */
const noteScript = `
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[2]) - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

const readScript = `return redis.call('LRANGE', KEYS[1], 0, -1)`;

/**
 * The latest sign-ins in a Redis: a list per user, under a keyed hash of the name. Each line is vouched for with its user:
 * one that was changed, moved, or written without a server key is left out.
 */
export function createRedisSignIns(run: RunScript, keys: () => SignInsKeys): SignIns {
  function genuineIn(user: string, stored: unknown): readonly SignIn[] {
    const read = readVouched(keys(), kind, [user], String(stored));
    const signIn = read.kind === 'genuine' ? parseSignIn(read.text) : undefined;
    return signIn === undefined ? [] : [signIn];
  }

  return {
    async note(user, signIn) {
      const { promoted } = keys();
      const line = vouchFor(promoted, kind, [user], JSON.stringify(signIn));
      const list = listOf(promoted.userKeyOf(user));
      await run(noteScript, [list], [line, String(signInsKept), String(signInsKeptMs)]);
    },
    async of(user) {
      const lists = keys().all.map((key) => listOf(key.userKeyOf(user)));
      const replies = await Promise.all(lists.map((list) => run(readScript, [list], [])));
      if (!replies.every(Array.isArray)) throw strangeReply();
      return replies
        .flat()
        .flatMap((stored) => genuineIn(user, stored))
        .slice(0, signInsKept);
    },
    // The connection belongs to whoever handed it in.
    async [Symbol.asyncDispose]() {},
  };
}

/** Notes and reads something that goes by itself. Rejects where the server refuses that. */
export async function probeSignIns(run: RunScript): Promise<void> {
  await run(noteScript, ['ps:s:probe'], ['', '1', '1']);
  await run(readScript, ['ps:s:probe'], []);
}

function listOf(key: UserKey): string {
  return `ps:s:${key}`;
}

function strangeReply(): PosternError {
  const message = 'Redis gave an answer that is no list of sign-ins';
  return new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: false });
}
