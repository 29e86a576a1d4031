import type { Redis } from 'ioredis'
import { runScript, type RedisLink } from '../redis/link.ts'
import { UntrustedError, type Trust } from './trust.ts'

/**
 * What keeps a revoked token refused when there is no record to make a blocklist again from: an instant in Redis before
 * which no token counts. Whenever Redis may have forgotten something the cut-off moves to where it has just been asked,
 * so that whatever was revoked and forgotten was issued before it. It never moves back.
 *
 * Redis may have forgotten something when the cut-off is missing, or was set for another process (`run_id`) or another
 * history (`master_replid`) than the one that answers: it was emptied, restarted, restored, or failed over.
 */
export interface CutOff {
  /** The key, to be read in one command with whatever is looked up. */
  readonly key: string
  /** Whether look-ups count now. */
  readonly isTrusted: boolean
  /**
   * Compares the cut-off with the Redis that is connected, and moves it if it must. Look-ups that are sent later count.
   */
  compare (): Promise<void>
  /** To be called when a look-up is sent. */
  look (): CutOffLook
  /**
   * Accepts an answer by the cut-off that came with it. Throws an {@link UntrustedError} when the answer does not
   * count.
   */
  accept (look: CutOffLook, text: string | null | undefined): void
  /**
   * Whether a token was issued before the cut-off, for look-ups that were accepted. Without an `iat` it may have been.
   */
  refuses (iat: number | undefined): boolean
  /** In seconds since the epoch, as `iat` is; 0 until it is known. Tokens issued from then on count. */
  readonly seconds: number
}

/** What was known when a look-up was sent. */
export interface CutOffLook {
  comparison: Comparison | undefined
  seconds: number
}

/** What one comparison has found. Another one is another object, whatever it has found. */
interface Comparison {
  /** Of which process and history the cut-off is. */
  ids: string
}

export interface CutOffOptions {
  link: RedisLink
  prefix: string
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** Told when tokens issued before an instant, in seconds since the epoch, are refused from now on. */
  onMoved?: ((seconds: number) => void) | undefined
}

/**
 * Reads the cut-off, or moves it.
 *
 * KEYS[1]  the cut-off: `seconds:run_id:master_replid`
 * ARGV[1]  the leeway, in seconds
 * ARGV[2]  the greatest cut-off that the caller has seen, in seconds since the epoch
 * Returns  the cut-off: the one that is there if it is of this process and history and not before what the caller has
 *          seen; otherwise a later one
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
local ids = run .. ':' .. history
local found = redis.call('GET', KEYS[1])
local seconds, of = string.match(found or '', '^(%d+):(.+)$')
local there, seen = tonumber(seconds or 0), tonumber(ARGV[2])
if of == ids and there >= seen then return found end
local time = redis.call('TIME')
local next = math.floor(time[1] + time[2] / 1000000 + ARGV[1]) + 1
local moved = string.format('%d', math.max(next, there + 1, seen + 1)) .. ':' .. ids
redis.call('SET', KEYS[1], moved)
return moved
`

function runCompareOrMove (redis: Redis, key: string, leewaySeconds: number, seen: number): Promise<string> {
  return runScript(redis, 'signoutCompareOrMove', compareOrMove, [key], [leewaySeconds, seen])
}

/** Trust by a cut-off, where there is no record: each answer counts by the cut-off that is read in the same command. */
export function createCutOffTrust (options: CutOffOptions): Trust {
  const { link, prefix, leewaySeconds } = options
  const cutOff = createCutOff(options)
  async function read (names: readonly string[]): ReturnType<Trust['read']> {
    if (!cutOff.isTrusted) await cutOff.compare()
    const look = cutOff.look()
    const [text, ...values] = await link.read([cutOff.key, ...names.map(name => prefix + name)])
    cutOff.accept(look, text)
    return values
  }
  return {
    read,
    refuses: issuedAt => cutOff.refuses(issuedAt),
    untilReady: () => untilPassed(cutOff, leewaySeconds, () => read([]))
  }
}

export function createCutOff ({ link, prefix, leewaySeconds, onMoved }: CutOffOptions): CutOff {
  const key = `${prefix}cut-off`
  /** Counts connections: what is known of Redis was learnt on one. */
  let connection = 0
  let comparison: Comparison | undefined
  let comparing: Promise<void> | undefined
  let seen = 0

  function learn (seconds: number): void {
    if (seconds <= seen) return
    seen = seconds
    onMoved?.(seconds)
  }

  async function compareOn (asked: number): Promise<void> {
    const found = parse(await link.run(redis => runCompareOrMove(redis, key, leewaySeconds, seen)))
    if (found === undefined) throw new UntrustedError('The cut-off key does not hold a valid value.', 1)
    if (asked !== connection) throw new UntrustedError('The connection to the blocklist changed meanwhile.', 1)
    learn(found.seconds)
    comparison = { ids: found.ids }
  }

  function compare (): Promise<void> {
    if (comparing === undefined) {
      const mine = compareOn(connection).finally(() => { if (comparing === mine) comparing = undefined })
      comparing = mine
    }
    return comparing
  }

  /** Whoever looks something up next asks again if this fails. */
  function compareSoon (): void {
    compare().catch(() => {})
  }

  function connectionChanged (): void {
    connection++
    comparison = undefined
    comparing = undefined
  }

  link.onChanged(isReady => {
    connectionChanged()
    if (isReady) compareSoon()
  })
  if (link.isReady) compareSoon()

  return {
    key,
    compare,
    get isTrusted () { return comparison !== undefined },
    get seconds () { return seen },
    look: () => ({ comparison, seconds: seen }),
    accept (look, text) {
      if (look.comparison === undefined || look.comparison !== comparison) {
        throw new UntrustedError('The blocklist was not compared with its cut-off before it was asked.', 1)
      }
      const found = parse(text)
      if (found === undefined || found.ids !== comparison.ids || found.seconds < look.seconds) {
        comparison = undefined
        compareSoon()
        throw new UntrustedError('The blocklist has lost its cut-off.', 1)
      }
      // Another replica was the first to find something missing.
      learn(found.seconds)
    },
    refuses: iat => !(iat !== undefined && iat >= seen)
  }
}

/** A process that has just started may keep Redis waiting for longer than a command may take. */
const attempts = 3

/**
 * Resolves when the clock of this process has passed the cut-off, so that what it issues from now on counts.
 *
 * @param lookUp looks up the cut-off, which may have moved meanwhile
 */
export async function untilPassed (
  cutOff: CutOff,
  leewaySeconds: number,
  lookUp: () => Promise<unknown>
): Promise<void> {
  for (;;) {
    await tryAgain(lookUp)
    const waitMs = cutOff.seconds * 1000 - Date.now()
    if (waitMs <= 0) return
    // Their clock may be ahead of ours by one leeway, and the cut-off of theirs by another, in whole seconds.
    if (waitMs > (2 * leewaySeconds + 2) * 1000) {
      throw new Error(
        'The cut-off of the blocklist is further off than the leeway explains: the clock of Redis is ahead of this one, or was.'
      )
    }
    await new Promise(resolve => { setTimeout(resolve, waitMs) })
  }
}

async function tryAgain (lookUp: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await lookUp()
      return
    } catch (error) {
      if (attempt === attempts) throw error
    }
  }
}

function parse (text: string | null | undefined): { seconds: number, ids: string } | undefined {
  const [, seconds, ids] = /^(\d{1,15}):(\w+:\w+)$/.exec(text ?? '') ?? []
  return ids === undefined ? undefined : { seconds: Number(seconds), ids }
}
