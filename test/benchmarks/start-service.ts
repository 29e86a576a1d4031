import type { BenchDatabase } from './database.ts'
import { startHelper, type Helper } from './processes.ts'
import type { BenchRedis } from './redis.ts'

export interface ServiceOptions {
  database: BenchDatabase
  redis: BenchRedis
  /** `LOG_LEVEL` of the service. */
  level: string
}

/**
 * Starts the whole service in a process of its own. Its log goes to `/dev/null`, through the standard output of that
 * process. The figures then do not depend on a disk or on the reader of a pipe.
 */
export async function startService ({ database, redis, level }: ServiceOptions): Promise<Helper> {
  return await startHelper('service.js', 'server', {
    ISSUER: 'https://auth.example.com',
    KEY_ENCRYPTION_SECRET: 'a secret for benchmarks, of 32 bytes',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    LOG_LEVEL: level,
    RATE_LIMITS: 'off',
    BLOCKLIST_DEADLINE_MS: '5000',
    DATABASE_DEADLINE_MS: '10000',
    MAX_SESSIONS: '1000'
  }, 'ignore')
}
