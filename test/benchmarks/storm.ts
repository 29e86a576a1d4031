import { password } from '../support/people.ts'
import { measureActs, type ActMeasurement } from './acts.ts'
import { createDatabase } from './database.ts'
import type { LoadResult } from './load.ts'
import { inTurn, warmUp, type Measurement, type Subject } from './measure.ts'
import { startHelper, type Helper } from './processes.ts'
import { startRedis } from './redis.ts'
import { startService } from './start-service.ts'
import { open, withClosing, type Effort } from './scenes.ts'
import { tokenCount } from './tokens.ts'

export interface StormRound {
  idle: LoadResult
  storm: LoadResult
  idleDelayP99Ms: number
  delayP99Ms: number
  loginsPerSecond: number
}

export interface ServiceResult {
  /** `GET /token` of the service at 50 connections, with its own blocklist and record. */
  token: Measurement[]
  rounds: StormRound[]
  acts: ActMeasurement[]
  /** The disk space of a session and of a security event in Postgres, in bytes. */
  bytesPerSession: number
  bytesPerEvent: number
}

const stormConnections = 32
/** The number of readers. Each sends one request a second. */
const readers = 200
/** The time for which they read, in seconds: long enough for a meaningful p99. */
const readSeconds = 5
/** The time for which the storm goes on before and after the measurement, in seconds. */
const stormMarginSeconds = 1

/** Measures the service: the cost of its check and of its acts, and `GET /me` during a login storm. */
export async function measureService ({ rounds, seconds, say }: Effort): Promise<ServiceResult> {
  return await withClosing(async close => {
    const database = await createDatabase()
    close(() => database.drop())
    const redis = await open(startRedis(), close)
    const [load, storm] = [
      await open(startHelper('load.js', 'load'), close), await open(startHelper('load.js', 'load'), close)
    ]
    const service = await open(startService({ database, redis, level: 'silent' }), close)
    const address = await service.ask<string>('address')
    say('the service, GET /token')
    const tokens = await service.ask<string[]>('issue', tokenCount)
    const subject: Subject = { name: 'GET /token', server: service, url: `${address}/token`, redis, tokens }
    await warmUp([subject], { load, seconds })
    const token = (await inTurn([subject], rounds, { load, connections: 50, seconds })).get(subject.name) ?? []
    const acts = await measureActs({ service, address, load, redis, database }, { rounds, seconds, say })
    const [bytesPerSession, bytesPerEvent] = [
      await database.bytesPerRow('sessions'), await database.bytesPerRow('security_events')
    ]
    return {
      token,
      acts,
      bytesPerSession,
      bytesPerEvent,
      rounds: await measureStorm({ service, load, storm, address }, rounds, say)
    }
  })
}

async function measureStorm (
  { service, load, storm, address }: { service: Helper, load: Helper, storm: Helper, address: string },
  rounds: number,
  say: Effort['say']
): Promise<StormRound[]> {
  const [reader, stormer] = [
    await service.ask<{ token: string }>('signUp'), await service.ask<{ username: string }>('signUp')
  ]
  const body = JSON.stringify({ username: stormer.username, password })
  const read = async () => {
    await service.ask('startDelay')
    const result = await load.ask<LoadResult>('runEvenly', {
      url: `${address}/me`, connections: readers, seconds: readSeconds, tokens: [reader.token]
    })
    if (result.failures > 0) {
      throw new Error(
        `GET /me: ${result.failures} of ${result.responses} requests failed, so the figures are not valid.`
      )
    }
    return { result, delayP99Ms: await service.ask<number>('delayP99Ms') }
  }
  await read()
  const measured: StormRound[] = []
  for (let round = 0; round < rounds; round++) {
    say(`a login storm, round ${round + 1}`)
    const idle = await read()
    const storming = storm.ask<LoadResult>('run', {
      url: `${address}/login`,
      connections: stormConnections,
      seconds: readSeconds + 2 * stormMarginSeconds,
      tokens: [],
      bodies: Array.from({ length: stormConnections }, () => body)
    })
    await new Promise(resolve => { setTimeout(resolve, 1000 * stormMarginSeconds) })
    const busy = await read()
    const { perSecond, failures, responses } = await storming
    if (failures > 0) {
      throw new Error(`POST /login: ${failures} of ${responses} requests failed, so there was no login storm.`)
    }
    measured.push({
      idle: idle.result,
      storm: busy.result,
      idleDelayP99Ms: idle.delayP99Ms,
      delayP99Ms: busy.delayP99Ms,
      loginsPerSecond: perSecond
    })
  }
  return measured
}
