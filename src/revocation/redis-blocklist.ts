import { SignoutError } from '../errors.ts'
import {
  entryKey, checkRevocations, everyoneName, maxIdLength, subjectKey, type RevocableClaims, type Revocation
} from '../entries/revocation.ts'
import { shown } from '../input/check-options.ts'
import { toEntries, type WrittenEntries } from '../entries/write-entries.ts'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import type { Trust } from '../trust/trust.ts'
import { BlocklistClosedError, type Blocklist } from './blocklist.ts'
import { createCoalescer, type SharedEntry } from './coalescer.ts'

export interface RedisBlocklistOptions {
  /** The text in front of every key, so that several applications can share one Redis. */
  prefix: string
  leewaySeconds: number
  /** Reads entries, and decides whether the answers of Redis count. */
  trust: Trust
  /** Writes entries, at most {@link maxEntriesPerWrite}. */
  write: (entries: WrittenEntries) => Promise<unknown>
  /** True if signing keys, and everyone's tokens, can be revoked. Then each look-up asks for that too. */
  revokesAll?: boolean | undefined
  /** True if the tokens of a subject can be revoked. Then each look-up asks for that too. */
  revokesSubjects?: boolean | undefined
  /** The claim that the revocation of everyone is compared with. Defaults to `auth_time`. */
  everyoneBy?: 'auth_time' | 'iat' | undefined
  /** Emits `lookedUp`. */
  events?: BlocklistEmitter | undefined
  /** Runs work at the end of this turn of the event loop. Shards share it, so that their look-ups are sent together. */
  atEndOfTurn?: ((work: () => void) => void) | undefined
  /** Called when the blocklist is closed. */
  onClose: () => void
}

export interface RedisBlocklist extends Blocklist {
  /**
   * Resolves when a token that is issued now will be accepted. That is at once, except for some seconds after a cut-off
   * was set. A cut-off is set when the blocklist is used for the first time, and when Redis may have lost revocations.
   * Rejects with `revocation_unavailable` when Redis does not answer.
   */
  ready (subject?: string): Promise<void>
}

/**
 * One `MGET` reads at most 1,000 keys: these entries, the marker, the progress and the doubt. A longer one would delay
 * other clients of Redis.
 */
const maxEntriesPerLookUp = 997
/** The largest number of entries in one script, for the same reason. */
export const maxEntriesPerWrite = 1_000

/** Creates a blocklist in Redis: one shard in a cluster, or all of it on a single primary. */
export function createBlocklistInRedis (options: RedisBlocklistOptions): RedisBlocklist {
  const { prefix, leewaySeconds, trust, write, events, atEndOfTurn, onClose } = options
  const anyExists = createCoalescer(names => trust.read(names), {
    maxEntries: maxEntriesPerLookUp,
    onSettled: batch => { events?.emit('lookedUp', batch) },
    atEndOfTurn
  })
  let isClosed = false

  return {
    leewaySeconds,
    async revoke (revocations) {
      checkRevocations(revocations, options.revokesSubjects)
      if (options.revokesAll !== true) refuseForAll(revocations)
      if (isClosed) throw new BlocklistClosedError()
      for (let start = 0; start < revocations.length; start += maxEntriesPerWrite) {
        await write(toEntries(revocations.slice(start, start + maxEntriesPerWrite), prefix, leewaySeconds))
      }
    },
    async isRevoked (claims, kid) {
      if (isClosed) throw new BlocklistClosedError()
      const { jti, sid, iat } = claims
      const names = [entryKey('token', jti)]
      if (sid !== undefined) names.push(entryKey('session', sid))
      // Checked last: the cut-off must be the one that came with the answer, or a later one.
      return await anyExists(names, sharedEntries(options, claims, kid)) || trust.refuses(iat)
    },
    async ping () {
      if (isClosed) throw new BlocklistClosedError()
      await trust.read([])
    },
    async ready (subject) {
      const name = subject === undefined || options.revokesSubjects !== true ? undefined : subjectKey(subject)
      try {
        await trust.untilReady(name)
      } catch (cause) {
        throw new SignoutError('revocation_unavailable', { cause })
      }
    },
    async close () {
      isClosed = true
      onClose()
    }
  }
}

/** Refuses revocations that no look-up would find, because it does not ask for them. */
function refuseForAll (revocations: readonly Revocation[]): void {
  const found = revocations.find(({ scope }) => scope === 'key' || scope === 'everyone')
  if (found === undefined) return
  throw new TypeError(
    `A revocation has the scope ${shown(found.scope)}; this blocklist knows 'token' and 'session'. Use revokeEveryone().`
  )
}

/** Returns the entries that a token shares with others: of everyone, of the key that signed it, and of its subject. */
function sharedEntries (
  { revokesAll = false, revokesSubjects = false, everyoneBy }: RedisBlocklistOptions,
  { auth_time: authTime = 0, sub, iat = 0 }: RevocableClaims,
  kid: string | undefined
): SharedEntry[] | undefined {
  // A subject that is longer than an id cannot be revoked, so it has no entry.
  const isRevocable = revokesSubjects && sub !== undefined && sub.length <= maxIdLength
  const subject = isRevocable ? [{ name: subjectKey(sub), at: iat }] : undefined
  if (!revokesAll) return subject
  const everyone = { name: everyoneName, at: everyoneBy === 'iat' ? iat : authTime }
  const all = kid === undefined ? [everyone] : [everyone, { name: entryKey('key', kid) }]
  return subject === undefined ? all : [...all, ...subject]
}
