import type { BlocklistEmitter, Loss } from '../events/blocklist-events.ts'
import { shardPrefix, type RedisConnections } from '../redis/connections.ts'
import type { RedisLosses } from '../redis/health/watch.ts'
import { runScript, type RedisLink } from '../redis/link.ts'
import { projectionKeys } from './marker.ts'
import { checkScript, settleScript } from './scripts.ts'

const allKeys = (prefix: string) => Object.values(projectionKeys(prefix))

/**
 * Forgets the marker of one shard if Redis may have lost revocations. To be called on each connection before its
 * answers count.
 *
 * Rejects when Redis does not answer, or refuses to forget the marker.
 */
export async function checkForLoss (link: RedisLink, prefix: string, events?: BlocklistEmitter): Promise<void> {
  const loss = await link.run(redis => runScript<Loss | ''>(redis, 'signoutCheck', checkScript, allKeys(prefix), []))
  if (loss !== '') events?.emit('markerForgotten', loss)
}

/**
 * Returns true if Redis can be read and refuses writes: it is full, it cannot store its data, or it has too few
 * replicas. Redis 6 says so in the middle of the message when it refuses a script.
 */
export function isWriteRefused (error: unknown): boolean {
  return error instanceof Error && /\b(OOM|MISCONF|NOREPLICAS)\b/.test(error.message)
}

/** Creates what finds out, for all shards, whether Redis may have lost revocations. */
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
      // The script goes on when the note is refused. Only a marker that has to be forgotten makes it fail.
      return checks.some(check => check.status === 'rejected' && isWriteRefused(check.reason))
    },
    doubt: () => all((link, prefix) => link.run(redis => redis.set(projectionKeys(prefix).doubt, 1))),
    settle: () =>
      all((link, prefix) => link.run(redis => runScript(redis, 'signoutSettle', settleScript, allKeys(prefix), [])))
  }
}
