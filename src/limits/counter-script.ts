/**
 * The script of the limits. It does one act on the counter of one key.
 *
 * - `reserve` reserves a place for an attempt. ARGV[4]: the id of the reservation. ARGV[5]: its lease, in milliseconds.
 * - `settle` ends a reservation. ARGV[4]: its id. ARGV[5]: 1 if the attempt was wrong and counts, otherwise 0.
 * - `count` counts an attempt at once, regardless of its outcome.
 * - `carry` adds wrong attempts that a replica counted in its memory. ARGV[4]: how many. ARGV[5]: milliseconds until
 *   their window ends. An outage of Redis must not give back what was used up during it.
 *
 * KEYS[1]  the number of wrong attempts; it expires when the window ends
 * KEYS[2]  a sorted set: the ids of the reservations, each with the end of its lease (milliseconds since the epoch)
 * ARGV[1]  the length of a window, in milliseconds
 * ARGV[2]  the limit: how many attempts a window has
 * ARGV[3]  the act
 * Returns  { 1 or 0, wrong attempts, reservations, milliseconds until the window ends }. The first is 0 if an attempt
 *          is not admitted, or if the reservation to settle had lapsed. Then the act has changed nothing.
 * Why      Comparing and reserving are one step, so that attempts at the same time cannot exceed the limit together.
 *          Settling returns whether the reservation was still held. Only then may the caller give its result.
 *
 *          Reservations of a replica that was killed must count as wrong attempts. Otherwise an attacker could profit
 *          from killing replicas. Therefore lapsed reservations are counted first. They begin a window when their lease
 *          ended, not when the script runs. Those that lapsed more than a window ago are dropped. That is why the set
 *          outlives the lease by a window. The time is that of Redis, so the clocks of replicas do not matter.
 *
 *          No write comes before it is needed. Redis checks its memory limit only at the first write of a script, and a
 *          removal passes that check. Later writes would then grow a Redis that is full. An attempt that is refused
 *          writes nothing, unless a reservation has lapsed. So it is refused while Redis is read-only, too.
 */
export const counterScript = `
local wrong_key, reserved_key = KEYS[1], KEYS[2]
local window, limit, act = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function add (attempts, ttl)
  redis.call('INCRBY', wrong_key, attempts)
  if redis.call('PTTL', wrong_key) < 0 then redis.call('PEXPIRE', wrong_key, ttl) end
end

local function wrong_attempts () return tonumber(redis.call('GET', wrong_key) or 0) end
local function is_full () return wrong_attempts() + redis.call('ZCARD', reserved_key) >= limit end
local function answer (flag)
  return { flag, wrong_attempts(), redis.call('ZCARD', reserved_key), math.max(0, redis.call('PTTL', wrong_key)) }
end

local function oldest_lapsed_at ()
  local lapses_at = tonumber(redis.call('ZRANGE', reserved_key, 0, 0, 'WITHSCORES')[2])
  return lapses_at and lapses_at <= now and lapses_at
end

if oldest_lapsed_at() then
  redis.call('ZREMRANGEBYSCORE', reserved_key, '-inf', now - window)
  local lapsed_at = oldest_lapsed_at()
  if lapsed_at then add(redis.call('ZREMRANGEBYSCORE', reserved_key, '-inf', now), lapsed_at + window - now) end
end

if act == 'reserve' then
  if is_full() then return answer(0) end
  redis.call('ZADD', reserved_key, now + ARGV[5], ARGV[4])
  redis.call('PEXPIRE', reserved_key, ARGV[5] + window)
  return answer(1)
elseif act == 'settle' then
  local was_held = redis.call('ZREM', reserved_key, ARGV[4])
  if was_held == 1 and ARGV[5] == '1' then add(1, window) end
  return answer(was_held)
elseif act == 'count' then
  if is_full() then return answer(0) end
  add(1, window)
  return answer(1)
else
  add(ARGV[4], ARGV[5])
  return answer(1)
end
`
