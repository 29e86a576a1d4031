import { shardPrefix } from '../../redis/connections.ts'
import { openRedis } from '../../redis/open-redis.ts'
import { describeTopology } from '../../redis/topology.ts'
import { createRedisProjection } from '../../record/redis-projection.ts'
import { CommandError } from '../failure.ts'
import { forCommand } from '../open-app.ts'
import { readConfig } from '../read-config.ts'
import { print, printJson } from '../terminal.ts'

/**
 * Makes the blocklist under the prefix the one of this database. The next replica that starts rebuilds it from its own
 * record. Revocations from the other database stay until they expire, which is harmless.
 */
export async function adoptBlocklist (asJson: boolean): Promise<void> {
  const { storage, blocklist: { prefix, deadlineMs }, clocks: { leewaySeconds } } = forCommand(readConfig())
  if (storage.kind === 'embedded') {
    throw new CommandError('In embedded mode the blocklist is in the memory of the server. There is nothing to adopt.')
  }
  const redis = openRedis(storage.redis)
  try {
    const { shards } = await redis.connect({ deadlineMs })
    await Promise.all(
      shards.map(({ tag, link }) =>
        createRedisProjection({ redis: link, prefix: shardPrefix(prefix, tag), leewaySeconds }).forgetMarker()
      )
    )
  } finally {
    redis.close()
  }
  if (asJson) return printJson({ prefix, redis: describeTopology(storage.redis) })
  print(
    `The blocklist under the prefix ${prefix} at ${describeTopology(storage.redis)} is made from this database from now on.`
  )
}
