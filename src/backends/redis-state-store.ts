import { PosternError } from '../core/error.ts';
import { type RunScript, type StateEntry, type StateStore, type StateTable, stateTables } from '../core/state-store.ts';

// One hash tag for all keys: a script writes several of them, and a Cluster must have them in one slot.
const valuesKey = '{ps:state}:values';
const changesKey = '{ps:state}:changes';
const counterKey = '{ps:state}:counter';

/**
 * KEYS values, changes, counter. ARGV field, value, expected version or '', whether to remove. A value is
 * `version:text`.
 */
const putScript = `
local before = redis.call('HGET', KEYS[1], ARGV[1])
local version = before and before:match('^(%d+):') or '0'
if ARGV[3] ~= '' and ARGV[3] ~= version then return 0 end
local next = redis.call('INCR', KEYS[3])
if ARGV[4] == '1' then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], next .. ':' .. ARGV[2]) end
redis.call('ZADD', KEYS[2], next, ARGV[1])
return 1`;

/** KEYS as above. ARGV cursor. Returns the counter, then field and value of each change after the cursor, in order. */
const changesScript = `
local latest = redis.call('GET', KEYS[3]) or '0'
local from = tonumber(latest) < tonumber(ARGV[1]) and '0' or ARGV[1]
local reply = { latest }
for _, field in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. from, '+inf')) do
  table.insert(reply, field)
  table.insert(reply, redis.call('ZSCORE', KEYS[2], field))
  table.insert(reply, redis.call('HGET', KEYS[1], field) or '')
end
return reply`;

/**
 * Makes a state store in Redis: a hash of the values, and a sorted set of fields by the version of their last change.
 */
export function createRedisStateStore(run: RunScript): StateStore {
  const keys = [valuesKey, changesKey, counterKey];
  return {
    async changesSince(cursor) {
      const reply = await run(changesScript, keys, [String(cursor)]);
      if (!Array.isArray(reply)) throw notAListOfChanges();
      const texts = reply.map(String);
      const latest = Number(texts[0]);
      if (!Number.isSafeInteger(latest)) throw notAListOfChanges();
      return { cursor: latest, reset: latest < cursor, entries: parseChanges(texts.slice(1)) };
    },
    async put(table, key, value, expected) {
      const args = [`${table}:${key}`, value ?? '', expected === undefined ? '' : String(expected)];
      const written = await run(putScript, keys, [...args, value === undefined ? '1' : '0']);
      return written === 1 ? 'written' : 'conflict';
    },
    // The connection belongs to the caller.
    async [Symbol.asyncDispose]() {},
  };
}

function parseChanges(texts: readonly string[]): StateEntry[] {
  const entries: StateEntry[] = [];
  for (let at = 0; at + 2 < texts.length; at += 3) {
    const [field = '', version = '', value = ''] = texts.slice(at, at + 3);
    const colon = field.indexOf(':');
    const table = tableNamed(field.slice(0, colon));
    if (table === undefined) continue;
    entries.push({
      table,
      key: field.slice(colon + 1),
      value: value === '' ? undefined : value.slice(value.indexOf(':') + 1),
      version: Number(version),
    });
  }
  return entries;
}

function tableNamed(name: string): StateTable | undefined {
  return stateTables.find((table) => table === name);
}

function notAListOfChanges(): PosternError {
  const message = 'the answer of Redis is not a list of changes';
  return new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: false });
}
