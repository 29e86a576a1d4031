import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { createRedisProjection } from '../../src/record/redis-projection.ts'
import { createRevocationLog } from '../../src/record/record.ts'
import { createTail, type Replay } from '../../src/record/projector.ts'
import { answer, givenArgument } from './processes.ts'

export interface ReplaySubject {
  databaseUrl: string
  redisUrl: string
}

/** What the tail does after Redis has lost its data, in a process of its own. */
const { databaseUrl, redisUrl } = givenArgument<ReplaySubject>()
const leewaySeconds = 5
const database = await openPostgres({ url: databaseUrl, deadlineMs: 60_000 })
const redis = createRedisConnection(redisUrl, { deadlineMs: 60_000 })
await redis.connect()

async function replayAll (): Promise<Replay> {
  let done: Replay | undefined
  let failure: unknown
  const tail = createTail({
    log: createRevocationLog(database, leewaySeconds),
    shards: [{ projection: createRedisProjection({ redis, prefix: 'bench:', leewaySeconds }), includes: () => true }],
    onCaughtUp: replay => { done = replay },
    onFailure: error => { failure = error }
  })
  await tail.round()
  await tail.stop()
  if (done === undefined) throw new Error('Nothing was replayed.', { cause: failure })
  return done
}

answer({ ready: () => true, replayAll })
