import type { Asked, Question } from './asker.ts'
import { startHelper } from './processes.ts'
import { startRedis } from './redis.ts'
import { open, withClosing, type Effort } from './scenes.ts'

export interface LookupsMeasurement {
  tokensPerCommand: number
  /** True for look-ups as in a cluster: one token for each command, and many commands in one packet. */
  isInCluster: boolean
  /** Processor time of Redis for the look-up of one token, in microseconds. */
  redisMicros: number
  /** The number of look-ups per second, and the share of its core that Redis used meanwhile. */
  tokensPerSecond: number
  busyShare: number
}

/** From the command of an idle replica to about the largest command of a busy one. */
const tokensPerCommand = [1, 2, 5, 10, 25, 100, 498]
/** The number of shards. A turn with many look-ups has look-ups for every shard. */
const commandsInCluster = 16

/** Measures the look-ups that one Redis serves, on a blocklist with this number of entries. */
export async function measureLookups (
  entries: number, { rounds, seconds, say }: Effort
): Promise<LookupsMeasurement[]> {
  return await withClosing(async close => {
    say(`look-ups in a blocklist of ${entries} entries`)
    const redis = await open(startRedis(), close)
    await redis.fill('bench:', entries)
    const asker = await open(startHelper('asker.js', 'server', { redisUrl: redis.url, prefix: 'bench:' }), close)
    async function ask (tokens: number, isInCluster: boolean): Promise<LookupsMeasurement> {
      const before = await redis.usedMicros()
      const question: Question = { tokens, commandsTogether: isInCluster ? commandsInCluster : 1, seconds }
      const asked = await asker.ask<Asked>('ask', question)
      const used = await redis.usedMicros() - before
      const lookups = asked.commands * tokens
      return {
        tokensPerCommand: tokens,
        isInCluster,
        redisMicros: used / lookups,
        tokensPerSecond: lookups / asked.seconds,
        busyShare: used / 1e6 / asked.seconds
      }
    }
    async function askEach (): Promise<LookupsMeasurement[]> {
      const measured: LookupsMeasurement[] = []
      for (const tokens of tokensPerCommand) measured.push(await ask(tokens, false))
      measured.push(await ask(1, true))
      return measured
    }
    await askEach()
    const measured: LookupsMeasurement[] = []
    for (let round = 0; round < rounds; round++) measured.push(...await askEach())
    return measured
  })
}
