import type { Redis } from 'ioredis'
import { runScript, type RedisLink } from '../redis/link.ts'
import { UntrustedError, type Trust } from './trust.ts'
import { untilPassed } from './until-passed.ts'

/**
 * An instant in Redis: tokens that were issued before it are refused. It protects a blocklist that has no record to be
 * rebuilt from.
 *
 * When Redis may have lost revocations, the cut-off moves past the present. Every token whose revocation may be lost
 * was issued before that. The cut-off never moves back.
 *
 * Redis may have lost revocations when the cut-off is missing, or belongs to another process (`run_id`) or another
 * history (`master_replid`). Then Redis was emptied, restarted, restored, or failed over.
 */
export interface CutOff {
  /** The key of the cut-off. Read it in the same command as the entries. */
  readonly key: string
  /** True if look-ups count now. */
  readonly isTrusted: boolean
  /**
   * Compares the cut-off with the Redis that is connected, and moves it if it is missing or belongs to another one.
   * Look-ups that are sent later count. Idempotent; concurrent calls share one command. Rejects when Redis does not
   * answer, and when the connection changes meanwhile.
   */
  compare (): Promise<void>
  /** Moves the cut-off past the present, so that every token that was issued until now is refused. */
  move (): Promise<void>
  /** Notes what is known when a look-up is sent. Call it before the look-up. */
  look (): CutOffLook
  /**
   * Accepts an answer by the cut-off that came with it. Throws an {@link UntrustedError} when the answer does not
   * count.
   */
  accept (look: CutOffLook, text: string | null | undefined): void
  /** Returns true if a token was issued before the cut-off, or has no `iat`. Call it after `accept`. */
  refuses (iat: number | undefined): boolean
  /** The cut-off, in seconds since the epoch; 0 until it is known. Tokens with this `iat` or a later one count. */
  readonly seconds: number
}

/** Noted when a look-up is sent. */
export interface CutOffLook {
  comparison: Comparison | undefined
  seconds: number
}

/** The result of one comparison. Each comparison makes a new object, so that two can be told apart. */
interface Comparison {
  /** The process and the history of Redis, `run_id:master_replid`. */
  ids: string
}

export interface CutOffOptions {
  link: RedisLink
  prefix: string
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** Called with an instant, in seconds since the epoch. Tokens issued before it are refused from now on. */
  onMoved?: ((seconds: number) => void) | undefined
}

/**
 * The number of the format of the cut-off, which changes when there are entries that earlier versions cannot read. 1
 * had no number. A version that finds an unknown number trusts nothing.
 */
const format = 2

/**
 * Reads the cut-off, or moves it.
 *
 * KEYS[1]  the cut-off: `v2:seconds:run_id:master_replid`
 * ARGV[1]  the leeway, in seconds
 * ARGV[2]  the greatest cut-off that the caller has seen, in seconds since the epoch
 * ARGV[3]  `always` to move it in any case, because everyone is revoked
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
local found = redis.call('GET', KEYS[1]) or ''
local other = string.match(found, '^v(%d+):')
if other and other ~= '${format}' then return redis.error_reply('ERR The cut-off has the unknown format ' .. other) end
local seconds, of = string.match(string.gsub(found, '^v%d+:', ''), '^(%d+):(.+)$')
local there, seen = tonumber(seconds or 0), tonumber(ARGV[2])
local is_known = of == ids and there >= seen
if is_known and other and ARGV[3] ~= 'always' then return found end
local time = redis.call('TIME')
local next = math.floor(time[1] + time[2] / 1000000 + ARGV[1]) + 1
local least = is_known and there or math.max(there + 1, seen + 1)
if not is_known or ARGV[3] == 'always' then least = math.max(next, least) end
local moved = string.format('v${format}:%d:', least) .. ids
redis.call('SET', KEYS[1], moved)
return moved
`

function runCompareOrMove (
  redis: Redis, key: string, leewaySeconds: number, seen: number, when: 'always' | 'if needed'
): Promise<string> {
  return runScript(redis, 'signoutCompareOrMove', compareOrMove, [key], [leewaySeconds, seen, when])
}

/**
 * Creates trust by a cut-off, for a blocklist without a record. Each answer counts by the cut-off that is read in the
 * same command.
 */
export function createCutOffTrust (options: CutOffOptions): Trust & Pick<CutOff, 'move'> {
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
    async untilReady (name) {
      await untilPassed(leewaySeconds, async () => {
        const [value = null] = await read(name === undefined ? [] : [name])
        if (value instanceof Error) throw value
        return Math.max(cutOff.seconds, Number(value ?? 0))
      })
    },
    move: () => cutOff.move()
  }
}

/** Creates the cut-off of a blocklist, and compares it on every new connection. */
export function createCutOff ({ link, prefix, leewaySeconds, onMoved }: CutOffOptions): CutOff {
  const key = `${prefix}cut-off`
  /** The number of the present connection. A comparison holds for one connection only. */
  let connection = 0
  let comparison: Comparison | undefined
  let comparing: Promise<void> | undefined
  let seen = 0

  function learn (seconds: number): void {
    if (seconds <= seen) return
    seen = seconds
    onMoved?.(seconds)
  }

  async function compareOn (asked: number, when: 'always' | 'if needed' = 'if needed'): Promise<void> {
    const found = parse(await link.run(redis => runCompareOrMove(redis, key, leewaySeconds, seen, when)))
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

  /** Compares in the background. If that fails, the next look-up compares again. */
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
    move: () => compareOn(connection, 'always'),
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
      // Another replica may have moved the cut-off.
      learn(found.seconds)
    },
    refuses: iat => !(iat !== undefined && iat >= seen)
  }
}

const cutOffForm = new RegExp(`^v${format}:(\\d{1,15}):(\\w+:\\w+)$`)

function parse (text: string | null | undefined): { seconds: number, ids: string } | undefined {
  const [, seconds, ids] = cutOffForm.exec(text ?? '') ?? []
  return ids === undefined ? undefined : { seconds: Number(seconds), ids }
}
