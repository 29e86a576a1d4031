import type { BlocklistEmitter, Loss } from '../events/blocklist-events.ts'
import { shardPrefix, type RedisConnections } from '../redis/connections.ts'
import type { RedisLosses } from '../redis/health/watch.ts'
import { runScript, type RedisLink } from '../redis/link.ts'
import { projectionKeys } from './marker.ts'
import { checkScript, settleScript } from './scripts.ts'

const allKeys = (prefix: string) => Object.values(projectionKeys(prefix))

/**
 * Deletes the marker of one shard if Redis may have lost revocations. Call it on each new connection, before answers
 * count. Atomic and idempotent.
 *
 * Rejects when Redis does not answer, or refuses to delete the marker.
 */
export async function checkForLoss (link: RedisLink, prefix: string, events?: BlocklistEmitter): Promise<void> {
  const loss = await link.run(redis => runScript<Loss | ''>(redis, 'signoutCheck', checkScript, allKeys(prefix), []))
  if (loss !== '') events?.emit('markerForgotten', loss)
}

/**
 * Returns true if an error means that Redis can be read but refuses writes. Then it is full, cannot store its data, or
 * has too few Redis replicas. Redis 6 names the cause in the middle of the message when it refuses a script.
 */
export function isWriteRefused (error: unknown): boolean {
  return error instanceof Error && /\b(OOM|MISCONF|NOREPLICAS)\b/.test(error.message)
}

/** Creates the checks for lost revocations, for all shards. */
export function createRedisLosses (
  { shards }: Pick<RedisConnections, 'shards'>, prefix: string, events?: BlocklistEmitter
): RedisLosses {
  type Work = (link: RedisLink, prefix: string) => Promise<unknown>
  const each = (work: Work) => Promise.allSettled(shards.map(({ tag, link }) => work(link, shardPrefix(prefix, tag))))
  async function all (work: Work): Promise<void> {
    const failed = (await each(work)).find(done => done.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
  return {
    async check () {
      const checks = await each((link, prefix) => checkForLoss(link, prefix, events))
      // A refused note does not make the script fail. A write that is refused here was the deletion of a marker.
      return checks.some(check => check.status === 'rejected' && isWriteRefused(check.reason))
    },
    doubt: () => all((link, prefix) => link.run(redis => redis.set(projectionKeys(prefix).doubt, 1))),
    settle: () =>
      all((link, prefix) => link.run(redis => runScript(redis, 'signoutSettle', settleScript, allKeys(prefix), [])))
  }
}
