/**
 * Lua that writes the entries KEYS from `first` on, which end at ARGV from `firstEnd` on (milliseconds since the epoch), and
 * never shortens one. `first` and `firstEnd` are where the entries and their ends begin, counted from 0.
 *
 * An existing entry without an end is left alone: it lasts longer than any. One of another type is an error (GET says
 * WRONGTYPE): MGET would answer nil for it. The time that is left is read with PTTL, which is a millisecond coarse, and
 * since `exp` is in whole seconds that cannot hide a real difference. The value is a small integer, which Redis shares
 * instead of storing. PXAT is known since Redis 6.2.
 */
export const neverShorten = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #KEYS - first do
  local key, ends = KEYS[first + i], ARGV[firstEnd + i]
  local left = redis.call('GET', key) and redis.call('PTTL', key) or -2
  if tonumber(ends) > now and (left == -2 or (left >= 0 and now + left < tonumber(ends))) then
    redis.call('SET', key, 1, 'PXAT', ends)
  end
end
`
