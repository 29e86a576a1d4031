import type { Asked, Question } from './asker.ts'
import { startHelper } from './processes.ts'
import { startRedis } from './redis.ts'
import { open, withClosing, type Effort } from './scenes.ts'

export interface LookupsMeasurement {
  tokensPerCommand: number
  /** Whether it was asked as a cluster is: for one token in a command, many of which come in one packet. */
  isInCluster: boolean
  /** Processor time of Redis for the look-up of one token, in microseconds. */
  redisMicros: number
  /** How many it was asked for in a second, and its share of its core meanwhile. */
  tokensPerSecond: number
  busyShare: number
}

/** From a replica with nothing else to do up to the most that one command carries. */
const tokensPerCommand = [1, 2, 5, 10, 25, 100, 499]
/** As many as there are shards: a turn with many look-ups has some for each. */
const commandsInCluster = 16

/** What one Redis serves in look-ups, on a blocklist of so many entries. */
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
