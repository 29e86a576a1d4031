import { refuseUnknown, requireFunctions, shown } from '../input/check-options.ts'
import { BlocklistClosedError, readSettings, type Blocklist, type BlocklistSettings } from './blocklist.ts'
import {
  checkRevocations,
  entryEndsAt,
  entryKey,
  entryMarginSeconds,
  subjectKey,
  type Revocation,
  type RevocationScope
} from '../entries/revocation.ts'

export interface MemoryBlocklistOptions extends BlocklistSettings {
  /** Called when the clock was set back by more than the leeway. Entries may have ended too early. */
  onSetBack?: () => void
  /** Returns the time, in milliseconds since the epoch. Defaults to `Date.now`. */
  now?: () => number
}

/** A blocklist in memory. */
export interface MemoryBlocklist extends Blocklist {
  readonly deadlineMs: number
  /** Resolves when a token that is issued now will be accepted. */
  ready (subject?: string): Promise<void>
  /** The number of entries. Expired entries that were not swept yet are included. */
  readonly size: number
}

/** Entries that end in the same bucket of time are swept together. */
const bucketMs = 10_000

/**
 * Creates a blocklist in the memory of this process. It is the reference implementation, and right for a single
 * process. Its entries are lost when the process ends, and other replicas do not see them.
 *
 * A look-up reads a Map once or twice. Expired entries are dropped a bucket at a time, once the end of the bucket has
 * passed. So no look-up and no revocation ever scans all entries.
 *
 * Throws a TypeError that says what is wrong with the options.
 *
 * @example
 * const blocklist = createMemoryBlocklist()
 */
export function createMemoryBlocklist (options: MemoryBlocklistOptions = {}): MemoryBlocklist {
  checkOptions(options)
  const { leewaySeconds, deadlineMs, maxTokenLifetimeSeconds } = readSettings(options)
  const { onSetBack, now = Date.now } = options
  const entries = createEntries(now)
  let lookedAt = -Infinity
  /** Tokens with an earlier `auth_time` are refused. In seconds since the epoch. */
  let everyoneBefore = 0
  let closed = false

  function add ({ scope, id, expiresAt, issuedBefore = 0 }: Revocation): void {
    if (scope === 'everyone') everyoneBefore = Math.max(everyoneBefore, issuedBefore)
    else if (scope === 'key') entries.add(entryKey(scope, id), Infinity)
    else entries.add(entryKey(scope, id), entryEndsAt(expiresAt, leewaySeconds))
  }

  function sweep (): void {
    const at = now()
    if (at < lookedAt - leewaySeconds * 1000) onSetBack?.()
    lookedAt = at
    entries.sweep(at)
  }

  const isListed = (scope: RevocationScope, id: string) => entries.has(entryKey(scope, id))

  const byIssue = createCutOffsByIssue(now, maxTokenLifetimeSeconds, leewaySeconds)
  return {
    leewaySeconds,
    deadlineMs,
    // Without a cut-off, new tokens are accepted at any time.
    async ready () {},
    ...maxTokenLifetimeSeconds !== undefined && { maxTokenLifetimeSeconds, ...byIssue.methods },
    async revoke (revocations) {
      checkRevocations(revocations)
      if (closed) throw new BlocklistClosedError()
      sweep()
      for (const revocation of revocations) add(revocation)
    },
    isRevoked ({ jti, sid, sub, iat, auth_time: authTime = 0 }, kid) {
      if (closed) throw new BlocklistClosedError()
      sweep()
      return isListed('token', jti) ||
        (sid !== undefined && isListed('session', sid)) ||
        (kid !== undefined && isListed('key', kid)) ||
        authTime < everyoneBefore ||
        byIssue.refuses(sub, iat)
    },
    async ping () {
      if (closed) throw new BlocklistClosedError()
    },
    async close () {
      closed = true
      entries.clear()
    },
    get size () { return entries.size }
  }
}

function checkOptions (options: MemoryBlocklistOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createMemoryBlocklist takes its options as an object, and was given ${shown(options)}.`)
  }
  refuseUnknown(options, ['leewaySeconds', 'deadlineMs', 'maxTokenLifetimeSeconds', 'now', 'onSetBack'])
  requireFunctions(options, ['now', 'onSetBack'])
}

/** Creates a set of keys, each until its end in milliseconds since the epoch. `add` never shortens an entry. */
function createEntries (now: () => number) {
  const endsAtByKey = new Map<string, number>()
  const keysByBucket = new Map<number, string[]>()
  let sweepAt = Infinity
  return {
    add (key: string, endsAt: number): void {
      if (endsAt <= now() || endsAt <= (endsAtByKey.get(key) ?? 0)) return
      endsAtByKey.set(key, endsAt)
      if (endsAt === Infinity) return
      const bucket = Math.floor(endsAt / bucketMs) + 1
      const keys = keysByBucket.get(bucket)
      if (keys === undefined) keysByBucket.set(bucket, [key])
      else keys.push(key)
      sweepAt = Math.min(sweepAt, bucket * bucketMs)
    },
    has (key: string): boolean {
      const endsAt = endsAtByKey.get(key)
      return endsAt !== undefined && endsAt > now()
    },
    /** Drops the buckets whose end has passed. */
    sweep (at: number): void {
      if (at < sweepAt) return
      sweepAt = Infinity
      for (const [bucket, keys] of keysByBucket) {
        if (bucket * bucketMs > at) {
          sweepAt = Math.min(sweepAt, bucket * bucketMs)
          continue
        }
        keysByBucket.delete(bucket)
        // An entry that was extended since also stands in a later bucket, and stays.
        for (const key of keys) if ((endsAtByKey.get(key) ?? Infinity) <= at) endsAtByKey.delete(key)
      }
    },
    clear (): void {
      endsAtByKey.clear()
      keysByBucket.clear()
    },
    get size () { return endsAtByKey.size }
  }
}

/**
 * Creates the revocations of all tokens that were issued until now: of a subject, or of everyone. The process has one
 * clock, so the instant is its next whole second.
 */
function createCutOffsByIssue (now: () => number, maxTokenLifetimeSeconds: number | undefined, leewaySeconds: number) {
  const bySubject = new Map<string, number>()
  let everyone = 0
  const nextSecond = () => Math.floor(now() / 1000) + 1
  const keptSeconds = (maxTokenLifetimeSeconds ?? 0) + entryMarginSeconds(leewaySeconds)

  function sweep (): void {
    // The oldest is first. A subject that is revoked again is moved to the end.
    for (const [subject, before] of bySubject) {
      if (before + keptSeconds > now() / 1000) return
      bySubject.delete(subject)
    }
  }

  const cutOffOf = (subject: string | undefined) =>
    Math.max(everyone, subject === undefined ? 0 : bySubject.get(subject) ?? 0)

  return {
    refuses (subject: string | undefined, issuedAt = 0): boolean {
      const before = cutOffOf(subject)
      return before > 0 && !(issuedAt >= before)
    },
    methods: {
      async revokeSubject (subject: string): Promise<void> {
        subjectKey(subject)
        sweep()
        const before = Math.max(nextSecond(), bySubject.get(subject) ?? 0)
        bySubject.delete(subject)
        bySubject.set(subject, before)
      },
      async revokeEveryone (): Promise<void> { everyone = Math.max(nextSecond(), everyone) },
      async ready (subject?: string): Promise<void> {
        for (;;) {
          const waitMs = cutOffOf(subject) * 1000 - now()
          if (waitMs <= 0) return
          await new Promise(resolve => { setTimeout(resolve, Math.min(waitMs, 1_000)) })
        }
      }
    }
  }
}
