import { DeadlineError } from '../timing/deadline.ts'
import type { RedisShard } from '../redis/connections.ts'
import { shardOf } from '../redis/cluster/hash-tags.ts'
import { runScript } from '../redis/link.ts'
import type { Admission, Counter, CounterSize, Settlement, Tally } from './counter.ts'
import { counterScript } from './counter-script.ts'
import { withLoopDeadline } from '../timing/loop-deadline.ts'
import type { Uncarried } from './memory-counter.ts'

export interface RedisCounterOptions {
  /** Connections for the limits alone. A connection that does not answer within the deadline is closed. */
  shards: readonly RedisShard[]
  /** The text in front of every key. It holds the name of the limit. */
  prefix: string
  /** The longest wait for an answer of Redis, in milliseconds in which the event loop runs. */
  deadlineMs: number
}

/** Counts in Redis, for all replicas together. Each method rejects when Redis does not answer within the deadline. */
export interface RedisCounter extends Counter {
  /**
   * Returns true if there is a connection to the server that counts this key. Without one, every method rejects at
   * once.
   */
  isReady (key: string): boolean
  /** Adds wrong attempts that were counted in memory. */
  carry (key: string, uncarried: Uncarried): Promise<Tally>
}

export function createRedisCounter (
  { attempts, windowMs, leaseMs }: CounterSize,
  { shards, prefix, deadlineMs }: RedisCounterOptions
): RedisCounter {
  const shardFor = (key: string) => shards[shardOf(prefix + key, shards.length)] as RedisShard

  /** Returns both keys of a counter. They carry the tag of their shard, so that they are on one server. */
  function keysOf (key: string): string[] {
    const { tag } = shardFor(key)
    const suffix = tag === '' ? '' : `{${tag}}`
    return [`${prefix}${key}${suffix}`, `${prefix}${key}:under-way${suffix}`]
  }

  async function run (
    key: string,
    act: 'reserve' | 'settle' | 'count' | 'carry',
    ...args: Array<string | number>
  ): Promise<Tally & { flag: boolean }> {
    const { link } = shardFor(key)
    if (!link.isReady) throw new Error('Redis is not connected.')
    const [flag, wrong, underWay, leftMs] = await link.run(async redis => {
      try {
        const answer = runScript<[number, number, number, number]>(
          redis, 'signoutCounter', counterScript, keysOf(key), [windowMs, attempts, act, ...args]
        )
        return await withLoopDeadline(answer, deadlineMs)
      } catch (error) {
        // Closed at once, so that later attempts are counted in memory without a wait. `disconnect` would wait for a
        // server that stalls.
        if (error instanceof DeadlineError) redis.stream.destroy(error)
        throw error
      }
    })
    return { flag: flag === 1, wrong, underWay, windowMs: leftMs }
  }

  const toAdmission = ({ flag, ...tally }: Tally & { flag: boolean }): Admission => ({ isAdmitted: flag, ...tally })

  return {
    isReady: key => shardFor(key).link.isReady,
    reserve: async (key, id) => toAdmission(await run(key, 'reserve', id, leaseMs)),
    count: async key => toAdmission(await run(key, 'count')),
    async settle (key, id, isWrong): Promise<Settlement> {
      const { flag, ...tally } = await run(key, 'settle', id, isWrong ? 1 : 0)
      return { wasHeld: flag, ...tally }
    },
    carry: (key, uncarried) =>
      run(key, 'carry', uncarried.attempts, Math.max(1, Math.ceil(uncarried.windowMs)))
  }
}
