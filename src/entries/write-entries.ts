import { entryEndsAt, entryKey, type Revocation } from './revocation.ts'

/** Entries to write: their keys, and for each what {@link writeEntriesFunction} takes. */
export interface WrittenEntries {
  keys: string[]
  /**
   * Milliseconds since the epoch, `always`, or `before:` and seconds since the epoch. After the seconds may stand `:`
   * and the end of the entry, in milliseconds since the epoch.
   */
  ends: Array<number | string>
}

/**
 * Returns the entries of revocations.
 *
 * @param prefix the text in front of every key
 * @param leewaySeconds by how much clocks may differ
 */
export function toEntries (revocations: readonly Revocation[], prefix: string, leewaySeconds: number): WrittenEntries {
  return {
    keys: revocations.map(({ scope, id }) => prefix + entryKey(scope, id)),
    ends: revocations.map(({ scope, expiresAt, issuedBefore }) => {
      if (scope === 'everyone') return `before:${issuedBefore}`
      if (scope === 'subject') return `before:${issuedBefore}:${entryEndsAt(expiresAt, leewaySeconds)}`
      return scope === 'key' ? 'always' : entryEndsAt(expiresAt, leewaySeconds)
    })
  }
}

/**
 * A Lua function that writes entries, and never weakens one: `write_entries(keys, first_key, ends, first_end)`. The
 * entry `keys[first_key]` is written as `ends[first_end]` says, and so on to the end of `keys`:
 *
 * - A number: the entry ends then, in milliseconds since the epoch. An entry that ends later, or never, is left alone.
 * - `always`: the entry has no end.
 * - `before:` and a number: the entry has no end, and holds that number, or a greater one that it held before.
 * - `before:`, a number, `:` and another one: as above, but the entry ends at the second number, or later.
 *
 * A key of another type is an error (GET says WRONGTYPE), because MGET would return nil for it. PTTL is a millisecond
 * coarse. That hides no real difference, since `exp` is in whole seconds. The value 1 is a small integer, which Redis
 * shares instead of storing. PXAT needs Redis 6.2.
 */
export const writeEntriesFunction = `
local function write_before (key, before, ends_at, now)
  local found = redis.call('GET', key)
  if found and not string.match(found, '^%d+$') then error('The key ' .. key .. ' does not hold a number.') end
  local is_later = not found or tonumber(found) < tonumber(before)
  local latest = is_later and before or found
  if ends_at == '' then
    if is_later then redis.call('SET', key, latest) end
    return
  end
  local left = found and redis.call('PTTL', key) or -2
  local lasts = left == -1 or (left >= 0 and now + left >= tonumber(ends_at))
  if tonumber(ends_at) <= now or (lasts and not is_later) then return end
  if lasts then redis.call('SET', key, latest, 'KEEPTTL') else redis.call('SET', key, latest, 'PXAT', ends_at) end
end

local function write_until (key, ends_at, now)
  local left = redis.call('GET', key) and redis.call('PTTL', key) or -2
  if ends_at == 'always' then
    if left ~= -1 then redis.call('SET', key, 1) end
  elseif tonumber(ends_at) > now and (left == -2 or (left >= 0 and now + left < tonumber(ends_at))) then
    redis.call('SET', key, 1, 'PXAT', ends_at)
  end
end

local function write_entries (keys, first_key, ends, first_end)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for index = 0, #keys - first_key do
    local key, ends_at = keys[first_key + index], ends[first_end + index]
    local before, before_ends = string.match(ends_at, '^before:(%d+):?(%d*)$')
    if before then
      write_before(key, before, before_ends, now)
    else
      write_until(key, ends_at, now)
    end
  end
end
`

/**
 * Writes entries.
 *
 * KEYS     the entries
 * ARGV     what to write for each, see {@link writeEntriesFunction}
 * Returns  nothing
 * Why      A script compares and writes in one step: two revocations of one session never shorten each other's entry.
 */
export const writeEntriesScript = `
${writeEntriesFunction}
write_entries(KEYS, 1, ARGV, 1)
`

/**
 * Revokes every token of a subject that was issued until now.
 *
 * KEYS[1]  the entry of the subject: an instant, in seconds since the epoch
 * ARGV[1]  the leeway, in seconds
 * ARGV[2]  for how long after that instant the entry stays, in seconds
 * Returns  the instant: the next whole second, or a later one that stands there already
 * Why      A token that was issued until now, by a clock that is ahead by the leeway, has an earlier `iat`. All
 *          replicas share the clock of Redis.
 */
export const writeSubjectScript = `
local time = redis.call('TIME')
local before = math.floor(time[1] + time[2] / 1000000 + ARGV[1]) + 1
local found = redis.call('GET', KEYS[1])
if found and not string.match(found, '^%d+$') then error('The key ' .. KEYS[1] .. ' does not hold a number.') end
if found then before = math.max(before, tonumber(found)) end
redis.call('SET', KEYS[1], string.format('%d', before), 'EXAT', string.format('%d', before + ARGV[2]))
return before
`
