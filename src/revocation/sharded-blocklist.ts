import { checkRevocations, type RevocableClaims, type Revocation } from '../entries/revocation.ts'
import type { RedisBlocklist } from './redis-blocklist.ts'

/**
 * Creates a blocklist of several shards, each of which is complete for the subjects that belong to it. A revocation
 * without a subject goes to every shard, so the shard of a subject has every revocation that concerns its tokens. A
 * token without a subject is looked up in every shard.
 *
 * @param shardOf returns the index of the shard that a subject belongs to
 */
export function createShardedBlocklist (
  shards: readonly RedisBlocklist[],
  shardOf: (subject: string) => number
): RedisBlocklist {
  const [only] = shards
  if (shards.length === 1 && only !== undefined) return only
  const shardFor = <T>(all: readonly T[], subject: string) => all[shardOf(subject)] as T

  async function isRevokedAnywhere (claims: RevocableClaims, kid?: string): Promise<boolean> {
    const answers = await Promise.all(shards.map(async shard => await shard.isRevoked(claims, kid)))
    return answers.includes(true)
  }

  return {
    // All shards have the same leeway.
    leewaySeconds: only?.leewaySeconds ?? NaN,
    async revoke (revocations) {
      checkRevocations(revocations, true)
      const shares = shards.map((): Revocation[] => [])
      for (const revocation of revocations) {
        const { subject } = revocation
        for (const share of subject === undefined ? shares : [shardFor(shares, subject)]) share.push(revocation)
      }
      await Promise.all(shards.map(async (shard, index) => {
        const share = shares[index] ?? []
        // An empty list goes to every shard, so that a closed blocklist rejects it.
        if (share.length > 0 || revocations.length === 0) await shard.revoke(share)
      })
      )
    },
    isRevoked: (claims, kid) =>
      claims.sub === undefined ? isRevokedAnywhere(claims, kid) : shardFor(shards, claims.sub).isRevoked(claims, kid),
    ...only?.revokeSubject !== undefined && {
      // An empty or missing subject goes to any shard, which rejects it.
      async revokeSubject (subject: string) { await shardFor(shards, String(subject)).revokeSubject?.(subject) },
      async revokeEveryone () { await Promise.all(shards.map(shard => shard.revokeEveryone?.())) }
    },
    async ready (subject) {
      const asked = subject === undefined ? shards : [shardFor(shards, String(subject))]
      await Promise.all(asked.map(shard => shard.ready(subject)))
    },
    async ping () { await Promise.all(shards.map(shard => shard.ping())) },
    async close () { await Promise.all(shards.map(shard => shard.close())) }
  }
}
