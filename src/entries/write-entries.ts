/**
 * A Lua function that writes entries, and never shortens one: `write_entries(keys, first_key, ends, first_end)`. The
 * entry `keys[first_key]` ends at `ends[first_end]`, in milliseconds since the epoch, and so on to the end of `keys`.
 *
 * - An entry that has no end is left alone: it lasts longer than any.
 * - A key of another type is an error (GET says WRONGTYPE), because MGET would return nil for it.
 * - PTTL is a millisecond coarse. That hides no real difference, since `exp` is in whole seconds.
 * - The value is a small integer, which Redis shares instead of storing.
 * - PXAT needs Redis 6.2.
 */
export const writeEntriesFunction = `
local function write_entries (keys, first_key, ends, first_end)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for index = 0, #keys - first_key do
    local key, ends_at = keys[first_key + index], ends[first_end + index]
    local left = redis.call('GET', key) and redis.call('PTTL', key) or -2
    if tonumber(ends_at) > now and (left == -2 or (left >= 0 and now + left < tonumber(ends_at))) then
      redis.call('SET', key, 1, 'PXAT', ends_at)
    end
  end
end
`

/**
 * Writes entries.
 *
 * KEYS     the entries
 * ARGV     when each ends, in milliseconds since the epoch
 * Returns  nothing
 * Why      A script compares and writes in one step: two revocations of one session never shorten each other's entry.
 */
export const writeEntriesScript = `
${writeEntriesFunction}
write_entries(KEYS, 1, ARGV, 1)
`
