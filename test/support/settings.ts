import { loadConfig } from '../../src/config.ts'
import { secret } from './app.ts'

/** The settings that every replica needs. */
export const servers = {
  DATABASE_URL: 'postgres://me:hush@db.example:5432/app',
  REDIS_URL: 'redis://:hush@redis.example:6379/0',
  ISSUER: 'https://auth.example.com',
  KEY_ENCRYPTION_SECRET: secret
}

/** Returns those settings without some of them. */
export const without = (...names: string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(servers).filter(([name]) => !names.includes(name)))

/** Settings for other topologies of Redis. */
export const sentinels = {
  REDIS_SENTINELS: 'rediss://watcher:hush@s1.example,rediss://watcher:hush@s2.example:26380',
  REDIS_MASTER_NAME: 'mymaster'
}
export const cluster = { REDIS_CLUSTER_NODES: 'n1.example:7000, [::1]:7001,n3.example' }

/** Returns the message with which settings are refused. */
export function refusalOf (env: Record<string, string>): string {
  try {
    loadConfig(env)
  } catch (error) {
    return (error as Error).message
  }
  return 'it was accepted'
}
