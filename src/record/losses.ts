import { shardPrefix, type RedisConnections } from '../redis/connections.ts'
import type { RedisLosses } from '../redis/health/watch.ts'
import { runScript, type RedisLink } from '../redis/link.ts'

/** Why a marker was forgotten: keys were evicted since it was put there; or maybe they were, by a server that is there no more. */
export type Loss = 'evicted' | 'replaced'

/** For how long, in seconds, a note is believed of a server that is there no more. */
const noteHoldsSeconds = 10

/**
 * Lua that forgets the marker, KEYS[1], if keys may have been evicted since the note, KEYS[3], and renews the note. It leaves the reason in
 * `loss`, which is empty where there is none.
 *
 * One that was restarted counts from 0 again: to end an eviction by the configuration and a restart is what one does. A replica that was
 * promoted is believed if the primary was asked a moment ago. A blocklist without a note is of a release that made none. A Redis that is full keeps the
 * old note, which is safe. A Redis replica, which lags, is refused.
 */
export const forgetWhatMayBeLost = `
local info = redis.call('INFO', 'server')
local run, uptime = string.match(info, 'run_id:(%w+)') or '', tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or 0)
local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)') or '0'
local seconds = tonumber(redis.call('TIME')[1])
local knownRun, knownEvicted, notedAt = string.match(redis.call('GET', KEYS[3]) or '', '^(%w*):(%d+):(%d+)$')
local loss = ''
if knownRun == run then
  if knownEvicted ~= evicted then loss = 'evicted' end
elseif evicted ~= '0' then
  loss = 'evicted'
elseif knownRun then
  local age = math.abs(seconds - tonumber(notedAt))
  if age > ${noteHoldsSeconds} or uptime <= age + 1 then loss = 'replaced' end
end
if loss ~= '' and redis.call('DEL', KEYS[1]) == 0 then loss = '' end
local noted = redis.pcall('SET', KEYS[3], run .. ':' .. evicted .. ':' .. seconds)
if type(noted) == 'table' and noted.err and string.find(noted.err, 'READONLY', 1, true) then return redis.error_reply(noted.err) end
`

const check = `${forgetWhatMayBeLost}\nreturn loss`

/** Writes nothing where there is no doubt: a Redis that refuses writes refuses a DEL of a missing key too. */
const settle = `
if redis.call('GET', KEYS[4]) then redis.call('DEL', KEYS[1], KEYS[4]) end
return 1
`

/** What stands in Redis beside the entries. */
export function projectionKeys (prefix: string): { marker: string, progress: string, note: string, doubt: string } {
  return { marker: `${prefix}marker`, progress: `${prefix}progress`, note: `${prefix}note`, doubt: `${prefix}doubt` }
}

const allKeys = (prefix: string) => Object.values(projectionKeys(prefix))

/** Forgets the marker of one shard if it may have lost something. To be done on each connection before what it says is trusted. */
export async function checkForLoss (link: RedisLink, prefix: string, onLoss?: (loss: Loss) => void): Promise<void> {
  const loss = await link.run(redis => runScript<Loss | ''>(redis, 'signoutCheck', check, allKeys(prefix), []))
  if (loss !== '') onLoss?.(loss)
}

/**
 * Whether Redis can be read and refuses to write: it is full, it cannot store its data, or it has too few replicas. Redis 6 says
 * so in the middle of the message, where a script was refused.
 */
export function isWriteRefused (error: unknown): boolean {
  return error instanceof Error && /\b(OOM|MISCONF|NOREPLICAS)\b/.test(error.message)
}

/** @param onLoss is told when a marker was forgotten */
export function createRedisLosses ({ shards }: Pick<RedisConnections, 'shards'>, prefix: string, onLoss: (loss: Loss) => void): RedisLosses {
  const each = (work: (link: RedisLink, prefix: string) => Promise<unknown>) => Promise.allSettled(shards.map(({ tag, link }) => work(link, shardPrefix(prefix, tag))))
  async function all (work: (link: RedisLink, prefix: string) => Promise<unknown>): Promise<void> {
    const failed = (await each(work)).find(done => done.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
  return {
    async check () {
      const checks = await each((link, prefix) => checkForLoss(link, prefix, onLoss))
      // The note may be refused: the script goes on then. To forget the marker is all that it cannot do without.
      return checks.some(check => check.status === 'rejected' && isWriteRefused(check.reason))
    },
    doubt: () => all((link, prefix) => link.run(redis => redis.set(projectionKeys(prefix).doubt, 1))),
    settle: () => all((link, prefix) => link.run(redis => runScript(redis, 'signoutSettle', settle, allKeys(prefix), [])))
  }
}
