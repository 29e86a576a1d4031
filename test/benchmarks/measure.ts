import type { BenchRedis } from './redis.ts'
import type { LoadResult } from './load.ts'
import type { Helper } from './processes.ts'

/** A server under load, and the Redis that it uses. */
export interface Subject {
  name: string
  /** The process of the server, and the URL that is requested. */
  server: Helper
  url: string
  redis: BenchRedis
  tokens: string[]
}

/** The result of one variant in one round. */
export interface Measurement extends LoadResult {
  /** Processor time per request of the server process and of Redis, in microseconds. */
  cpuMicros: number
  redisMicros: number
  /** The average number of requests per `MGET`; NaN if no `MGET` was sent. */
  lookupsPerCommand: number
}

export interface MeasureOptions {
  load: Helper
  connections: number
  seconds: number
}

/**
 * Measures a server under load for some seconds. The processor time is that of the whole process, from before the first
 * connection until after the last. It includes everything that the process does for the requests, such as garbage
 * collection. Rejects if a request fails.
 */
export async function measure (
  { server, url, redis, tokens, name }: Subject, { load, connections, seconds }: MeasureOptions
): Promise<Measurement> {
  const used = async () => ({
    server: await server.ask<number>('usedMicros'), redis: await redis.usedMicros(), lookups: await redis.countLookups()
  })
  const before = await used()
  const result = await load.ask<LoadResult>('run', { url, connections, seconds, tokens })
  const after = await used()
  if (result.failures > 0) {
    throw new Error(
      `${name}: ${result.failures} of ${result.responses} requests failed, so the figures are not valid.`
    )
  }
  return {
    ...result,
    cpuMicros: (after.server - before.server) / result.responses,
    redisMicros: (after.redis - before.redis) / result.responses,
    lookupsPerCommand: after.lookups === before.lookups ? NaN : result.responses / (after.lookups - before.lookups)
  }
}

/**
 * The number of requests to each server before the measurement. By then, the code is compiled and every token was seen.
 * Short runs send fewer.
 */
const warmUpRequests = 20_000
/** The longest warm-up of one server. A machine that needs longer is too busy to measure, which the spread shows. */
const maxWarmUpSeconds = 20

/** Warms up the servers in turn, because a server that was idle is slower than one that has just worked. */
export async function warmUp (
  subjects: readonly Subject[], { load, seconds }: Omit<MeasureOptions, 'connections'>
): Promise<void> {
  const enough = warmUpRequests * Math.min(1, seconds)
  const answered = new Map<Subject, number>()
  const giveUpAt = performance.now() + maxWarmUpSeconds * 1000 * subjects.length
  while (subjects.some(subject => (answered.get(subject) ?? 0) < enough) && performance.now() < giveUpAt) {
    for (const subject of subjects) {
      const { responses } = await load.ask<LoadResult>('run', {
        url: subject.url, connections: 50, seconds: Math.min(0.5, seconds), tokens: subject.tokens
      })
      answered.set(subject, (answered.get(subject) ?? 0) + responses)
    }
  }
}

/**
 * Measures all servers in turn (A B C, B C A, C A B …). Other work on the machine, and the after-effects of the
 * previous server, then affect all of them alike.
 */
export async function inTurn (
  subjects: readonly Subject[], rounds: number, options: MeasureOptions
): Promise<Map<string, Measurement[]>> {
  const measured = new Map<string, Measurement[]>(subjects.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    const first = round % subjects.length
    for (const subject of [...subjects.slice(first), ...subjects.slice(0, first)]) {
      measured.get(subject.name)?.push(await measure(subject, options))
    }
  }
  return measured
}
