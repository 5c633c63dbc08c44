// The conditional writes of the session store, as Lua scripts. Each touches keys of one slot, so that it runs on a Cluster.

/** KEYS record, tombstone. ARGV record, ttl. */
export const createScript = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0`;

/** KEYS record, use, jar, tombstone, amount. ARGV reason, ttl of the tombstone. Returns the record and amount that were there. */
export const destroyScript = `
local record = redis.call('GET', KEYS[1])
local amount = redis.call('GET', KEYS[5])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[5])
redis.call('SET', KEYS[4], ARGV[1], 'NX', 'PX', ARGV[2])
return { record, amount or '0 0 0' }`;

/**
 * KEYS record, jar. ARGV backend and host that the record must name, record, jar. Returns 0 gone, 1 elsewhere, 2
 * written.
 */
export const rerouteScript = `
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return 0 end
local before = cjson.decode(redis.call('GET', KEYS[1]))
if before.backend ~= ARGV[1] or before.host ~= ARGV[2] then return 1 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', left)
redis.call('SET', KEYS[2], ARGV[4], 'PX', left)
return 2`;

/** KEYS record, jar. ARGV jar. A jar lives as long as its record. */
export const writeJarScript = `
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', left)
return 1`;

/** KEYS record, use, amount. ARGV time, requests, bytes in, bytes out. Another node may have written a later time. */
export const noteUseScript = `
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return 0 end
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', left)
end
if ARGV[2] == '0' then return 1 end
local before = redis.call('GET', KEYS[3]) or '0 0 0'
local requests, bytesIn, bytesOut = string.match(before, '(%d+) (%d+) (%d+)')
redis.call('SET', KEYS[3], string.format('%.0f %.0f %.0f', requests + ARGV[2], bytesIn + ARGV[3], bytesOut + ARGV[4]), 'PX', left)
return 1`;

/** KEYS index. ARGV score, record key, ttl. The index lives as long as its longest session. */
export const indexScript = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`;

/** KEYS index of all. ARGV absolute end, record key, ttl. Sessions past their end are dropped from the index. */
export const indexAllScript = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1] .. '000')
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`;

/** KEYS registry. ARGV one JSON per key. Returns all that are registered then. */
export const registerKeysScript = `
local known, ours = {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do known[fields[at]] = cjson.decode(fields[at + 1]) end
for _, text in ipairs(ARGV) do local key = cjson.decode(text); ours[key.id] = key end
local complete = true
for id, key in pairs(known) do
  if key.promoted and (not ours[id] or ours[id].fingerprint ~= key.fingerprint) then complete = false end
end
if complete then
  for id, key in pairs(ours) do
    key.promoted = key.promoted or (known[id] and known[id].promoted) or false
    redis.call('HSET', KEYS[1], id, cjson.encode(key))
  end
end
return redis.call('HVALS', KEYS[1])`;
