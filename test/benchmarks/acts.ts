import { password, type Pair, type Person } from '../support/people.ts'
import type { BenchDatabase } from './database.ts'
import type { LoadResult } from './load.ts'
import type { Helper } from './processes.ts'
import type { BenchRedis } from './redis.ts'
import type { Effort } from './scenes.ts'

/** The acts of users whose cost is measured, besides requests with a token. */
export const acts = ['login', 'refresh', 'logout'] as const
export type Act = typeof acts[number]

/** The result of one act in one round: the processor time per request of the service, Postgres and Redis. */
export interface ActMeasurement extends LoadResult {
  act: Act
  cpuMicros: number
  postgresMicros: number
  redisMicros: number
}

export interface ActsStage {
  service: Helper
  address: string
  load: Helper
  redis: BenchRedis
  database: BenchDatabase
}

const connections = 16
/** Enough for a round that can be measured. Not more than the passwords that may wait to be hashed at once. */
const logoutsPerRound = 8 * connections

/** Measures the cost of a login, a refresh and a logout. */
export async function measureActs (stage: ActsStage, { rounds, seconds, say }: Effort): Promise<ActMeasurement[]> {
  const { service, address } = stage
  const { username } = await service.ask<Person>('signUp')
  const open = (count: number) => service.ask<Pair[]>('openSessions', { username, count })
  const openForRefresh = async () => (await open(connections)).map(pair => pair.refresh_token)
  const body = JSON.stringify({ username, password })

  const perform: Record<Act, () => Promise<[string, unknown]>> = {
    login: async () => [
      'run',
      {
        url: `${address}/login`,
        connections,
        seconds,
        tokens: [],
        bodies: Array.from({ length: connections }, () => body)
      }
    ],
    refresh: async () => ['refresh', { url: `${address}/refresh`, seconds, refreshTokens: await openForRefresh() }],
    logout: async () => [
      'spend',
      { url: `${address}/logout`, connections, tokens: (await open(logoutsPerRound)).map(pair => pair.access_token) }
    ]
  }
  await stage.load.ask('refresh', { url: `${address}/refresh`, seconds, refreshTokens: await openForRefresh() })
  const measured: ActMeasurement[] = []
  for (let round = 0; round < rounds; round++) {
    say(`signing in, refreshing and logging out, round ${round + 1}`)
    for (const act of acts) measured.push(await measure(stage, act, await perform[act]()))
  }
  return measured
}

async function measure (
  { service, load, redis, database }: ActsStage, act: Act, [question, argument]: [string, unknown]
): Promise<ActMeasurement> {
  const used = async () =>
    [await service.ask<number>('usedMicros'), await database.usedMicros(), await redis.usedMicros()] as const
  const before = await used()
  const result = await load.ask<LoadResult>(question, argument)
  const after = await used()
  if (result.failures > 0) {
    throw new Error(
      `${act}: ${result.failures} of ${result.responses} requests failed, so the figures are not valid.`
    )
  }
  const each = (index: 0 | 1 | 2) => (after[index] - before[index]) / result.responses
  return { ...result, act, cpuMicros: each(0), postgresMicros: each(1), redisMicros: each(2) }
}
