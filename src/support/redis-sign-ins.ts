import { PosternError } from '../core/error.ts';
import type { UserKey } from '../core/session.ts';
import { parseSignIn, type SignIns, signInsKept, signInsKeptMs } from './sign-ins.ts';

/** Runs a Lua script on a Redis. Rejects with ERR_STORE_UNAVAILABLE when there is no good answer in time. */
type RunScript = (script: string, keys: readonly string[], args: readonly string[]) => Promise<unknown>;

/** KEYS the list of a user. ARGV the entry, how many are kept, for how long. */
const noteScript = `
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[2]) - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

const readScript = `return redis.call('LRANGE', KEYS[1], 0, -1)`;

/** The latest sign-ins in a Redis: a list per user, under a keyed hash of the name. `keysOf`: the newest key first. */
export function createRedisSignIns(
  run: RunScript,
  keysOf: (user: string) => readonly UserKey[],
): SignIns & {
  /** Notes and reads something that goes by itself. Rejects where the server refuses that. */
  probe(): Promise<void>;
} {
  return {
    async probe() {
      await run(noteScript, ['ps:s:probe'], ['', '1', '1']);
      await run(readScript, ['ps:s:probe'], []);
    },
    async note(user, signIn) {
      const [key] = keysOf(user);
      if (key === undefined) throw new TypeError('there is always a promoted key');
      await run(noteScript, [listOf(key)], [JSON.stringify(signIn), String(signInsKept), String(signInsKeptMs)]);
    },
    async of(user) {
      const replies = await Promise.all(keysOf(user).map((key) => run(readScript, [listOf(key)], [])));
      if (!replies.every(Array.isArray)) throw strangeReply();
      return replies
        .flat()
        .flatMap((text) => parseSignIn(String(text)) ?? [])
        .slice(0, signInsKept);
    },
    // The connection belongs to whoever handed it in.
    async [Symbol.asyncDispose]() {},
  };
}

function listOf(key: UserKey): string {
  return `ps:s:${key}`;
}

function strangeReply(): PosternError {
  const message = 'Redis gave an answer that is no list of sign-ins';
  return new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: false });
}
