import type { BenchRedis } from './redis.ts'
import type { LoadResult } from './load.ts'
import type { Helper } from './processes.ts'

/** A server under load, and the Redis that it asks. */
export interface Subject {
  name: string
  /** The process that the server runs in, and where it answers. */
  server: Helper
  url: string
  redis: BenchRedis
  tokens: string[]
}

/** One variant in one round. */
export interface Measurement extends LoadResult {
  /** Processor time of the server process for one request, in microseconds, and that of Redis. */
  cpuMicros: number
  redisMicros: number
  /** How many of them one `MGET` was sent for, on average; NaN where there was none. */
  lookupsPerCommand: number
}

export interface MeasureOptions {
  load: Helper
  connections: number
  seconds: number
}

/**
 * Lets requests come for some seconds. The processor time is that of the whole process, from before the first
 * connection until after the last: whatever it does for the requests is counted, collecting garbage included.
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
      `${name}: ${result.failures} of ${result.responses} requests failed, so that its figures mean nothing.`
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
 * So many requests are answered before anything counts: code is compiled by then, and every token was seen. Fewer for a
 * short run.
 */
const warmUpRequests = 20_000
/** A machine that is too busy for that is too busy for the rest as well, and the spread will show it. */
const maxWarmUpSeconds = 20

/** In turn as well, since one that has rested is slower than one that has just worked. */
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
 * Measures all subjects in turn (A B C, B C A, C A B …), so that whatever else the machine does befalls all of them,
 * and what one leaves behind for the next as well.
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
