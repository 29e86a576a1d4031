import type { Redis } from 'ioredis'
import { linkTo, runScript, type RedisLink } from '../redis/link.ts'
import type { Progress, Projection } from './projection.ts'
import { markerStart, projectionKeys } from './marker.ts'
import { advanceScript, beginScript } from './scripts.ts'
import type { BlocklistEmitter, Loss } from '../events/blocklist-events.ts'
import { toEntries } from '../entries/write-entries.ts'

export interface RedisProjectionOptions {
  /** A connection of its own, so that no look-up waits behind a rebuild. The caller closes it. */
  redis: Redis | RedisLink
  prefix: string
  leewaySeconds: number
  /** Emits `markerForgotten`. */
  events?: BlocklistEmitter | undefined
}

/** Creates the projection of one shard in Redis. */
export function createRedisProjection ({ redis, prefix, leewaySeconds, events }: RedisProjectionOptions): Projection {
  const { marker, progress: progressKey, note } = projectionKeys(prefix)
  const link = 'run' in redis ? redis : linkTo(redis)
  return {
    async reach () {
      await link.run(redis => redis.get(marker))
    },
    async begin (recordId, draft) {
      const [found, loss] = await link.run(redis =>
        runScript<[string, Loss | '']>(
          redis,
          'signoutBegin',
          beginScript,
          [marker, progressKey, note],
          [`${markerStart}${recordId}:`, draft]
        )
      )
      if (loss !== '') events?.emit('markerForgotten', loss)
      return found
    },
    async advance (from, to, revocations, progress) {
      const { keys, ends } = toEntries(revocations, prefix, leewaySeconds)
      const told = progress === undefined ? '' : JSON.stringify(progress)
      return (
        (await link.run(redis =>
          runScript<number>(
            redis,
            'signoutAdvance',
            advanceScript,
            [marker, progressKey, note, ...keys],
            [from, to, told, ...ends]
          )
        )) === 1
      )
    },
    async forgetMarker () {
      await link.run(redis => redis.del(marker))
    }
  }
}

/** Returns the progress that the progress key holds; undefined if it holds none. */
export function parseProgress (text: string | null): Progress | undefined {
  return text === null ? undefined : JSON.parse(text) as Progress
}
