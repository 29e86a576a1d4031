import type { RedisLink } from '../redis/link.ts'
import { createClockCheck } from './clock-check.ts'
import { describeEviction, parseCutOff, runCompareOrMove } from './cut-off-script.ts'
import { UntrustedError, type Trust } from './trust.ts'
import { untilPassed } from './until-passed.ts'

/**
 * An instant in Redis: tokens that were issued before it are refused. It protects a blocklist that has no record to be
 * rebuilt from.
 *
 * When Redis may have lost revocations, the cut-off moves past the present. Every token whose revocation may be lost
 * was issued before that. The cut-off never moves back.
 *
 * Redis may have lost revocations when the cut-off is missing, or belongs to another process (`run_id`), to another
 * history (`master_replid`), or to another number of evicted keys. Then Redis was emptied, restarted, restored or
 * failed over, or it has evicted keys. No answer counts while Redis may evict keys.
 *
 * A clock of Redis that is ahead ends entries too soon. No answer counts while it and the clock of this machine differ
 * by more than the leeway. When the clock of Redis is set back, the cut-off moves.
 */
export interface CutOff {
  /** The key of the cut-off. Read it in the same command as the entries. */
  readonly key: string
  /** True if look-ups count now: the cut-off was compared on this connection, in the last five seconds. */
  readonly isTrusted: boolean
  /**
   * Compares the cut-off with the Redis that is connected, and moves it if it is missing or belongs to another one.
   * Look-ups that are sent later count. Idempotent; concurrent calls share one command. Rejects when Redis does not
   * answer, when it may evict keys, and when the connection changes meanwhile.
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
  /** The process and the history of Redis, and the number of keys that it has evicted: see `compareOrMove`. */
  ids: string
}

export interface CutOffOptions {
  link: RedisLink
  prefix: string
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** True if an operator has made sure that Redis evicts nothing, although Redis does not tell its policy. */
  noevictionAcknowledged?: boolean | undefined
  /** Called with an instant, in seconds since the epoch. Tokens issued before it are refused from now on. */
  onMoved?: ((seconds: number) => void) | undefined
  /** A monotonic clock, in milliseconds. */
  now?: (() => number) | undefined
  /** The clock of this machine, in milliseconds since the epoch. */
  wallClock?: (() => number) | undefined
}

/**
 * The age of a comparison, in milliseconds, up to which look-ups count. Redis may be set to evict keys at any time, and
 * breaks no connection then.
 */
const comparedForMs = 5_000

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
export function createCutOff (options: CutOffOptions): CutOff {
  const { link, onMoved } = options
  let seen = 0

  function learn (seconds: number): void {
    if (seconds <= seen) return
    seen = seconds
    onMoved?.(seconds)
  }

  const comparer = createComparer({ ...options, learn, readSeen: () => seen })

  /** Compares in the background. If that fails, the next look-up compares again. */
  function compareSoon (): void {
    comparer.compare().catch(() => {})
  }

  link.onChanged(isReady => {
    comparer.connectionChanged()
    if (isReady) compareSoon()
  })
  link.onTorn(() => { comparer.tear() })
  if (link.isReady) compareSoon()

  return {
    key: keyOf(options),
    compare: comparer.compare,
    move: comparer.move,
    get isTrusted () { return comparer.isFresh },
    get seconds () { return seen },
    look: () => ({ comparison: comparer.comparison, seconds: seen }),
    accept (look, text) {
      const { comparison } = comparer
      if (look.comparison === undefined || look.comparison !== comparison) {
        throw new UntrustedError('The blocklist was not compared with its cut-off before it was asked.', 1)
      }
      const found = parseCutOff(text)
      if (found === undefined || found.ids !== comparison.ids || found.seconds < look.seconds) {
        comparer.forget()
        compareSoon()
        throw new UntrustedError('The blocklist has lost its cut-off.', 1)
      }
      // Another replica may have moved the cut-off.
      learn(found.seconds)
    },
    refuses: iat => !(iat !== undefined && iat >= seen)
  }
}

const keyOf = ({ prefix }: Pick<CutOffOptions, 'prefix'>) => `${prefix}cut-off`

/** Compares the cut-off with Redis, and keeps the last result. */
interface Comparer {
  /** The last comparison on this connection; undefined if there is none, or if it found a flaw. */
  readonly comparison: Comparison | undefined
  /** True if there is a comparison of the last five seconds. */
  readonly isFresh: boolean
  compare (): Promise<void>
  /** Compares, and moves the cut-off in any case. */
  move (): Promise<void>
  forget (): void
  connectionChanged (): void
  /** Notes that entries may have been left behind on another server of a cluster: the next comparison moves it. */
  tear (): void
}

interface ComparerOptions extends CutOffOptions {
  /** Notes the cut-off that was found. */
  learn: (seconds: number) => void
  /** Returns the greatest cut-off that was seen. */
  readSeen: () => number
}

function createComparer (options: ComparerOptions): Comparer {
  const { link, leewaySeconds, noevictionAcknowledged = false, learn, readSeen } = options
  const { now = () => performance.now() } = options
  const key = keyOf(options)
  const clocks = createClockCheck(options)
  /** The number of the present connection. A comparison holds for one connection only. */
  let connection = 0
  let comparison: Comparison | undefined
  /** When the last comparison was sent. */
  let comparedAt = -Infinity
  let comparing: Promise<void> | undefined
  let isTorn = false

  async function compareOn (asked: number, isMoved = isTorn): Promise<void> {
    const sentAt = now()
    const clockReading = clocks.begin()
    const when = isMoved ? 'always' : 'if needed'
    const [text, policy, clockMs] =
      await link.run(redis => runCompareOrMove(redis, key, leewaySeconds, readSeen(), when))
    const found = parseCutOff(text)
    if (found === undefined) throw new UntrustedError('The cut-off key does not hold a valid value.', 1)
    if (asked !== connection) throw new UntrustedError('The connection to the blocklist changed meanwhile.', 1)
    learn(found.seconds)
    if (isMoved) isTorn = false
    const clock = clockReading.end(clockMs)
    isTorn ||= clock.wasSetBack
    const flaw = describeEviction(policy, noevictionAcknowledged) ?? clock.flaw
    if (flaw !== undefined) {
      comparison = undefined
      throw new UntrustedError(flaw, 1)
    }
    // The object stays while nothing has changed, so that look-ups that are under way count.
    if (comparison?.ids !== found.ids) comparison = { ids: found.ids }
    comparedAt = sentAt
  }

  function connectionChanged (): void {
    connection++
    comparison = undefined
    comparing = undefined
  }

  return {
    get comparison () { return comparison },
    get isFresh () { return comparison !== undefined && now() - comparedAt < comparedForMs },
    compare () {
      if (comparing === undefined) {
        const mine = compareOn(connection).finally(() => { if (comparing === mine) comparing = undefined })
        comparing = mine
      }
      return comparing
    },
    move: () => compareOn(connection, true),
    forget () { comparison = undefined },
    connectionChanged,
    tear () {
      isTorn = true
      connectionChanged()
    }
  }
}
