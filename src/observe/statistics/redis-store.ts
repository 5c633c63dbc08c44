import { PosternError } from '../../core/error.ts';
import type { RunScript } from '../../core/state-store.ts';
import {
  dayMs,
  type LastLogin,
  type LastLoginsPage,
  mostDomainCounts,
  otherValue,
  periodEndMs,
  type StatisticsBatch,
  type StatisticsStore,
  type UserLastLogin,
  type WayIn,
  waysIn,
} from '../../core/statistics.ts';

// The hash tag of the state: a script names several keys, and a Cluster must have them in one slot.
const keyPrefix = '{ps:state}:n:';
const beganKey = `${keyPrefix}began`;
/** Last sign-ins lie in this many hashes, which stay small, and so take little memory, up to two million users. */
const buckets = 16_384;
/** Buckets that one script reads: it keeps Redis for a few milliseconds. */
const bucketsRead = 64;
/** Users that one script writes, or asks for. */
const entriesAtOnce = 250;
/** Commands that one pipeline has. */
const commandsAtOnce = 20;
/** A page of last sign-ins has at least this many users, unless it is the last one. */
const usersPerPage = 10_000;

/**
 * Adds counts to a table, unless this batch was added before. KEYS table. ARGV process, sequence, end of the table's
 * life, most counts of domains, the value for further ones; then field and count of each.
 */
const addCountsScript = `
local added = tonumber(redis.call('HGET', KEYS[1], '#' .. ARGV[1]) or '0')
if added >= tonumber(ARGV[2]) then return 0 end
for at = 6, #ARGV, 2 do
  local field = ARGV[at]
  local outcome = field:match('^domain|.*|([%w_]+)$')
  if outcome and not redis.call('HGET', KEYS[1], field) then
    if redis.call('HINCRBY', KEYS[1], '#domains', 1) > tonumber(ARGV[4]) then
      redis.call('HINCRBY', KEYS[1], '#domains', -1)
      field = 'domain|' .. ARGV[5] .. '|' .. outcome
    end
  end
  redis.call('HINCRBY', KEYS[1], field, ARGV[at + 1])
end
redis.call('HSET', KEYS[1], '#' .. ARGV[1], ARGV[2])
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 1`;

/** KEYS set. ARGV end of its life, then users. */
const addUsersScript = `
redis.call('PFADD', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return 1`;

/**
 * Keeps the later time of each way in. KEYS buckets. ARGV how long they are kept at least; then for each user the number of the
 * bucket among KEYS, the name, and a time for each way: seconds to the base of 36, or nothing.
 */
const addLastScript = `
for at = 2, #ARGV, 5 do
  local bucket, user = KEYS[tonumber(ARGV[at])], ARGV[at + 1]
  local before = redis.call('HGET', bucket, user) or ''
  local old = { before:match('^(%w*),(%w*),(%w*)$') }
  local new = {}
  for way = 1, 3 do
    local was, is = old[way] or '', ARGV[at + 1 + way]
    if was == '' or (is ~= '' and tonumber(is, 36) > tonumber(was, 36)) then new[way] = is else new[way] = was end
  end
  local after = table.concat(new, ',')
  if after ~= before then redis.call('HSET', bucket, user, after) end
  if redis.call('PTTL', bucket) < tonumber(ARGV[1]) then redis.call('PEXPIRE', bucket, ARGV[1] + 86400000) end
end
return 1`;

const readBucketsScript = `
local reply = {}
for _, bucket in ipairs(KEYS) do
  for _, text in ipairs(redis.call('HGETALL', bucket)) do reply[#reply + 1] = text end
end
return reply`;

/** KEYS buckets, one for each user in ARGV. */
const readUsersScript = `
local reply = {}
for at, bucket in ipairs(KEYS) do reply[at] = redis.call('HGET', bucket, ARGV[at]) or '' end
return reply`;

const countUsersScript = `return redis.call('PFCOUNT', unpack(KEYS))`;
const readTableScript = `return redis.call('HGETALL', KEYS[1])`;
const removeScript = `return redis.call('DEL', unpack(KEYS))`;
const eraseScript = `return redis.call('HDEL', KEYS[1], ARGV[1])`;
/** The first time stays. */
const beganScript = `
local began = redis.call('GET', KEYS[1])
if not began and ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return began or ''`;

/** Statistics in a Redis. The caller owns the connection. */
export class RedisStatisticsStore implements StatisticsStore {
  readonly #run: RunScript;
  #sweptBucket = Math.floor(Math.random() * buckets);
  #sweptKeptMs: number | undefined;

  constructor(run: RunScript) {
    this.#run = run;
  }

  async add({ counts, users, lastLogins, ...batch }: StatisticsBatch, keptMs: number): Promise<void> {
    // Asked alone, so that a server that hangs is sent little.
    await this.#run(beganScript, [beganKey], [String(batch.beganMs)]);
    await inPipelines([
      ...[...counts].map(
        ([table, fields]) =>
          () =>
            this.#addCounts(table, fields, batch, keptMs),
      ),
      ...[...users].flatMap(([set, members]) =>
        [...chunks([...members], entriesAtOnce)].map(
          (some) => () => this.#run(addUsersScript, [keyOf(set)], [endOfLife(set, keptMs), ...some]),
        ),
      ),
      ...[...chunks([...lastLogins], entriesAtOnce)].map((some) => () => this.#addLast(some, keptMs)),
    ]);
  }

  async #addCounts(
    table: string,
    fields: ReadonlyMap<string, number>,
    { process, sequence }: Pick<StatisticsBatch, 'process' | 'sequence'>,
    keptMs: number,
  ): Promise<void> {
    const head = [process, String(sequence), endOfLife(table, keptMs), String(mostDomainCounts), otherValue];
    const pairs = [...fields].flatMap(([field, count]) => [field, String(count)]);
    await this.#run(addCountsScript, [keyOf(table)], [...head, ...pairs]);
  }

  async #addLast(entries: readonly (readonly [string, LastLogin])[], keptMs: number): Promise<void> {
    const keys = [...new Set(entries.map(([user]) => bucketOf(user)))];
    const places = new Map(keys.map((key, index) => [key, String(index + 1)]));
    const args = entries.flatMap(([user, last]) => [places.get(bucketOf(user)) ?? '', user, ...storedTimes(last)]);
    await this.#run(addLastScript, keys, [String(keptMs), ...args]);
  }

  async counts(tables: readonly string[]): Promise<readonly ReadonlyMap<string, number>[]> {
    const replies = await Promise.all(tables.map((table) => this.#run(readTableScript, [keyOf(table)], [])));
    return replies.map((reply) => {
      const pairs = pairsIn(reply).filter(([field]) => !field.startsWith('#'));
      return new Map(pairs.map(([field, count]) => [field, Number(count)]));
    });
  }

  async distinct(sets: readonly string[]): Promise<number> {
    return Number(await this.#run(countUsersScript, sets.map(keyOf), []));
  }

  async lastLogins(cursor: string): Promise<LastLoginsPage> {
    const users: UserLastLogin[] = [];
    for (let at = Number(cursor); at < buckets; at += bucketsRead) {
      if (users.length >= usersPerPage) return { users, cursor: String(at) };
      const keys = Array.from({ length: bucketsRead }, (_, index) => bucketKey(at + index));
      for (const [user, text] of pairsIn(await this.#run(readBucketsScript, keys, []))) {
        users.push({ user, last: lastIn(text) });
      }
    }
    return { users };
  }

  async lastLoginsOf(users: readonly string[]): Promise<readonly (LastLogin | undefined)[]> {
    const found: (LastLogin | undefined)[] = [];
    for (const some of chunks(users, entriesAtOnce)) {
      const texts = replyTexts(await this.#run(readUsersScript, some.map(bucketOf), some));
      found.push(...texts.map((text) => (text === '' ? undefined : lastIn(text))));
    }
    return found;
  }

  async erase(user: string): Promise<boolean> {
    return Number(await this.#run(eraseScript, [bucketOf(user)], [user])) > 0;
  }

  async beganMs(): Promise<number | undefined> {
    const text = String(await this.#run(beganScript, [beganKey], []));
    return text === '' ? undefined : Number(text);
  }

  /** Tables expire by themselves: those are removed that a longer time was set for. Of the last sign-ins one bucket. */
  async sweep(nowMs: number, keptMs: number): Promise<void> {
    if (this.#sweptKeptMs !== keptMs) {
      const removed = [...chunks(namesBefore(nowMs - keptMs), entriesAtOnce)];
      await inPipelines(removed.map((names) => () => this.#run(removeScript, names.map(keyOf), [])));
      this.#sweptKeptMs = keptMs;
    }
    this.#sweptBucket = (this.#sweptBucket + 1) % buckets;
    const key = bucketKey(this.#sweptBucket);
    for (const [user, text] of pairsIn(await this.#run(readBucketsScript, [key], []))) {
      if (Math.max(...Object.values(lastIn(text))) < nowMs - keptMs) await this.#run(eraseScript, [key], [user]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** The longest time that statistics can be kept, in days. */
const longestDays = 1_100;

/** The names of all tables and sets that may be left of days before this time. */
function namesBefore(ms: number): readonly string[] {
  const names = new Set<string>();
  for (let days = 1; days <= longestDays; days += 1) {
    const day = new Date(ms - days * dayMs).toISOString().slice(0, 10);
    for (const kind of ['hours', 'days', 'web', 'program']) names.add(`${kind}:${day}`);
    for (const way of ['web', 'program']) names.add(`${way}:${day.slice(0, 7)}`);
  }
  return [...names].filter((name) => periodEndMs(name) <= ms);
}

function keyOf(name: string): string {
  return `${keyPrefix}${name}`;
}

function endOfLife(name: string, keptMs: number): string {
  return String(periodEndMs(name) + keptMs);
}

function bucketKey(number: number): string {
  return `${keyPrefix}l:${number.toString(36)}`;
}

/** FNV-1a: the same user is in the same bucket for ever. */
function bucketOf(user: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(user)) hash = Math.imul(hash ^ byte, 0x01000193);
  return bucketKey((hash ^ (hash >>> 16)) & (buckets - 1));
}

function storedTimes(last: LastLogin): readonly string[] {
  return waysIn.map((way) => {
    const ms = last[way];
    return ms === undefined ? '' : Math.floor(ms / 1000).toString(36);
  });
}

function lastIn(text: string): LastLogin {
  const times = text.split(',');
  const last: Partial<Record<WayIn, number>> = {};
  for (const [index, way] of waysIn.entries()) {
    const seconds = Number.parseInt(times[index] ?? '', 36);
    if (!Number.isNaN(seconds)) last[way] = seconds * 1000;
  }
  return last;
}

function replyTexts(reply: unknown): readonly string[] {
  if (Array.isArray(reply)) return reply.map(String);
  const message = 'the answer of Redis is not a list of statistics';
  throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: false });
}

function pairsIn(reply: unknown): readonly (readonly [string, string])[] {
  const texts = replyTexts(reply);
  const pairs: (readonly [string, string])[] = [];
  for (let at = 0; at + 1 < texts.length; at += 2) pairs.push([texts[at] ?? '', texts[at + 1] ?? '']);
  return pairs;
}

/** Runs commands a few at a time: what is sent at once is answered at once, and nothing else waits long behind it. */
async function inPipelines(commands: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const some of chunks(commands, commandsAtOnce)) await Promise.all(some.map((run) => run()));
}

function* chunks<T>(items: readonly T[], size: number): Iterable<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
