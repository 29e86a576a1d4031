import type { Redis } from 'ioredis'
import { SignoutError } from '../errors.ts'
import { linkTo, runScript, type RedisLink } from '../redis/link.ts'
import { requireFunctions, shown } from '../input/check-options.ts'
import { BlocklistClosedError, RecordedError, readSettings, type Blocklist, type BlocklistSettings, type LookupAnswered } from './blocklist.ts'
import { createBreaker, type BreakerOptions } from './breaker.ts'
import { createCoalescer, type ReadMany, type SettledBatch, type Value } from './coalescer.ts'
import { createCutOff, untilPassed, type CutOff } from '../trust/by-cut-off.ts'
import type { RecordTrust } from '../trust/by-record.ts'
import type { RecordAnswer, RecordQuestion } from '../trust/record-question.ts'
import type { RecentRevocation } from '../record/record.ts'
import { boundCommands } from '../redis/connection.ts'
import { checkForLoss, projectionKeys, type Loss } from '../record/losses.ts'
import { parseProgress } from '../record/redis-projection.ts'
import { neverShorten } from '../entries/write-entries.ts'
import { createReplicatedWrites, type ReplicatedWritesOptions } from './replicated-writes.ts'
import { checkRevocations, entryEndsAt, entryKey, type RevocableClaims, type Revocation } from '../entries/revocation.ts'

export interface RedisBlocklistOptions extends BlocklistSettings {
  /**
   * A connection made by `createRedisConnection`, or a way to whichever server has this part of it. The blocklist closes it, and
   * bounds the commands of a connection by `deadlineMs`.
   */
  redis: Redis | RedisLink
  /** In front of every key, so that several applications can share one Redis. */
  prefix: string
  /**
   * Knows the record that the blocklist is kept up with, and decides, by the marker that comes with each answer, whether it
   * counts. Without one there is no record, and a cut-off stands in for it: tokens issued before Redis last may have
   * forgotten something are refused.
   */
  guard?: RecordTrust
  /** Asks the record where a marker is behind. With a guard only; without it such an answer does not count. */
  record?: RecordQuestion
  /** The revocations that the record was found to hold after the marker. They may only add refusals. */
  recent?: () => ReadonlyMap<string, RecentRevocation>
  /** Told when the marker was forgotten, since Redis may have lost something. With a guard only. */
  onLoss?: (loss: Loss) => void
  /** Told when tokens issued before an instant, in seconds since the epoch, are refused from now on. Without a guard only. */
  onCutOff?: (issuedBefore: number) => void
  /** Told when a Redis that stalls is not asked for a while, and when it is again. */
  breaker?: BreakerOptions
  /** Told of each `MGET`, and of each that was refused at once: what it carried, and how long it took. */
  onLookup?: (batch: SettledBatch) => void
  /** Where writes are to be on replicas of Redis before they count. */
  replicated?: ReplicatedWritesOptions | undefined
  /** Does work at the end of this turn of the event loop; for blocklists whose look-ups are to be sent together. */
  atEndOfTurn?: (work: () => void) => void
}

/** One `MGET` has at most 1,000 keys, with the marker, the progress and the doubt, so that it never keeps Redis from others for long. */
const maxKeysPerLookup = 997
/** One script writes at most this many entries, for the same reason. */
const maxEntriesPerWrite = 1_000

/** How old a recorded revocation is, in seconds, when the write of its entry has succeeded or failed. */
const writeSeconds = 0.5

const writeEntries = `local first, firstEnd = 0, 0\n${neverShorten}`

export interface RedisBlocklist extends Blocklist {
  lookUp (claims: RevocableClaims, answered: LookupAnswered): void
  /**
   * Resolves when a token that is issued now will be accepted: at once, but for some seconds after a cut-off was set, which is
   * when the blocklist is used for the first time, and when Redis may have forgotten something. Rejects with
   * `revocation_unavailable` when Redis cannot be asked.
   */
  ready (): Promise<void>
}

/**
 * A blocklist in Redis, shared by every replica that uses the same Redis and prefix. Throws a TypeError that says what is wrong
 * with the options.
 *
 * @example
 * const redis = createRedisConnection('redis://127.0.0.1:6379')
 * await redis.connect()
 * const blocklist = createRedisBlocklist({ redis, prefix: 'my-app:' })
 */
export function createRedisBlocklist (options: RedisBlocklistOptions): RedisBlocklist {
  checkOptions(options)
  const { redis, prefix, guard } = options
  const { leewaySeconds, deadlineMs } = readSettings(options)
  if (!('run' in redis)) boundCommands(redis, deadlineMs)
  const link = 'run' in redis ? redis : linkTo(redis)
  const cutOff = guard === undefined ? createCutOff({ link, prefix, leewaySeconds, ...options.onCutOff && { onMoved: options.onCutOff } }) : undefined
  const readMany = createRead(link, options, cutOff)
  const write = createWrite(link, options)
  const anyExists = createCoalescer(readMany, maxKeysPerLookup, options.onLookup, options.atEndOfTurn)
  let closed = false

  function lookUp ({ jti, sid, iat }: RevocableClaims, answered: LookupAnswered): void {
    if (closed) throw new BlocklistClosedError()
    const keys = [prefix + entryKey('token', jti)]
    if (sid !== undefined) keys.push(prefix + entryKey('session', sid))
    if (cutOff === undefined) return anyExists(keys, answered)
    anyExists(keys, (error, exists) => {
      if (error !== undefined) answered(error)
      // Asked now, and not before: the cut-off that counts is the one that came with the answer, or a later one.
      else answered(undefined, exists === true || cutOff.refuses(iat))
    })
  }

  /** Looks up nothing but what says whether look-ups count. */
  function confirm (): Promise<void> {
    return new Promise((resolve, reject) => { anyExists([], error => { error === undefined ? resolve() : reject(error) }) })
  }

  async function writeChunk (revocations: readonly Revocation[]): Promise<void> {
    const keys = revocations.map(({ scope, id }) => prefix + entryKey(scope, id))
    const ends = revocations.map(({ expiresAt }) => entryEndsAt(expiresAt, leewaySeconds))
    await write(keys, ends)
  }

  return {
    leewaySeconds,
    deadlineMs,
    async revoke (revocations) {
      checkRevocations(revocations)
      if (closed) throw new BlocklistClosedError()
      for (let start = 0; start < revocations.length; start += maxEntriesPerWrite) {
        await writeChunk(revocations.slice(start, start + maxEntriesPerWrite))
      }
    },
    lookUp,
    isRevoked: claims => new Promise((resolve, reject) => {
      lookUp(claims, (error, isRevoked) => { isRevoked === undefined ? reject(error) : resolve(isRevoked) })
    }),
    async ping () {
      if (closed) throw new BlocklistClosedError()
      await readMany([])
    },
    async ready () {
      try {
        if (cutOff === undefined) await confirm()
        else await untilPassed(cutOff, leewaySeconds, confirm)
      } catch (cause) {
        throw new SignoutError('revocation_unavailable', { cause })
      }
    },
    async close () {
      closed = true
      link.close()
    }
  }
}

function checkOptions (options: RedisBlocklistOptions): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`createRedisBlocklist takes its options as an object, and was given ${shown(options)}.`)
  const { redis, prefix } = options as { redis: Partial<Redis & RedisLink> | null | undefined, prefix: unknown }
  if (typeof (redis?.run ?? redis?.mget) !== 'function') throw new TypeError(`redis is ${shown(redis)}; it must be a connection made by createRedisConnection.`)
  if (typeof prefix !== 'string') throw new TypeError(`prefix is ${shown(prefix)}; it must be a text, such as 'my-app:'.`)
  requireFunctions(options, ['onCutOff', 'onLoss', 'onLookup', 'atEndOfTurn'])
}

function createWrite (link: RedisLink, { replicated }: RedisBlocklistOptions): (keys: string[], ends: number[]) => Promise<unknown> {
  if (replicated !== undefined) return createReplicatedWrites(replicated, writeEntries, maxEntriesPerWrite)
  return (keys, ends) => link.run(redis => runScript(redis, 'signoutWriteEntries', writeEntries, keys, ends))
}

/** Reads entries, and in the same command, since it must not change in between, what says whether they count. */
function createRead (link: RedisLink, options: RedisBlocklistOptions, cutOff: CutOff | undefined): ReadMany {
  const breaker = createBreaker(options.breaker)
  const read = (names: string[]) => breaker.run(() => link.read(names))
  if (options.guard !== undefined) return createGuardedRead(options.guard, read, check => breaker.run(() => checkForLoss(link, options.prefix, check)), options)
  return async entries => {
    if (cutOff === undefined) return await read(entries)
    if (!cutOff.isTrusted) await breaker.run(() => cutOff.compare())
    const look = cutOff.look()
    const [text, ...values] = await read([cutOff.key, ...entries])
    cutOff.judge(look, text)
    return values
  }
}

/**
 * Reads entries with the marker of the record. While answers do not count by the marker alone, the progress of the rebuild and
 * the doubt are read as well, so that the error says when to come back.
 */
function createGuardedRead (guard: RecordTrust, read: (keys: string[]) => Promise<Array<string | null>>, check: (onLoss: RedisBlocklistOptions['onLoss']) => Promise<void>, { prefix, record, recent, onLoss }: RedisBlocklistOptions): ReadMany {
  const keys = projectionKeys(prefix)
  let checkedIn: number | undefined
  const nameOf = (key: string) => key.slice(prefix.length)

  async function askRecord (position: number, entries: string[]): Promise<RecordAnswer> {
    try {
      if (record === undefined) throw new Error('There is no record to ask.')
      return await record.ask(position, entries.map(nameOf))
    } catch {
      throw guard.refuse('The blocklist is behind the record, which cannot be asked.')
    }
  }

  /**
   * Refuses the entries that are in the record and not in Redis, once they are so old. An age is below 0 after the clock of
   * Postgres was set back.
   */
  function refuseRecorded (values: Value[], entries: string[], recorded: ReadonlyMap<string, RecentRevocation>, afterSeconds: number): Value[] {
    if (recorded.size === 0) return values
    return values.map((value, index) => {
      const revocation = value === null ? recorded.get(nameOf(entries[index] as string)) : undefined
      return revocation === undefined || revocation.ageSeconds < afterSeconds ? value : new RecordedError(revocation.ageSeconds)
    })
  }

  return async function readMany (entries, isSure = guard.trust === 'trusted'): Promise<Value[]> {
    const look = guard.look()
    // Once on each connection, and after each doubt: a marker may have outlived what it stands for.
    if (look.epoch !== checkedIn) {
      await check(onLoss)
      checkedIn = look.epoch
    }
    const first = isSure ? [keys.marker] : [keys.marker, keys.progress, keys.doubt]
    const values = await read([...first, ...entries])
    const [marker, progress, doubt] = values
    const found = values.slice(first.length)
    if (!isSure) guard.heard(parseProgress(progress ?? null))
    const behindAt = guard.judge(look, marker)
    if (behindAt === undefined) return refuseRecorded(found, entries, recent?.() ?? new Map(), writeSeconds)
    // The look-up did not ask for the doubt.
    if (isSure) return await readMany(entries, false)
    if (doubt !== null) throw guard.refuse('The blocklist is behind the record, and there is a doubt about it.')
    const answer = await askRecord(behindAt, entries)
    guard.confirm(look, behindAt, answer.head)
    return refuseRecorded(found, entries, answer.recent, -Infinity)
  }
}
