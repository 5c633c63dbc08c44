import { isObject, parseJson } from '../core/objects.ts';
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { openSealedText, sealText, type VouchingKeys } from '../core/secrets.ts';
import type { RunScript } from '../core/state-store.ts';
import {
  type NotedPenalty,
  type PenaltyKind,
  type PenaltyNames,
  penaltyNamesKept,
  penaltyNamesKeptMs,
  type StoredPenaltyName,
} from './penalty-relief.ts';

const kinds: readonly PenaltyKind[] = ['user-network', 'user', 'network'];
const namePurpose = 'penalty name';
const namesAtOnce = 500;
// The braces are the hash tag: both keys lie in one slot of a Cluster.
const keys = ['ps:p:{names}:at', 'ps:p:{names}:sealed'];

/**
 * KEYS: members by the time of their last refusal, and their sealed names. ARGV: now, the oldest time to keep, the number
 * to keep, the lifetime, then members and names.
 */
const noteNamesScript = `
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, 100)
for _, member in ipairs(gone) do redis.call('ZREM', KEYS[1], member) redis.call('HDEL', KEYS[2], member) end
for at = 5, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ARGV[1], ARGV[at])
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
end
local over = redis.call('ZRANGE', KEYS[1], 0, -1 - tonumber(ARGV[3]))
for _, member in ipairs(over) do redis.call('ZREM', KEYS[1], member) redis.call('HDEL', KEYS[2], member) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1`;

/** KEYS as above. ARGV: ranks, counted from the end. Returns member, time, sealed name, and so on. */
const readNamesScript = `
local found = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
local page = {}
for at = 1, #found, 2 do
  page[#page + 1] = found[at]
  page[#page + 1] = found[at + 1]
  page[#page + 1] = redis.call('HGET', KEYS[2], found[at]) or ''
end
return page`;

/**
 * Names of the counts in a Redis. Each is sealed under a server key, as all that Redis holds of users: whoever reads the
 * store learns how many counts there are, and of whom none is.
 */
export function createRedisPenaltyNames(run: RunScript, serverKeys: () => VouchingKeys, clock: Clock): PenaltyNames {
  return {
    async note(noted) {
      const { promoted } = serverKeys();
      const nowMs = clock.nowMs();
      const members = noted.flatMap(({ kind, hash, user, network }) => {
        const sealed = sealText(promoted.subkey(namePurpose), JSON.stringify({ user, network }), [kind, hash]);
        return [`${kind}:${hash}`, `${promoted.id}.${sealed}`];
      });
      const bounds = [nowMs, nowMs - penaltyNamesKeptMs, penaltyNamesKept, penaltyNamesKeptMs].map(String);
      await run(noteNamesScript, keys, [...bounds, ...members]);
    },
    async latest(most) {
      const found = new Map<string, StoredPenaltyName>();
      const oldestMs = clock.nowMs() - penaltyNamesKeptMs;
      for (let from = 0; from < most; from += namesAtOnce) {
        const to = Math.min(from + namesAtOnce, most);
        const page = await run(readNamesScript, keys, [String(-to), String(-from - 1)]);
        if (!Array.isArray(page) || page.length === 0) break;
        for (let at = 0; at < page.length; at += 3) {
          const [member, atMs, sealed] = page.slice(at, at + 3).map(String);
          const stored = openName(serverKeys(), member ?? '', Number(atMs), sealed ?? '');
          // A refusal meanwhile moves others down: they come twice.
          if (stored !== undefined && stored.atMs >= oldestMs) found.set(member ?? '', stored);
        }
        if (page.length < namesAtOnce * 3) break;
      }
      return [...found.values()];
    },
  };
}

/** Tries the scripts. Rejects if the server refuses them. */
export async function probePenaltyNames(run: RunScript): Promise<void> {
  const probe = ['ps:p:{probe}:at', 'ps:p:{probe}:sealed'];
  await run(noteNamesScript, probe, ['0', '0', '0', '1', 'probe', '']);
  await run(readNamesScript, probe, ['-1', '-1']);
}

/** An entry of which nobody can say whom it is of keeps its place in the list, without a name. */
function openName(ring: VouchingKeys, member: string, atMs: number, text: string): StoredPenaltyName | undefined {
  const [kindText, hash = ''] = member.split(':');
  const kind = kinds.find((one) => one === kindText);
  if (kind === undefined || !/^[\w-]{22}$/.test(hash) || !Number.isSafeInteger(atMs)) return undefined;
  const [, keyId = '', sealed = ''] = /^([0-9a-f]{8})\.(.*)$/s.exec(text) ?? [];
  const key = ring.find(keyId);
  const opened = key === undefined ? undefined : openSealedText(key.subkey(namePurpose), sealed, [kind, hash]);
  const named = parseJson(opened ?? '');
  const { user, network } = isObject(named) ? named : {};
  return {
    kind,
    hash,
    atMs,
    ...(typeof user === 'string' ? { user } : {}),
    ...(typeof network === 'string' ? { network } : {}),
  };
}

/** Names of the counts of a gateway of one process, in its memory as the counts are. */
export function createMemoryPenaltyNames(clock: Clock): PenaltyNames {
  const kept = new BoundedMap<string, NotedPenalty & { readonly atMs: number }>(penaltyNamesKept);

  function forgetOld(): void {
    const oldestMs = clock.nowMs() - penaltyNamesKeptMs;
    for (const [member, { atMs }] of kept) {
      if (atMs >= oldestMs) return;
      kept.delete(member);
    }
  }

  return {
    async note(noted) {
      forgetOld();
      for (const one of noted) kept.set(`${one.kind}:${one.hash}`, { ...one, atMs: clock.nowMs() });
    },
    async latest(most) {
      forgetOld();
      return [...kept.values()].slice(-most);
    },
  };
}
