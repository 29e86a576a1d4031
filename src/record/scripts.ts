import { writeEntriesFunction } from '../entries/write-entries.ts'

/** The age, in seconds, up to which a note still counts on another server. */
const noteHoldsSeconds = 10
/** The time after which the progress of an abandoned rebuild disappears, in milliseconds. */
const progressTtlMs = 5_000

/**
 * A Lua function that deletes the marker if keys may have been evicted since the note, and renews the note:
 * `forget_what_may_be_lost(marker, note)`. It returns the reason (`evicted`, `replaced`, or an empty text), and the
 * error of a Redis replica, which refuses the note.
 *
 * - A server that was restarted counts evictions from 0 again, so its marker is always deleted: operators often end
 *   an eviction with a restart.
 * - A Redis replica that was promoted is trusted if the note is recent.
 * - A blocklist without a note is of a release that wrote none. It is trusted unless the server has evicted keys.
 * - A Redis that is full keeps the old note, which is safe.
 */
const forgetWhatMayBeLost = `
local function forget_what_may_be_lost (marker, note)
  local info = redis.call('INFO', 'server')
  local run = string.match(info, 'run_id:(%w+)') or ''
  local uptime = tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or 0)
  local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)') or '0'
  local seconds = tonumber(redis.call('TIME')[1])
  local known_run, known_evicted, noted_at = string.match(redis.call('GET', note) or '', '^(%w*):(%d+):(%d+)$')
  local loss = ''
  if known_run == run then
    if known_evicted ~= evicted then loss = 'evicted' end
  elseif evicted ~= '0' then
    loss = 'evicted'
  elseif known_run then
    local age = math.abs(seconds - tonumber(noted_at))
    if age > ${noteHoldsSeconds} or uptime <= age + 1 then loss = 'replaced' end
  end
  if loss ~= '' and redis.call('DEL', marker) == 0 then loss = '' end
  local noted = redis.pcall('SET', note, run .. ':' .. evicted .. ':' .. seconds)
  local refusal = type(noted) == 'table' and noted.err
  if refusal and string.find(refusal, 'READONLY', 1, true) then return loss, refusal end
  return loss, nil
end
`

/**
 * Deletes the marker if Redis may have lost revocations.
 *
 * KEYS[1]  the marker
 * KEYS[2]  the progress, unused: all scripts of the record get the same keys first
 * KEYS[3]  the note: which server it was, and how many keys that had evicted
 * Returns  `evicted` or `replaced` when the marker was deleted, otherwise an empty text
 * Why      An evicted key leaves no trace in the marker, and eviction may happen while no replica runs.
 */
export const checkScript = `
${forgetWhatMayBeLost}
local loss, refusal = forget_what_may_be_lost(KEYS[1], KEYS[3])
if refusal then return redis.error_reply(refusal) end
return loss
`

/**
 * Deletes the marker and the doubt, if there is a doubt.
 *
 * KEYS[1]  the marker
 * KEYS[4]  the doubt
 * Returns  1
 * Why      It writes nothing if there is no doubt: a Redis that refuses writes refuses DEL of a missing key too.
 */
export const settleScript = `
if redis.call('GET', KEYS[4]) then redis.call('DEL', KEYS[1], KEYS[4]) end
return 1
`

/**
 * Reads the marker of a record, or puts a draft marker in its place.
 *
 * KEYS[1]  the marker
 * KEYS[2]  the progress
 * KEYS[3]  the note
 * ARGV[1]  the beginning of a marker of this record
 * ARGV[2]  a new draft marker
 * Returns  { the marker if it is of this record, otherwise the draft marker; the loss, as the check returns it }
 * Why      KEYS[2] is named for a cluster. While the slot is being moved to another server, not all of the keys are on
 *          one server, and Redis refuses the command. The projector thus finds out about a move that no look-up meets.
 */
export const beginScript = `
${forgetWhatMayBeLost}
local loss, refusal = forget_what_may_be_lost(KEYS[1], KEYS[3])
if refusal then return redis.error_reply(refusal) end
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, string.len(ARGV[1])) == ARGV[1] then return {found, loss} end
redis.call('SET', KEYS[1], ARGV[2])
return {ARGV[2], loss}
`

/**
 * Writes entries, and moves the marker or the draft marker past them.
 *
 * KEYS[1]  the marker
 * KEYS[2]  the progress of a rebuild
 * KEYS[3]  the note
 * KEYS[4…] the entries
 * ARGV[1]  the text that must stand in the marker
 * ARGV[2]  the text that replaces it
 * ARGV[3]  the progress, as JSON; an empty text when there is none
 * ARGV[4…] what to write for each entry, see `writeEntriesFunction`
 * Returns  1, or 0 when another text stands in the marker: then nothing was written
 * Why      The marker moves last, so it is true at any moment. A rebuild during which keys were evicted starts over.
 */
export const advanceScript = `
${forgetWhatMayBeLost}
${writeEntriesFunction}
local _, refusal = forget_what_may_be_lost(KEYS[1], KEYS[3])
if refusal then return redis.error_reply(refusal) end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
write_entries(KEYS, 4, ARGV, 4)
if ARGV[3] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[3], 'PX', ${progressTtlMs}) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`

/**
 * Deletes the marker if it is of another format, or a draft of another format.
 *
 * KEYS[1]  the marker
 * ARGV[1]  the beginning of a marker of this format
 * Returns  1 if it was deleted, otherwise 0
 * Why      Called before an entry is written that versions with another format cannot read. Then they refuse all.
 */
export const forgetOtherFormatScript = `
local found = redis.call('GET', KEYS[1])
if not found or string.find(found, ARGV[1], 1, true) == 1 then return 0 end
if string.find(found, 'draft-' .. ARGV[1], 1, true) == 1 then return 0 end
return redis.call('DEL', KEYS[1])
`
