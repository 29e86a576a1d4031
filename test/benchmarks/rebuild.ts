import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { createRedisProjection } from '../../src/record/redis-projection.ts'
import { createRevocationRecord } from '../../src/record/record.ts'
import { createBlocklistEvents, type CatchUp } from '../../src/events/blocklist-events.ts'
import { createProjector } from '../../src/record/projector.ts'
import { answer, givenArgument } from './processes.ts'
import { sqlDatabaseOf } from '../../src/db/statements.ts'

export interface RebuildSubject {
  databaseUrl: string
  redisUrl: string
}

/** This process rebuilds an empty Redis from the record, as the projector does. */
const { databaseUrl, redisUrl } = givenArgument<RebuildSubject>()
const leewaySeconds = 5
const database = await openPostgres({ url: databaseUrl, deadlineMs: 60_000 })
const redis = createRedisConnection(redisUrl, { deadlineMs: 60_000 })
await redis.connect()

async function rebuildAll (): Promise<CatchUp> {
  let done: CatchUp | undefined
  let failure: unknown
  const events = createBlocklistEvents()
  events.on('caughtUp', catchUp => { done = catchUp })
  events.on('projectorFailed', error => { failure = error })
  const projector = createProjector({
    record: createRevocationRecord(sqlDatabaseOf(database), leewaySeconds),
    shards: [{ projection: createRedisProjection({ redis, prefix: 'bench:', leewaySeconds }), includes: () => true }],
    events
  })
  await projector.round()
  await projector.stop()
  if (done === undefined) throw new Error('Nothing was rebuilt.', { cause: failure })
  return done
}

answer({ ready: () => true, rebuildAll })
