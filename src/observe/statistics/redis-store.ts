import { type Clock, isMoment } from '../../core/clock.ts';
import { PosternError } from '../../core/error.ts';
import type { RunScript } from '../../core/state-store.ts';
import {
  dayMs,
  erasureKeptMs,
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
import { KnownErasures, type MarksOf, notErased } from './erasures.ts';

// The hash tag of the state: a script names several keys, and a Cluster must have them in one slot.
const keyPrefix = '{ps:state}:n:';
const beganKey = `${keyPrefix}began`;
/** Marks of erased users, by the moment of the erasure: microseconds of the clock of Redis, no two the same. */
const erasedKey = `${keyPrefix}erased`;
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
 * Keeps the later time of each way in, unless a user was erased meanwhile: then it returns 0. KEYS buckets, and the erased
 * users. ARGV how long they are kept at least, the latest erasure that is known; then for each user the number of the
 * bucket among KEYS, the name, and a time for each way: seconds to the base of 36, or nothing.
 */
const addLastScript = `
if (redis.call('ZRANGE', KEYS[#KEYS], -1, -1, 'WITHSCORES')[2] or '0') ~= ARGV[2] then return 0 end
for at = 3, #ARGV, 5 do
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
const removeUserScript = `return redis.call('HDEL', KEYS[1], ARGV[1])`;
const beganScript = `return redis.call('GET', KEYS[1]) or ''`;

/**
 * Removes a user, and keeps a mark of that. KEYS bucket, erased users. ARGV user, mark, how long it is kept. Marks of the
 * same moment would be one for a node that knows the first of them.
 */
const eraseScript = `
local time = redis.call('TIME')
local moment = time[1] * 1000000 + time[2]
local latest = tonumber(redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] or '0')
if moment <= latest then moment = latest + 1 end
redis.call('ZADD', KEYS[2], ('%.0f'):format(moment), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ('%.0f'):format(moment - ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('HDEL', KEYS[1], ARGV[1])`;

/**
 * Notes when counting began; the first time stays. KEYS began, erased users. ARGV the time, the latest erasure that is known.
 * Returns the time of Redis, its latest erasure, and mark and moment of each that is not known, or of all if Redis has
 * lost that one.
 */
const beginScript = `
if not redis.call('GET', KEYS[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
local time = redis.call('TIME')
local latest = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] or '0'
local from = tonumber(latest) < tonumber(ARGV[2]) and '-inf' or '(' .. ARGV[2]
local reply = { ('%.0f'):format(time[1] * 1000000 + time[2]), latest }
for _, text in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf', 'WITHSCORES')) do reply[#reply + 1] = text end
return reply`;

/** How often last sign-ins are tried again because users were erased meanwhile. */
const mostTries = 10;

/** Statistics in a Redis. The caller owns the connection. */
export class RedisStatisticsStore implements StatisticsStore {
  readonly #run: RunScript;
  readonly #marksOf: MarksOf;
  readonly #erasures: KnownErasures;
  #sweptBucket = Math.floor(Math.random() * buckets);
  #sweptKeptMs: number | undefined;

  constructor(run: RunScript, marksOf: MarksOf) {
    this.#run = run;
    this.#marksOf = marksOf;
    this.#erasures = new KnownErasures(marksOf);
  }

  async add({ counts, users, lastLogins, ...batch }: StatisticsBatch, keptMs: number, clock: Clock): Promise<string> {
    // Asked alone, so that a server that hangs is sent little.
    const begin = () => this.#begin(batch.beganMs, clock);
    await begin();
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
      ...[...chunks([...lastLogins], entriesAtOnce)].map(
        (some) => () => this.#addLast(some, { keptMs, begin, nowMs: clock.nowMs }),
      ),
    ]);
    return this.#erasures.latest;
  }

  async #begin(beganMs: number, clock: Clock): Promise<void> {
    const told = await this.#run(beginScript, [beganKey, erasedKey], [String(beganMs), this.#erasures.latest]);
    // Read after the answer: the clock of Redis seems earlier than it is, and an erasure later.
    this.#erasures.adopt(replyTexts(told), clock.nowMs());
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

  async #addLast(
    entries: readonly (readonly [string, LastLogin])[],
    { keptMs, nowMs, begin }: { keptMs: number; nowMs: () => number; begin: () => Promise<void> },
  ): Promise<void> {
    for (let tries = 0; tries < mostTries; tries += 1) {
      const { erasedAtMs, latest } = this.#erasures;
      const left = notErased(entries, erasedAtMs, nowMs());
      const keys = [...new Set(left.map(([user]) => bucketOf(user)))];
      const places = new Map(keys.map((key, index) => [key, String(index + 1)]));
      const args = left.flatMap(([user, last]) => [places.get(bucketOf(user)) ?? '', user, ...storedTimes(last)]);
      const added = await this.#run(addLastScript, [...keys, erasedKey], [String(keptMs), latest, ...args]);
      if (Number(added) === 1) return;
      await begin();
    }
    const message = 'users are erased from the statistics faster than last sign-ins are stored';
    throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
  }

  async counts(tables: readonly string[]): Promise<readonly ReadonlyMap<string, number>[]> {
    const replies = await Promise.all(tables.map((table) => this.#run(readTableScript, [keyOf(table)], [])));
    return replies.map((reply) => {
      const pairs = pairsIn(reply).filter(([field]) => !field.startsWith('#'));
      return new Map(
        pairs.flatMap(([field, count]) => (Number.isFinite(Number(count)) ? [[field, Number(count)] as const] : [])),
      );
    });
  }

  async distinct(sets: readonly string[]): Promise<number> {
    return Number(await this.#run(countUsersScript, sets.map(keyOf), []));
  }

  async lastLogins(cursor: string): Promise<LastLoginsPage> {
    const first = cursor === '' ? 0 : Number(/^\d{1,5}$/.exec(cursor)?.[0]);
    // Before the first bucket there are as many as there are numbers.
    if (!(first < buckets)) throw new RangeError('the cursor is not that of a page');
    const users: UserLastLogin[] = [];
    for (let at = first; at < buckets; at += bucketsRead) {
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
    const [mark = ''] = this.#marksOf(user);
    const erased = await this.#run(eraseScript, [bucketOf(user), erasedKey], [user, mark, String(erasureKeptMs)]);
    return Number(erased) > 0;
  }

  async beganMs(): Promise<number | undefined> {
    const text = String(await this.#run(beganScript, [beganKey], []));
    return text === '' || !isMoment(Number(text)) ? undefined : Number(text);
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
      if (Math.max(...Object.values(lastIn(text))) < nowMs - keptMs) await this.#run(removeUserScript, [key], [user]);
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
    if (isMoment(seconds * 1000)) last[way] = seconds * 1000;
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
