import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { describeUrl } from '../src/describe-url.ts'
import { StartupError } from '../src/errors.ts'
import type { Blocklist } from '../src/revocation/blocklist.ts'
import { withDeadline } from '../src/revocation/deadline.ts'
import { createMemoryBlocklist } from '../src/revocation/memory-blocklist.ts'
import { createRedisBlocklist } from '../src/revocation/redis-blocklist.ts'
import { createRedisConnection } from '../src/revocation/redis-connection.ts'

declare module 'fastify' {
  interface FastifyInstance {
    blocklist: Blocklist
  }
}

export interface BlocklistOptions {
  config: Pick<Config, 'storage' | 'CLOCK_LEEWAY' | 'BLOCKLIST_DEADLINE_MS' | 'BLOCKLIST_PREFIX'>
}

/** How long Redis may take at start, in milliseconds. */
const connectDeadlineMs = 5_000

/** Opens the blocklist that the configuration names: in Redis, or in the memory of this process. */
async function blocklist (app: FastifyInstance, { config }: BlocklistOptions): Promise<void> {
  const { storage, CLOCK_LEEWAY: leewaySeconds, BLOCKLIST_DEADLINE_MS: deadlineMs } = config
  const opened = storage.kind === 'servers'
    ? await openRedisBlocklist(app, storage.redisUrl, config)
    : createMemoryBlocklist({ leewaySeconds })
  app.addHook('onClose', () => opened.close())
  app.decorate('blocklist', opened)
  app.readiness.add('blocklist', () => withDeadline(opened.ping(), deadlineMs))
}

async function openRedisBlocklist (app: FastifyInstance, url: string, config: BlocklistOptions['config']): Promise<Blocklist> {
  let reason: string | undefined
  let connected = false
  const redis = createRedisConnection(url, {
    deadlineMs: config.BLOCKLIST_DEADLINE_MS,
    onLost: err => {
      reason = err.message
      if (connected) app.log.warn({ err }, 'The connection to Redis is lost. Requests with a token get 503 until it is back.')
    },
    onRestored: () => app.log.info('The connection to Redis is back.')
  })
  try {
    await withDeadline(redis.connect(), connectDeadlineMs)
    connected = true
  } catch (cause) {
    redis.disconnect()
    throw new StartupError(`REDIS_URL: cannot connect to ${describeUrl(url)} (${reason ?? (cause as Error).message}). Start Redis there, or correct the variable.`, { cause })
  }
  return createRedisBlocklist({ redis, prefix: config.BLOCKLIST_PREFIX, leewaySeconds: config.CLOCK_LEEWAY })
}

export default fp(blocklist, { name: 'blocklist', fastify: '5.x', dependencies: ['readiness'] })
