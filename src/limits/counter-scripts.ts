/**
 * Begins every script of the limits.
 *
 * KEYS[1]  the number of wrong attempts; it expires when the window ends
 * KEYS[2]  a sorted set: the ids of the reservations, each with the end of its lease (milliseconds since the epoch)
 * ARGV[1]  the length of a window, in milliseconds
 * Returns  { 1 or 0, wrong attempts, reservations, milliseconds until the window ends }
 * Why Reservations of a replica that was killed must count as wrong attempts, or an attacker could profit from killing
 * replicas. Every script therefore moves lapsed reservations first. They begin a window when their lease ended, not
 * when a script came by. Those that lapsed more than a window ago are dropped. The time is that of Redis: replicas
 *          need not agree on it.
 *
 * A script writes nothing before it must. Redis checks whether it is full only at the first write, and removing
 *          passes that check: what follows in the script would grow a Redis that is full. A script that refuses writes
 *          nothing at all, so it works while Redis can only be read.
 */
const begin = `
local window = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function add(attempts, ttl)
  redis.call('INCRBY', KEYS[1], attempts)
  if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ttl) end
end

local function answer(flag)
  local wrong = tonumber(redis.call('GET', KEYS[1]) or 0)
  return { flag, wrong, redis.call('ZCARD', KEYS[2]), math.max(0, redis.call('PTTL', KEYS[1])) }
end

local function isFull(limit)
  return (redis.call('GET', KEYS[1]) or 0) + redis.call('ZCARD', KEYS[2]) >= tonumber(limit)
end

local function lapsedAt()
  local oldest = tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
  return oldest and oldest <= now and oldest
end

if lapsedAt() then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - window)
  local oldest = lapsedAt()
  if oldest then add(redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now), oldest + window - now) end
end
`

/**
 * Reserves a place for an attempt.
 *
 * ARGV[2]  the limit
 * ARGV[3]  the id of the reservation
 * ARGV[4]  its lease, in milliseconds
 * Returns  first 1 if the attempt is admitted, 0 if it is not and nothing was changed
 * Why Comparing and reserving are one step, so that attempts at the same time cannot exceed the limit together. The set
 *          outlives the lease by a window, so that a lapsed reservation can still be counted.
 */
export const reserveScript = `${begin}
if isFull(ARGV[2]) then return answer(0) end
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4] + window)
return answer(1)
`

/**
 * Ends a reservation.
 *
 * ARGV[2]  the id of the reservation
 * ARGV[3]  1 if the attempt was wrong and counts, 0 if the reservation is dropped
 * Returns  first 1 if the reservation was held, 0 if it had lapsed and nothing was changed
 * Why      The caller may give its verdict only if the reservation was still held, so both are one step.
 */
export const settleScript = `${begin}
local wasHeld = redis.call('ZREM', KEYS[2], ARGV[2])
if wasHeld == 1 and ARGV[3] == '1' then add(1, window) end
return answer(wasHeld)
`

/**
 * Counts an attempt at once.
 *
 * ARGV[2]  the limit
 * Returns  first 1 if the attempt is admitted and counted, 0 if it is not and nothing was changed
 * Why      Registrations and refreshes count whatever becomes of them. They need no reservation.
 */
export const countScript = `${begin}
if isFull(ARGV[2]) then return answer(0) end
add(1, window)
return answer(1)
`

/**
 * Adds wrong attempts that a replica counted in its memory while Redis did not answer.
 *
 * ARGV[2]  how many
 * ARGV[3]  milliseconds until their window ends in that memory
 * Returns  first 1
 * Why      An outage of Redis must not give back what was used up during it. Where Redis has a window, they join it.
 */
export const carryScript = `${begin}
add(ARGV[2], ARGV[3])
return answer(1)
`
