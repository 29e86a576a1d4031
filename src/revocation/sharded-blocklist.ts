import type { Blocklist, LookupAnswered } from './blocklist.ts'
import type { RedisBlocklist } from './redis-blocklist.ts'
import { checkRevocations, type RevocableClaims, type Revocation } from '../entries/revocation.ts'

/**
 * A blocklist in parts, each of which is a complete one for the subjects that belong to it. A revocation without a subject
 * goes to every part; so a token of any subject has all that concerns it in its own. A token without a subject is looked up in every part.
 *
 * @param shardOf which part a subject belongs to
 */
export function createShardedBlocklist (parts: readonly RedisBlocklist[], shardOf: (subject: string) => number): Blocklist {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only

  async function isRevokedAnywhere (claims: RevocableClaims): Promise<boolean> {
    const answers = await Promise.all(parts.map(async part => await part.isRevoked(claims)))
    return answers.includes(true)
  }

  function lookUp (claims: RevocableClaims, answered: LookupAnswered): void {
    if (claims.sub !== undefined) return partFor(parts, claims.sub).lookUp(claims, answered)
    isRevokedAnywhere(claims).then(isRevoked => { answered(undefined, isRevoked) }, answered)
  }

  return {
    // All parts have the same settings.
    leewaySeconds: only?.leewaySeconds ?? NaN,
    deadlineMs: only?.deadlineMs,
    async revoke (revocations) {
      checkRevocations(revocations)
      const shares = parts.map((): Revocation[] => [])
      for (const revocation of revocations) {
        for (const share of revocation.subject === undefined ? shares : [partFor(shares, revocation.subject)]) share.push(revocation)
      }
      await Promise.all(parts.map(async (part, index) => {
        const share = shares[index] ?? []
        // One that is closed says so even where there is nothing to do.
        if (share.length > 0 || revocations.length === 0) await part.revoke(share)
      }))
    },
    lookUp,
    isRevoked: claims => claims.sub === undefined ? isRevokedAnywhere(claims) : partFor(parts, claims.sub).isRevoked(claims),
    async ping () { await Promise.all(parts.map(part => part.ping())) },
    async close () { await Promise.all(parts.map(part => part.close())) }
  }

  function partFor<T> (all: readonly T[], subject: string): T {
    return all[shardOf(subject)] as T
  }
}
