import type { Redis } from 'ioredis'
import { findEvictionFlaw, reasonOf } from '../redis/health/examination.ts'
import { runScript } from '../redis/link.ts'

/**
 * The number of the format of the cut-off, which changes when there are entries that earlier versions cannot read. 1
 * had no number. A version that finds an unknown number trusts nothing.
 */
const format = 2

/**
 * Reads the cut-off, or moves it.
 *
 * KEYS[1]  the cut-off: `v2:seconds:run_id:master_replid`, and `_` with the number of evicted keys unless that is 0
 * ARGV[1]  the leeway, in seconds
 * ARGV[2]  the greatest cut-off that the caller has seen, in seconds since the epoch
 * ARGV[3]  `always` to move it in any case, because everyone is revoked
 * Returns  { the cut-off; the maxmemory-policy, empty if Redis does not tell it; the clock of Redis, in milliseconds }.
 *          The cut-off is the one that is there if it is of this process, history and number, and not before what the
 *          caller has seen; otherwise a later one
 * Why      One step, so that Redis cannot be replaced in between, and several replicas that find the same fault set one
 *          cut-off. A token that was issued until now, by a clock that is ahead by the leeway, has an `iat` of at most
 *          this time plus the leeway, in whole seconds. So the cut-off is the next whole second.
 */
const compareOrMove = `
local replication = redis.call('INFO', 'replication')
if not string.find(replication, 'role:master', 1, true) then
  return redis.error_reply('READONLY This is a replica, which lags.')
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local history = string.match(replication, 'master_replid:(%w+)')
if not run or not history then return redis.error_reply('ERR INFO tells no run_id or no master_replid.') end
local policy = string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''
local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)') or '0'
local ids = run .. ':' .. history .. (evicted == '0' and '' or '_' .. evicted)
local found = redis.call('GET', KEYS[1]) or ''
local other = string.match(found, '^v(%d+):')
if other and other ~= '${format}' then return redis.error_reply('ERR The cut-off has the unknown format ' .. other) end
local seconds, of = string.match(string.gsub(found, '^v%d+:', ''), '^(%d+):(.+)$')
local there, seen = tonumber(seconds or 0), tonumber(ARGV[2])
local is_known = of == ids and there >= seen
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
if is_known and other and ARGV[3] ~= 'always' then return {found, policy, clock} end
local next = math.floor(time[1] + time[2] / 1000000 + ARGV[1]) + 1
local least = is_known and there or math.max(there + 1, seen + 1)
if not is_known or ARGV[3] == 'always' then least = math.max(next, least) end
local moved = string.format('v${format}:%d:', least) .. ids
redis.call('SET', KEYS[1], moved)
return {moved, policy, clock}
`

/** Reads the cut-off, or moves it: see `compareOrMove`. */
export function runCompareOrMove (
  redis: Redis, key: string, leewaySeconds: number, seen: number, when: 'always' | 'if needed'
): Promise<[cutOff: string, policy: string, clockMs: number]> {
  return runScript(redis, 'signoutCompareOrMove', compareOrMove, [key], [leewaySeconds, seen, when])
}

/** Returns why a Redis with this maxmemory-policy cannot hold revocations, and the cure; undefined if it can. */
export function describeEviction (policy: string, noevictionAcknowledged: boolean): string | undefined {
  if (policy === '' && noevictionAcknowledged) return undefined
  const hidden = 'Make sure that it is noeviction, and set noevictionAcknowledged: true at the blocklist.'
  const flaw = findEvictionFlaw(policy === '' ? undefined : policy, hidden)
  return flaw && `${reasonOf(flaw)} ${flaw.cure}`
}

const cutOffForm = new RegExp(`^v${format}:(\\d{1,15}):(\\w+:\\w+)$`)

/** Returns a cut-off and the Redis that it is of; undefined for any other text. */
export function parseCutOff (text: string | null | undefined): { seconds: number, ids: string } | undefined {
  const [, seconds, ids] = cutOffForm.exec(text ?? '') ?? []
  return ids === undefined ? undefined : { seconds: Number(seconds), ids }
}
