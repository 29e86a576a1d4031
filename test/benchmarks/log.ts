import { createDatabase } from './database.ts'
import { inTurn, warmUp, type Measurement, type Subject } from './measure.ts'
import { startHelper } from './processes.ts'
import { startRedis } from './redis.ts'
import { open, timesRoundsForFivePercent, withClosing, type Effort } from './scenes.ts'
import { startService } from './start-service.ts'
import { spreadOfRatios, type Spread } from './statistics.ts'
import { tokenCount } from './tokens.ts'

/** The levels that are compared: no log, and the default of `LOG_LEVEL`. */
export const logLevels = ['silent', 'info'] as const
export type LogLevel = typeof logLevels[number]

/** `GET /token` of the service at 50 connections, with each level. The same index means the same round. */
export type LogResult = Record<LogLevel, Measurement[]>

/** Returns how many times the processor time of a request without a log the default log needs. */
export function ratioOfLog ({ silent, info }: LogResult): Spread {
  return spreadOfRatios(info.map(({ cpuMicros }) => cpuMicros), silent.map(({ cpuMicros }) => cpuMicros))
}

/**
 * Measures `GET /token` without a log and with the default log, in turn.
 *
 * All rounds are measured several times, with new processes each time. Two processes that run the same code can differ
 * by a tenth for as long as they live. The median then comes from several pairs of processes.
 */
export async function measureLog ({ rounds, seconds, say }: Effort): Promise<LogResult> {
  const result: LogResult = { silent: [], info: [] }
  for (let start = 1; start <= timesRoundsForFivePercent; start++) {
    say(`the service without and with its log, start ${start}`)
    const measured = await compareLevels(rounds, seconds)
    for (const level of logLevels) result[level].push(...measured.get(level) ?? [])
  }
  return result
}

async function compareLevels (rounds: number, seconds: number): Promise<Map<string, Measurement[]>> {
  return await withClosing(async close => {
    const database = await createDatabase()
    close(() => database.drop())
    const redis = await open(startRedis(), close)
    const load = await open(startHelper('load.js', 'load'), close)
    const subjects: Subject[] = []
    for (const level of logLevels) {
      const service = await open(startService({ database, redis, level }), close)
      const address = await service.ask<string>('address')
      subjects.push({ name: level, server: service, url: `${address}/token`, redis, tokens: [] })
    }
    const tokens = await subjects[0]?.server.ask<string[]>('issue', tokenCount) ?? []
    for (const subject of subjects) subject.tokens = tokens
    await warmUp(subjects, { load, seconds })
    return await inTurn(subjects, rounds, { load, connections: 50, seconds })
  })
}
