import type { RedisTopology } from '../redis/topology.ts'
import { readTopology } from '../redis/topology-settings.ts'
import type { Settings } from './settings.ts'

/** The storage of the service: in this process, or on servers that replicas share. */
export type Storage =
  /** `dataDir` is a folder. `keyEncryptionSecret` defaults to a secret that is kept in that folder. */
  | { kind: 'embedded', dataDir: string, keyEncryptionSecret: string | undefined }
  | { kind: 'servers', databaseUrl: string, redis: RedisTopology, keyEncryptionSecret: string }

/**
 * Chooses the storage that the settings name. Returns undefined for settings that name none, and adds a line for each
 * mistake.
 */
export function chooseStorage (settings: Settings, mistakes: string[]): Storage | undefined {
  const { DATABASE_URL, KEY_ENCRYPTION_SECRET, ISSUER, PORT } = settings
  const redis = readTopology(settings, mistakes)
  const named = (['REDIS_URL', 'REDIS_SENTINELS', 'REDIS_CLUSTER_NODES'] as const).find(
    name => settings[name] !== undefined
  )
  if (DATABASE_URL === undefined && named === undefined) {
    if (settings.BLOCKLIST_WAIT_REPLICAS > 0) {
      mistakes.push(
        `BLOCKLIST_WAIT_REPLICAS is ${settings.BLOCKLIST_WAIT_REPLICAS}, but without DATABASE_URL and REDIS_URL there is no Redis that could have replicas.`
      )
    }
    if (PORT === 0 && ISSUER === undefined) {
      mistakes.push('ISSUER is not set; it must be when PORT is 0, since the address is not known beforehand.')
    }
    return { kind: 'embedded', dataDir: settings.DATA_DIR, keyEncryptionSecret: KEY_ENCRYPTION_SECRET }
  }
  if (named === undefined) {
    mistakes.push(
      "REDIS_URL is not set but DATABASE_URL is: set both or neither. Replicas without a Redis in common would not see each other's logouts."
    )
  }
  if (DATABASE_URL === undefined) {
    mistakes.push(
      `DATABASE_URL is not set but ${named} is: set both or neither. Replicas without a database in common would not know each other's users and keys.`
    )
  }
  if (ISSUER === undefined) {
    mistakes.push(
      'ISSUER is not set; with DATABASE_URL it must be, to the public address of the service, since replicas must agree on it.'
    )
  }
  if (KEY_ENCRYPTION_SECRET === undefined) {
    mistakes.push(
      'KEY_ENCRYPTION_SECRET is not set; with DATABASE_URL it must be, to the same 32 bytes or more for every replica, such as the output of: openssl rand -base64 32'
    )
  }
  if (redis === undefined || DATABASE_URL === undefined || KEY_ENCRYPTION_SECRET === undefined) return undefined
  return { kind: 'servers', databaseUrl: DATABASE_URL, redis, keyEncryptionSecret: KEY_ENCRYPTION_SECRET }
}
